"""Pitfalls of routing sessions and of replicas that others have met, each on real servers.

Of the session:

1. xmin of copies: test_a_copy_is_edited_at_home, test_an_edit_of_an_old_copy_is_refused
2. one's own statements: test_a_row_that_a_statement_of_ones_own_changed,
   test_a_row_that_a_trigger_changed
3. bulk UPDATE and xmin: test_many_rows_are_updated_by_core
4. ids in the parameters: test_rows_of_another_shard_are_loaded_later; and
   test_session.test_related_rows_come_from_the_same_shard
5. a shard before the autoflush, a node after it: test_the_autoflush_of_a_read_decides_its_node
6. a bind that is only asked for: test_session.test_asking_for_a_bind_decides_nothing
7. commits of savepoints, and of `begin()`: test_session.test_a_savepoint_takes_no_token,
   test_every_way_to_commit_takes_a_token
8. errors after a commit: test_session.test_a_commit_whose_position_is_unknown_stands
9. AUTOCOMMIT: test_session.test_a_savepoint_reads_the_primary,
   test_session.test_streaming_reads_a_replica_in_a_transaction,
   test_a_savepoint_after_a_read_is_one
10. bulk methods: test_bulk_methods_go_home
11. bulk INSERT: test_session.test_bulk_insert_goes_home
12. old rows in the session: test_a_row_that_was_read_on_a_replica_stays_as_it_was_read
13. deletions and merges: test_a_deletion_reads_the_primary, test_a_merge_reads_the_primary
14. what a walk misses: test_statements.test_what_is_not_known_to_read
15. sessions joined to a connection: test_parity, the scenario the_test_suite_recipe
16. events of asyncio: test_events_are_those_of_the_synchronous_class

Of routers and replicas elsewhere:

1. what only looks like a read: test_what_looks_like_a_read_goes_to_the_primary
2. bulk UPDATE and DELETE: test_a_query_that_writes_goes_home
3. a replica for each statement: test_a_unit_of_work_never_goes_back_in_time
4. stickiness outside of the session: test_sessions_do_not_share_what_they_decide
5. attributes after a commit: test_an_attribute_after_a_commit_needs_no_replica
6. when the position is taken: test_the_position_is_taken_on_the_connection_that_committed;
   test_session.test_a_token_carries_what_was_written_to_another_session
7. naive reads: test_consistency_on_a_replica_that_stands_still
8. promotions: test_a_token_of_another_timeline_reads_the_primary; and test_loss_of_replicas
11. REPEATABLE READ on a replica: test_a_stream_does_not_hold_back_later_reads
12. to 15.: test_loss_of_primaries and test_loss_of_replicas
16. writes on the base of a replica: test_a_write_on_the_base_of_an_old_read_is_refused
17. fakes: every replica here is a real one
18. `get` asks one shard: test_session.test_an_id_finds_its_shard_from_any_session
19. one shard for each transaction: test_session.test_a_write_on_a_second_shard_is_refused
20. prepared transactions: test_parity, the scenario two_phases
23. no shard: test_settings_without_shards_are_refused
24. inequalities: test_an_inequality_names_no_shard; test_statements
25. an AsyncSession in two tasks: the fan-out has sessions of its own
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, inspect, select, text, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import ORMExecuteState, Session, joinedload, lazyload
from sqlalchemy.orm.exc import StaleDataError

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.errors import SettingsError
from elearning.flows import Platform
from elearning.ids import new_id
from elearning.models import (
    Base,
    Course,
    Enrollment,
    LessonProgress,
    PaymentMethod,
    User,
    UserProfile,
)
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession, Token
from elearning.testing.copies import wait_copied
from elearning.testing.factories import (
    CourseFactory,
    LessonProgressFactory,
    UserFactory,
    UserProfileFactory,
    bound,
)
from elearning.testing.switches import Switches
from tests.served import served

PRIMARY, REPLICA = "eu-primary", "eu-replica-1"


@pytest.fixture
def users(engines: Engines, empty_databases: None, switches: Switches) -> dict[str, UUID]:
    """Return a user with a profile on each shard, whom the replicas have."""
    found = {}
    for region in ("north_america", "europe", "asia"):
        shard = engines.home(region)
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            found[shard] = UserProfileFactory.create(user__region=region, city="Old").user_id
            session.commit()
        switches.catch_up(f"{shard}-replica-1")
    return found


def open_session(engines: Engines, region: str = "europe", **options: Any) -> RoutingSession:
    return RoutingSession(engines=engines, region=region, **options)


def rename(engines: Engines, user_id: UUID, name: str = "New") -> Token:
    with RoutingSession(engines=engines) as session:
        session.execute(update(User).where(User.id == user_id).values(first_name=name))
        session.commit()
        return session.token


def name_of(session: Session, user_id: UUID) -> str:
    return session.scalars(select(User.first_name).where(User.id == user_id)).one()


# Of the session


@pytest.fixture
def foreign_course(engines: Engines, users: dict[str, UUID], switches: Switches) -> UUID:
    """Return an enrollment of Europe in a course of North America, which Europe has a copy of."""
    with open_session(engines, "north_america") as session, bound(session):
        course_id = CourseFactory.create(instructor__region="north_america").id
        session.commit()
    wait_copied(engines)
    with open_session(engines, consistency="primary") as session:
        enrollment = Enrollment(user_id=users["eu"], course_id=course_id)
        session.add(enrollment)
        session.commit()
        switches.catch_up(REPLICA)
        return enrollment.id


def copy_of_course(session: Session, enrollment_id: UUID) -> Course:
    return (
        session.scalars(
            select(Enrollment)
            .where(Enrollment.id == enrollment_id)
            .options(joinedload(Enrollment.course))
        )
        .one()
        .course
    )


def test_a_copy_is_edited_at_home(engines: Engines, foreign_course: UUID) -> None:
    with open_session(engines) as session, served(engines) as nodes:
        course = copy_of_course(session, foreign_course)
        assert nodes == [REPLICA]
        course.title = "New"
        session.commit()
        assert nodes[1:] == ["na-primary"]
        assert (course.title, course.row_version) == ("New", 2)


def test_an_edit_of_an_old_copy_is_refused(engines: Engines, foreign_course: UUID) -> None:
    with open_session(engines) as session:
        course = copy_of_course(session, foreign_course)
        with RoutingSession(engines=engines) as other:
            other.get_one(Course, course.id).title = "Other"
            other.commit()
        course.title = "New"
        with pytest.raises(StaleDataError):
            session.commit()


def test_a_row_that_a_statement_of_ones_own_changed(
    engines: Engines, users: dict[str, UUID]
) -> None:
    """As with `Session`: expire what you change behind its back."""
    with open_session(engines) as session:
        user = session.get_one(User, users["eu"])
        session.execute(text("UPDATE users SET last_name = 'Text'"))
        user.first_name = "New"
        with pytest.raises(StaleDataError):
            session.flush()
        session.rollback()
        session.execute(text("UPDATE users SET last_name = 'Text'"))
        session.expire(user)
        user.first_name = "New"
        session.commit()
        assert (user.first_name, user.last_name) == ("New", "Text")


@pytest.mark.parametrize("loads", ["all", "little"])
def test_a_row_that_a_trigger_changed(engines: Engines, empty_databases: None, loads: str) -> None:
    with open_session(engines) as session, bound(session):
        progress_id = LessonProgressFactory.create().id
        session.commit()
        session.expunge_all()
        progress = session.scalars(
            select(LessonProgress)
            .where(LessonProgress.id == progress_id)
            .options(joinedload(LessonProgress.enrollment))
        ).one()
        enrollment = progress.enrollment
        if loads == "little":
            session.expire(progress, ["enrollment_id"])
        progress.completed, progress.completion_date = True, enrollment.enrollment_date
        session.flush()
        # The trigger has counted the lesson, so xmin is another.
        enrollment.certificate_issued = True
        session.commit()
        assert enrollment.completed_lessons == 1


def test_many_rows_are_updated_by_core(engines: Engines, users: dict[str, UUID]) -> None:
    changes = [{"id": users["eu"], "first_name": "New"}]
    with open_session(engines) as session:
        with pytest.raises(KeyError, match="row_version"):
            session.execute(update(User), changes)
        session.rollback()
        table: Any = User.__table__
        session.execute(
            update(table)
            .where(table.c.id == func.any([each["id"] for each in changes]))
            .values(first_name="New")
        )
        session.commit()
        assert name_of(session, users["eu"]) == "New"


def test_rows_of_another_shard_are_loaded_later(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines, "asia") as session, served(engines) as nodes:
        user = session.scalars(
            select(User).where(User.id == users["eu"]).options(lazyload(User.profile))
        ).one()
        assert user.profile is not None
        session.refresh(user)
        session.expire(user)
        assert user.email
        session.expire(user.profile, ["city"])
        assert user.profile.city == "Old"
    assert set(nodes) == {REPLICA}


def test_the_autoflush_of_a_read_decides_its_node(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines, "asia") as session, served(engines) as nodes:
        card = PaymentMethod(user_id=users["eu"], method_type="paypal")
        session.add(card)
        found = session.scalars(
            select(PaymentMethod).where(PaymentMethod.user_id == users["eu"])
        ).all()
        assert found == [card]
    assert nodes == [PRIMARY, PRIMARY]


@pytest.mark.parametrize(
    "commit",
    [
        lambda session, change: (change(session), session.commit()),
        lambda session, change: _inside(session.begin(), session, change),
        lambda session, change: (change(session), session.get_transaction().commit()),
        lambda session, change: (session.begin_nested(), change(session), session.commit()),
    ],
    ids=["commit", "begin", "transaction", "savepoint"],
)
def test_every_way_to_commit_takes_a_token(
    engines: Engines, users: dict[str, UUID], commit: Callable[..., object], switches: Switches
) -> None:
    def change(session: Session) -> None:
        session.execute(update(User).where(User.id == users["eu"]).values(first_name="New"))

    with switches.replay_paused(REPLICA), open_session(engines, max_wait=0) as session:
        commit(session, change)
        assert name_of(session, users["eu"]) == "New"


def _inside(transaction: Any, session: Session, change: Callable[[Session], None]) -> None:
    with transaction:
        change(session)


def test_a_savepoint_after_a_read_is_one(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines) as session, served(engines) as nodes:
        user = session.get_one(User, users["eu"])
        savepoint = session.begin_nested()
        user.first_name = "Lost"
        session.flush()
        savepoint.rollback()
        user.last_name = "Kept"
        session.commit()
        assert (user.first_name == "Lost", user.last_name) == (False, "Kept")
    # Whoever begins anew after the commit reads the replica again, or waits for it in vain.
    assert nodes[0] == REPLICA
    assert set(nodes[1:-1]) == {PRIMARY}


def test_bulk_methods_go_home(engines: Engines, users: dict[str, UUID]) -> None:
    def new(region: str) -> User:
        return User(id=new_id(region), email=f"{region}@example.com", first_name="A", last_name="B")

    with open_session(engines, "asia") as session, served(engines) as nodes:
        session.bulk_save_objects([new("europe")])
        session.commit()
        session.bulk_save_objects([new("north_america")])
        session.commit()
        values = {"id": new_id("europe"), "email": "x@example.com", "region": "europe"}
        session.bulk_insert_mappings(
            inspect(User), [values | {"first_name": "A", "last_name": "B"}]
        )
        session.commit()
        # Nothing is left over for the next.
        session.add(new("asia"))
        session.commit()
    assert nodes == [PRIMARY, "na-primary", PRIMARY, "asia-primary"]


def test_a_row_that_was_read_on_a_replica_stays_as_it_was_read(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    # As in any session, a row that is held is not changed by reading it again.
    with switches.replay_paused(REPLICA), open_session(engines) as session:
        rename(engines, users["eu"])
        user = session.scalars(select(User).where(User.id == users["eu"])).one()
        old = user.first_name
        session.execute(update(UserProfile).values(city="New"))
        assert session.scalars(select(User)).one().first_name == old
        # Asked for, it is; and what is written on the base of the old row is refused.
        fresh = select(User).execution_options(populate_existing=True)
        assert session.scalars(fresh).one().first_name == "New" != old
        session.rollback()
    with (
        switches.replay_paused(REPLICA),
        open_session(engines, consistency="primary") as session,
    ):
        rename(engines, users["eu"], "Newest")
        assert session.get_one(User, users["eu"]).first_name == "Newest"


def test_a_deletion_reads_the_primary(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    to_many = [
        relation
        for mapper in Base.registry.mappers
        for relation in mapper.relationships
        if relation.direction.name == "ONETOMANY"
    ]
    # A deletion neither loads nor changes what belongs to the row; the database does.
    assert to_many
    assert {relation.passive_deletes for relation in to_many} == {"all"}
    with open_session(engines, "asia") as session:
        user = session.get_one(User, users["eu"])
        session.commit()
        with switches.replay_paused(REPLICA), served(engines) as nodes:
            # Expired, so it is read again.
            session.delete(user)
            session.commit()
        assert set(nodes) == {PRIMARY}


@pytest.mark.parametrize("several", [False, True])
def test_a_merge_reads_the_primary(
    engines: Engines, users: dict[str, UUID], switches: Switches, several: bool
) -> None:
    with switches.replay_paused(REPLICA), open_session(engines, "asia") as session:
        rename(engines, users["eu"])
        merged = User(id=users["eu"], last_name="Merged")
        user = session.merge_all([merged])[0] if several else session.merge(merged)
        assert user.first_name == "New"
        session.commit()
        assert user.last_name == "Merged"


async def test_events_are_those_of_the_synchronous_class(
    platform: Platform,
) -> None:
    heard: list[type] = []

    def note(session: Session) -> None:
        heard.append(type(session))

    event.listen(RoutingSession, "before_commit", note)
    try:
        async with platform.session("europe") as session:
            await session.execute(text("SELECT 1"))
            await session.commit()
    finally:
        event.remove(RoutingSession, "before_commit", note)
    assert heard == [RoutingSession]
    with pytest.raises(InvalidRequestError, match="No such event"):
        event.listen(AsyncRoutingSession, "before_commit", note)


@pytest.mark.parametrize("way", ["change", "delete", "own"])
def test_a_row_that_a_commit_has_expired_is_still_at_home(
    engines: Engines, users: dict[str, UUID], way: str
) -> None:
    with open_session(engines, "asia") as session:
        user = session.get_one(User, users["eu"])
        session.commit()
        with served(engines) as nodes:
            if way == "change":
                user.first_name = "New"
            elif way == "delete":
                session.delete(user)
            else:
                session.add(PaymentMethod(user=user, method_type="paypal"))
            session.commit()
        assert set(nodes) == {PRIMARY}
        assert way == "delete" or user.id == users["eu"]


def test_a_listener_may_write_while_a_read_is_committed(
    engines: Engines, users: dict[str, UUID]
) -> None:
    with open_session(engines) as session:

        def audit(_: Session) -> None:
            session.execute(update(User).where(User.id == users["eu"]).values(first_name="Audit"))

        event.listen(session, "before_commit", audit)
        session.get_one(User, users["eu"])
        session.commit()
        assert name_of(session, users["eu"]) == "Audit"


def test_a_failed_beginning_decides_nothing(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines, autobegin=False) as session:
        for call in (
            session.connection,
            lambda: session.bulk_save_objects([User(id=users["eu"])]),
            lambda: session.bulk_insert_mappings(inspect(User), [{"id": users["eu"]}]),
            lambda: session.bulk_update_mappings(inspect(User), [{"id": users["eu"]}]),
        ):
            with pytest.raises(InvalidRequestError, match="Autobegin is disabled"):
                call()
            with session.begin():
                session.execute(
                    update(User).where(User.id == users["asia"]).values(first_name="New")
                )


def test_what_an_autocommitted_connection_wrote_is_seen(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    with switches.replay_paused(REPLICA), open_session(engines, max_wait=0) as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        session.execute(update(User).where(User.id == users["eu"]).values(first_name="New"))
        session.rollback()
        assert name_of(session, users["eu"]) == "New"


# Of routers and replicas elsewhere


def test_what_looks_like_a_read_goes_to_the_primary(
    engines: Engines, users: dict[str, UUID]
) -> None:
    changed = (
        update(User).where(User.id == users["eu"]).values(last_name="CTE").returning(User.id).cte()
    )
    gone = delete(UserProfile).returning(UserProfile.id).cte()
    looks: list[Any] = [
        select(changed),
        select(User.id).add_cte(gone),
        select(func.enroll_user(users["eu"], users["eu"])),
        text("SELECT pg_notify('x', 'y')"),
        select(func.set_config("a.b", "c", True)),
    ]
    for statement in looks:
        with open_session(engines) as session:
            told = session.explain_route(statement)
            assert ", primary: " in told, told
    with open_session(engines) as session, served(engines) as nodes:
        session.execute(select(changed)).all()
        session.commit()
        assert session.get_one(User, users["eu"]).last_name == "CTE"
    assert nodes[0] == PRIMARY


@pytest.mark.parametrize("how", ["instead", "inside"])
def test_a_read_that_a_listener_turns_into_a_write_is_part_of_the_transaction(
    engines: Engines, users: dict[str, UUID], how: str
) -> None:
    changed = update(User).values(last_name="Listener").returning(User.id).cte()

    def rewrite(state: ORMExecuteState) -> Any:
        if not state.is_select:
            return None
        if how == "inside":
            return state.invoke_statement(select(changed))
        state.statement = select(changed)
        return None

    with open_session(engines) as session, served(engines) as nodes:
        event.listen(session, "do_orm_execute", rewrite)
        assert session.scalars(select(User.id)).all() == [users["eu"]]
        session.rollback()
    assert nodes == [PRIMARY]
    with open_session(engines, consistency="primary") as session:
        assert session.get_one(User, users["eu"]).last_name != "Listener"


def test_a_query_that_writes_goes_home(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines, "asia") as session, served(engines) as nodes:
        query = session.query(User).filter(User.id == users["eu"])
        assert query.update({"first_name": "New"}, synchronize_session="fetch") == 1
        assert query.delete(synchronize_session="evaluate") == 1
    assert set(nodes) == {PRIMARY}


def test_a_unit_of_work_never_goes_back_in_time(failover_cluster: EmbeddedCluster) -> None:
    """Two replicas, one of them behind: whichever a unit of work reads, it keeps."""
    settings = Settings.from_mapping(failover_cluster.environment())
    seen = set()
    with Engines(settings) as engines, Switches(failover_cluster) as switches:
        with open_session(engines) as session, bound(session):
            user_id = UserFactory.create(first_name="Old").id
            session.commit()
        switches.catch_up("eu-replica-1")
        switches.catch_up("eu-replica-2")
        with switches.replay_paused("eu-replica-2"):
            rename(engines, user_id)
            switches.catch_up("eu-replica-1")
            for _ in range(30):
                with open_session(engines) as session:
                    found = [name_of(session, user_id) for _ in range(3)]
                    assert len(set(found)) == 1
                    seen |= set(found)
        with open_session(engines) as session:
            session.execute(delete(User))
            session.commit()
    assert seen == {"Old", "New"}


def test_sessions_do_not_share_what_they_decide(engines: Engines, users: dict[str, UUID]) -> None:
    with (
        open_session(engines) as one,
        open_session(engines) as other,
        ThreadPoolExecutor(1) as executor,
    ):
        one.execute(update(User).values(first_name="New"))
        with served(engines) as nodes:
            other.get_one(User, users["eu"])
            executor.submit(name_of, one, users["eu"]).result()
            name_of(one, users["eu"])
            one.rollback()
            name_of(one, users["eu"])
        assert nodes == [REPLICA, PRIMARY, PRIMARY, REPLICA]


def test_an_attribute_after_a_commit_needs_no_replica(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    with (
        switches.replay_paused(REPLICA),
        open_session(engines, max_wait=0.05) as session,
        served(engines) as nodes,
    ):
        user = User(email="new@example.com", first_name="New", last_name="X")
        session.add(user)
        session.commit()
        assert user.first_name == "New"
        session.refresh(user)
    assert set(nodes) == {PRIMARY}


def test_the_position_is_taken_on_the_connection_that_committed(
    settings: Settings, users: dict[str, UUID]
) -> None:
    with Engines(settings, pool_size=1, pool_timeout=2) as engines:
        for number in range(3):
            token = rename(engines, users["eu"], f"N{number}")
            with open_session(engines, token=token) as session:
                assert name_of(session, users["eu"]) == f"N{number}"


@pytest.mark.parametrize("max_wait", [0, 0.05])
@pytest.mark.parametrize(
    ("consistency", "found", "node"),
    [("eventual", "Old", REPLICA), ("session", "New", PRIMARY), ("primary", "New", PRIMARY)],
)
def test_consistency_on_a_replica_that_stands_still(
    engines: Engines,
    users: dict[str, UUID],
    switches: Switches,
    consistency: str,
    found: str,
    node: str,
    max_wait: float,
) -> None:
    rename(engines, users["eu"], "Old")
    switches.catch_up(REPLICA)
    with switches.replay_paused(REPLICA):
        token = rename(engines, users["eu"])
        with (
            open_session(
                engines, consistency=consistency, token=token, max_wait=max_wait
            ) as session,
            served(engines) as nodes,
        ):
            assert name_of(session, users["eu"]) == found
            assert session.get_one(User, users["eu"]).first_name == found
        assert nodes == [node, node]
        # Who has written nothing may see what was.
        with open_session(engines) as session:
            assert name_of(session, users["eu"]) == "Old"


def test_a_replica_that_comes_in_time_is_read(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    # Another test may have waited for it in vain just now.
    engines.replicas("eu")[0].slow_until = 0.0
    with ThreadPoolExecutor(1) as executor, served(engines) as nodes:
        switches.pause_replay(REPLICA)
        token = rename(engines, users["eu"])

        def read() -> str:
            with open_session(engines, token=token, max_wait=20) as session:
                return name_of(session, users["eu"])

        waits = executor.submit(read)
        switches.resume_replay(REPLICA)
        assert waits.result() == "New"
    assert nodes[-1] == REPLICA


@pytest.mark.parametrize("token", ["eu:0/1", "eu:2/1"])
def test_a_token_of_another_timeline_reads_the_primary(
    engines: Engines, users: dict[str, UUID], token: str
) -> None:
    with (
        open_session(engines, token=token, max_wait=0.05) as session,
        served(engines) as nodes,
    ):
        name_of(session, users["eu"])
    assert nodes == [PRIMARY]


def test_a_stream_does_not_hold_back_later_reads(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    """A transaction on a replica is READ COMMITTED: it goes on with the replica."""
    names = select(User.first_name).execution_options(yield_per=1)
    with open_session(engines) as session, served(engines) as nodes:
        before = session.scalars(names).all()
        rename(engines, users["eu"])
        switches.catch_up(REPLICA)
        assert session.scalars(names).all() == ["New"] != before
    assert nodes == [REPLICA, PRIMARY, REPLICA]


def test_a_write_on_the_base_of_an_old_read_is_refused(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    with switches.replay_paused(REPLICA), open_session(engines) as session:
        rename(engines, users["eu"])
        user = session.get_one(User, users["eu"])
        user.last_name = str(user.first_name)
        with pytest.raises(StaleDataError):
            session.commit()
        session.rollback()
        # Read from the primary first, it is sound.
        session.refresh(user, with_for_update=True)
        user.last_name = str(user.first_name)
        session.commit()
        assert user.last_name == "New"


def test_settings_without_shards_are_refused() -> None:
    with pytest.raises(SettingsError, match="ELEARNING_SHARDS"):
        Settings.from_mapping({})


def test_an_inequality_names_no_shard(engines: Engines, users: dict[str, UUID]) -> None:
    with open_session(engines, "asia") as session, served(engines) as nodes:
        session.execute(update(User).where(User.id <= users["eu"]).values(first_name="X"))
        session.execute(delete(User).where(User.id.between(users["eu"], users["na"])))
    assert set(nodes) == {"asia-primary"}


# Tokens


def test_threads_share_a_token(
    engines: Engines, users: dict[str, UUID], switches: Switches
) -> None:
    token = Token()

    def work(number: int) -> int:
        shard = ("na", "eu", "asia")[number % 3]
        with RoutingSession(engines=engines, token=token) as session:
            card = PaymentMethod(user_id=users[shard], method_type="paypal")
            session.add(card)
            session.commit()
            card_id = card.id
        with RoutingSession(engines=engines, token=token, max_wait=0) as session:
            assert session.get(PaymentMethod, card_id) is not None
        return number

    with switches.replay_paused(REPLICA), ThreadPoolExecutor(6) as executor:
        assert sorted(executor.map(work, range(30))) == list(range(30))
        assert set(token) == {"na", "eu", "asia"}
        # None of them has taken the others' positions back.
        before = dict(token)
        with RoutingSession(engines=engines, token=token) as session:
            session.scalars(select(User).where(User.id == users["eu"])).all()
        assert all(token[shard] >= position for shard, position in before.items())


JOB = """
import json, sys
from sqlalchemy import select
from elearning.cluster.embedded.credentials import SUPERUSER
from elearning.config import Settings
from elearning.models import User
from elearning.routing import Engines, RoutingSession

job = json.load(sys.stdin)
with Engines(Settings.from_mapping(job["settings"])) as engines:
    session = RoutingSession(engines=engines, region="europe", token=job["token"], max_wait=0)
    with session:
        print(session.scalar(select(User.first_name)))
"""


def test_a_token_goes_with_a_job_to_another_process(
    engines: Engines, users: dict[str, UUID], switches: Switches, cluster: EmbeddedCluster
) -> None:
    def run(token: str) -> str:
        job = json.dumps({"settings": cluster.environment(), "token": token})
        done = subprocess.run(
            [sys.executable, "-c", JOB], input=job, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    rename(engines, users["eu"], "Old")
    switches.catch_up(REPLICA)
    with switches.replay_paused(REPLICA):
        token = rename(engines, users["eu"])
        assert run(str(token)) == "New"
        assert run("") == "Old"


async def test_tasks_have_sessions_of_their_own(
    platform: Platform, engines: Engines, switches: Switches
) -> None:
    token = Token()

    async def work(number: int) -> None:
        async with platform.session("europe", token=token) as session:
            user = User(email=f"u{number}@example.com", first_name="A", last_name="B")
            session.add(user)
            await session.commit()
        async with platform.session("europe", token=token) as session:
            session.sync_session.max_wait = 0
            assert await session.get(User, user.id)

    with switches.replay_paused(REPLICA):
        await asyncio.gather(*(work(number) for number in range(8)))
