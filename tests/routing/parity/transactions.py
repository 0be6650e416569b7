"""Scenarios of transactions, options, errors and events."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import event, func, insert, select, text, update
from sqlalchemy.orm import (
    ORMExecuteState,
    Session,
    SessionTransactionOrigin,
    close_all_sessions,
    lazyload,
    scoped_session,
    with_loader_criteria,
)

from elearning.models import CourseCategory, PaymentMethod, User, UserProfile
from tests.routing.parity.world import ANNA, BEN, CARA, DAN, MATHS, World, names, raised
from tests.routing.parity.writing import dan, rows


def rename(s: Session, name: str = "New", one: Any = ANNA) -> None:
    s.execute(update(User).where(User.id == one).values(last_name=name))


def name_of(s: Session, one: Any = ANNA) -> str | None:
    return s.scalar(select(User.last_name).where(User.id == one))


def commit_and_rollback(world: World) -> object:
    with world.open() as s:
        rename(s)
        s.rollback()
        first = name_of(s)
        rename(s)
        s.commit()
        s.rollback()
        s.commit()
        return first, name_of(s)


def rollback_restores_rows(world: World) -> object:
    with world.open() as s:
        anna, ben = s.get_one(User, ANNA), s.get_one(User, BEN)
        new = dan()
        s.add(new)
        s.delete(ben)
        anna.last_name = "New"
        s.flush()
        s.rollback()
        return anna.last_name, ben in s, new in s, ben.first_name


def state_of_a_transaction(world: World) -> object:
    with world.open() as s:
        states = [s.in_transaction(), s.get_transaction() is None, s.is_active]
        rename(s)
        found = s.get_transaction()
        assert found is not None
        states += [s.in_transaction(), found.origin is SessionTransactionOrigin.AUTOBEGIN]
        states += [s.in_nested_transaction(), s.get_nested_transaction() is None, found.nested]
        with s.begin_nested() as nested:
            states += [s.in_nested_transaction(), s.get_nested_transaction() is nested]
            states += [nested.parent is found, nested.nested, s.get_transaction() is found]
        states += [s.in_nested_transaction(), found.is_active]
        s.commit()
        return [*states, s.in_transaction(), found.is_active, s.is_active]


def begin(world: World) -> object:
    with world.open() as s:
        with s.begin() as transaction:
            rename(s)
            inside = s.get_transaction() is transaction, raised(s.begin)
        committed = name_of(s)
        s.rollback()
        with suppress(LookupError), s.begin():
            rename(s, "Lost")
            raise LookupError
        after = name_of(s)
        s.rollback()
        explicit = s.begin()
        rename(s, "Explicit")
        explicit.commit()
        explicit = s.begin()
        rename(s, "Lost")
        explicit.rollback()
        return inside, committed, after, name_of(s)


def begin_after_a_read(world: World) -> object:
    with world.open() as s:
        name_of(s)
        return raised(s.begin)


def reads_and_writes_inside_begin(world: World) -> object:
    with world.open() as s, s.begin():
        anna = s.get_one(User, ANNA)
        count = s.scalar(select(func.count()).select_from(User))
        anna.last_name = "New"
        s.add(dan())
        return count, s.scalar(select(func.count()).select_from(User)), name_of(s)


def commit_inside_begin(world: World) -> object:
    with world.open() as s, s.begin():
        rename(s)
        s.commit()
        return raised(lambda: name_of(s)), s.in_transaction()


def savepoint_released(world: World) -> object:
    with world.open() as s:
        with s.begin_nested():
            rename(s)
            s.add(dan())
        before = name_of(s)
        s.commit()
        return before, names(s.scalars(select(User)))


def savepoint_rolled_back(world: World) -> object:
    with world.open() as s:
        rename(s, "Kept", BEN)
        savepoint = s.begin_nested()
        new = dan()
        s.add(new)
        rename(s, "Lost")
        savepoint.rollback()
        before = name_of(s), new in s
        s.commit()
        return before, name_of(s, BEN)


def savepoint_after_a_read(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        with suppress(LookupError), s.begin_nested():
            anna.last_name = "Lost"
            s.flush()
            raise LookupError
        back = anna.last_name
        with s.begin_nested():
            inside = name_of(s)
            anna.last_name = "Kept"
        s.commit()
        return back, inside, anna.last_name


def savepoints_in_savepoints(world: World) -> object:
    with world.open() as s:
        with s.begin_nested():
            rename(s, "One")
            inner = s.begin_nested()
            rename(s, "Two")
            deepest = s.begin_nested()
            rename(s, "Three")
            deepest.rollback()
            two = name_of(s)
            inner.rollback()
            one = name_of(s)
            with s.begin_nested():
                rename(s, "Ben", BEN)
        s.commit()
        return two, one, name_of(s), name_of(s, BEN)


def commit_ends_all_savepoints(world: World) -> object:
    with world.open() as s:
        s.begin_nested()
        rename(s)
        s.begin_nested()
        rename(s, "Newer")
        s.commit()
        return s.in_transaction(), name_of(s)


def savepoints_around_bad_rows(world: World) -> object:
    errors: list[str] = []
    with world.open() as s:
        for email in ("one@example.com", "anna@example.com", "two@example.com", "NO"):
            user = dan(id=rows()[len(errors) % 3]["id"], email=email)

            def insert_one(user: User = user) -> None:
                with s.begin_nested():
                    s.add(user)

            errors.append(raised(insert_one))
        s.commit()
        return errors, len(s.scalars(select(User)).all())


def errors_then_rollback(world: World) -> object:
    with world.open() as s:
        s.add(dan(email="anna@example.com"))
        first = raised(s.flush)
        state = s.is_active, s.in_transaction()
        pending = raised(lambda: name_of(s)), raised(s.commit)
        s.rollback()
        rename(s)
        s.commit()
        return first, state, pending, name_of(s)


def a_failed_commit(world: World) -> object:
    with world.open() as s:
        s.add(dan(email="anna@example.com"))
        first = raised(s.commit)
        again = raised(s.commit)
        s.rollback()
        s.add(dan())
        s.commit()
        return first, again, names(s.scalars(select(User)))


def errors_of_statements(world: World) -> object:
    with world.open() as s:
        errors = [
            raised(lambda: s.execute(text("SELECT nonsense"))),
            raised(lambda: s.execute(select(User.id))),
        ]
        s.rollback()
        errors += [
            raised(lambda: s.execute(insert(User), rows(email="anna@example.com"))),
        ]
        s.rollback()
        wrong: Any = "SELECT 1"
        errors += [
            raised(lambda: s.execute(wrong)),
            raised(lambda: s.execute(None)),  # type: ignore[call-overload]
            # Not of an id: what can be none is InvalidId, before PostgreSQL is asked.
            raised(lambda: s.scalars(select(User).where(User.first_name == b"\x00")).all()),
        ]
        s.rollback()
        errors += [raised(lambda: s.add(wrong)), raised(lambda: s.delete(wrong))]
        errors += [raised(lambda: s.merge(wrong)), raised(lambda: s.refresh(wrong))]
        errors += [raised(lambda: s.expunge(dan())), raised(lambda: s.expire(dan()))]
        errors += [raised(lambda: s.delete_all([wrong])), raised(lambda: s.merge_all([wrong]))]
        errors += [raised(lambda: s.bulk_save_objects([wrong]))]
        return errors, name_of(s)


def stale_rows(world: World) -> object:
    with world.open() as s, world.open() as other:
        anna, maths = s.get_one(User, ANNA), s.get_one(CourseCategory, MATHS)
        other.get_one(User, ANNA).last_name = "Other"
        other.get_one(CourseCategory, MATHS).description = "Other"
        other.commit()
        anna.last_name = "Mine"
        errors = [raised(s.commit)]
        s.rollback()
        maths = s.get_one(CourseCategory, MATHS)
        s.execute(text("UPDATE course_categories SET version = version + 1"))
        maths.description = "Mine"
        errors.append(raised(s.commit))
        s.rollback()
        return errors


def rows_deleted_elsewhere(world: World) -> object:
    with world.open() as s:
        ben = s.get_one(User, BEN)
        s.execute(text("DELETE FROM users WHERE id = :id"), {"id": BEN})
        ben.last_name = "New"
        error = raised(s.flush)
        s.rollback()
        return error, ben.last_name


def close(world: World) -> object:
    s = world.open()
    anna = s.get_one(User, ANNA)
    s.add(dan())
    rename(s)
    s.close()
    states = anna in s, s.in_transaction(), list(s.new)
    found = name_of(s)
    s.close()
    return states, anna.first_name, found


def close_for_good(world: World) -> object:
    s = world.open(close_resets_only=False)
    anna = s.get_one(User, ANNA)
    s.close()
    return raised(lambda: name_of(s)), raised(lambda: s.add(dan())), raised(s.begin), anna in s


def reset(world: World) -> object:
    s = world.open(close_resets_only=False)
    rename(s)
    s.reset()
    return name_of(s), s.in_transaction()


def invalidate(world: World) -> object:
    s = world.open()
    rename(s)
    s.invalidate()
    return s.in_transaction(), name_of(s)


def detached_rows(world: World) -> object:
    with world.open() as s:
        anna = s.scalars(select(User).where(User.id == ANNA).options(lazyload("*"))).one()
        ben = s.get_one(User, BEN)
        s.commit()
    with world.open() as s:
        cara = s.scalars(select(User).where(User.id == CARA).options(lazyload("*"))).one()
    return (
        raised(lambda: anna.first_name),
        raised(lambda: ben.first_name),
        raised(lambda: cara.profile),
    )


def without_autobegin(world: World) -> object:
    with world.open(autobegin=False) as s:
        errors = [
            raised(lambda: name_of(s)),
            raised(lambda: s.get(User, ANNA)),
            raised(s.connection),
            raised(lambda: s.add(dan())),
            raised(lambda: s.merge(dan())),
            raised(lambda: s.bulk_save_objects([dan()])),
            raised(lambda: s.bulk_insert_mappings(User, rows())),
            raised(s.commit),
            raised(s.begin_nested),
        ]
        found = s.in_transaction()
        s.rollback()
        with s.begin():
            rename(s)
        return errors, found, s.in_transaction(), raised(lambda: name_of(s))


def info(world: World) -> object:
    given = {"key": 1}
    with world.open(info=given) as s:
        s.info["other"] = 2
        return s.info, given


def prepare(world: World) -> object:
    with world.open() as s:
        rename(s)
        return raised(s.prepare)


def two_phases(world: World) -> object:
    with world.open(twophase=True) as s:
        reads = name_of(s)
        rename(s)
        # The servers of the tests may not prepare transactions.
        errors = raised(s.commit)
        s.rollback()
        return reads, errors, s.in_transaction()


def a_connection(world: World) -> object:
    with world.open() as s:
        connection = s.connection()
        same = (
            s.connection() is connection,
            s.connection(bind_arguments={"mapper": User}) is connection,
        )
        connection.execute(update(User).where(User.id == ANNA).values(last_name="New"))
        seen = name_of(s)
        s.rollback()
        return same, seen, connection.closed, name_of(s)


def a_connection_after_a_read(world: World) -> object:
    with world.open() as s:
        name_of(s)
        s.connection().execute(update(User).where(User.id == ANNA).values(last_name="New"))
        s.commit()
        return name_of(s)


def a_bind_of_ones_own(world: World) -> object:
    with world.open() as s:
        found = s.scalar(
            select(User.last_name).where(User.id == ANNA), bind_arguments={"bind": world.engine}
        )
        bind = s.get_bind(bind=world.engine) is world.engine
        name = s.connection(bind_arguments={"bind": world.engine}).engine is world.engine
        return found, bind, name


def binds_of_a_session(world: World) -> object:
    with world.open(bind=None, binds={User: world.engine, UserProfile: world.engine}) as s:
        name = s.get_one(User, ANNA).first_name
        s.bind_mapper(PaymentMethod, world.engine)
        s.bind_table(CourseCategory.__table__, world.engine)  # type: ignore[arg-type]
        return (
            name,
            len(s.scalars(select(PaymentMethod)).all()),
            len(s.scalars(select(CourseCategory)).all()),
        )


def binds_of_a_base(world: World) -> object:
    from elearning.models import Base  # noqa: PLC0415

    with world.open(bind=None, binds={Base: world.engine}) as s:
        s.get_one(User, ANNA).last_name = "New"
        s.commit()
        return name_of(s)


def joined_to_a_connection(world: World) -> object:
    found: list[object] = []
    modes: list[Any] = [
        "conditional_savepoint",
        "rollback_only",
        "control_fully",
        "create_savepoint",
    ]
    for mode in modes:
        for nested in (False, True):
            with world.engine.connect() as connection:
                outer = connection.begin()
                if nested:
                    connection.begin_nested()
                with world.open(bind=connection, join_transaction_mode=mode) as s:
                    rename(s, "One")
                    s.commit()
                    after_commit = outer.is_active
                    if outer.is_active:
                        rename(s, "Two")
                        with s.begin_nested():
                            rename(s, "Three")
                        s.rollback()
                    found.append((mode, nested, after_commit, outer.is_active))
                if outer.is_active:
                    found.append(connection.scalar(select(User.last_name).where(User.id == ANNA)))
                    outer.rollback()
            with world.engine.begin() as connection:
                found.append(connection.scalar(select(User.last_name).where(User.id == ANNA)))
                connection.execute(update(User).values(last_name="Old"))
    return found


def the_test_suite_recipe(world: World) -> object:
    """A session in a transaction that is rolled back whatever it does."""
    with world.engine.connect() as connection:
        outer = connection.begin()
        with world.open(bind=connection, join_transaction_mode="create_savepoint") as s:
            s.add(dan())
            s.commit()
            s.add(dan())
            errors = raised(s.commit)
            s.rollback()
            rename(s)
            s.commit()
            inside = len(s.scalars(select(User)).all()), name_of(s)
        outer.rollback()
    return errors, inside


def a_sessionmaker(world: World) -> object:
    maker = world.maker(expire_on_commit=False, info={"a": 1})
    heard: list[str] = []
    event.listen(maker, "before_commit", lambda _: heard.append("commit"))
    with maker.begin() as s:
        rename(s)
        s.add(dan())
    with maker(autoflush=False) as s:
        state = s.autoflush, s.expire_on_commit, dict(s.info), isinstance(s, world.cls)
        found = name_of(s)
    maker.configure(autoflush=False)
    with maker() as s:
        return state, found, s.autoflush, heard, s.object_session(dan())


def a_scoped_session(world: World) -> object:
    scoped = scoped_session(world.maker())
    scoped.add(dan())
    scoped.execute(update(User).where(User.id == ANNA).values(last_name="New"))
    scoped.commit()
    anna = scoped.get_one(User, ANNA)
    states = anna in scoped, scoped() is scoped.registry(), anna.last_name
    with scoped.begin_nested():
        scoped.merge(User(id=BEN, last_name="Merged"))
    scoped.commit()
    query = scoped.query_property()
    found = len(query.__get__(None, User).all())
    scoped.remove()
    close_all_sessions()
    return states, found, anna in scoped


def sessions_at_once(world: World) -> object:
    with world.open() as one, world.open() as other:
        rename(one)
        before = name_of(other)
        one.commit()
        return before, name_of(one)


def events_that_write(world: World) -> object:
    heard: list[str] = []
    with world.open() as s:

        def before_flush(session: Session, *_: object) -> None:
            for row in session.new:
                if isinstance(row, User):
                    row.last_name = "Flushed"
            heard.append(f"{len(session.new)} {len(session.dirty)} {len(session.deleted)}")

        def before_commit(session: Session) -> None:
            session.execute(update(User).where(User.id == BEN).values(last_name="Committed"))
            heard.append("commit")

        def after_flush(session: Session, _: object) -> None:
            found = session.connection().scalar(select(func.count()).select_from(User.__table__))
            heard.append(f"flushed {found}")

        def after_begin(_: Session, __: object, connection: Any) -> None:
            heard.append("begin" if not connection.closed else "closed")

        def after_commit(session: Session) -> None:
            heard.append(f"committed {raised(lambda: name_of(session))}")

        event.listen(s, "before_flush", before_flush)
        event.listen(s, "before_commit", before_commit)
        event.listen(s, "after_flush", after_flush)
        event.listen(s, "after_begin", after_begin)
        event.listen(s, "after_commit", after_commit)
        event.listen(s, "after_rollback", lambda _: heard.append("rollback"))
        s.add(dan())
        s.commit()
        s.add(dan())
        raised(s.flush)
        s.rollback()
        return heard, name_of(s, DAN), name_of(s, BEN)


def rows_added_while_flushing(world: World) -> object:
    with world.open() as s:

        def before_flush(session: Session, *_: object) -> None:
            for row in list(session.new):
                if isinstance(row, User):
                    session.add(UserProfile(id=rows()[0]["id"], user_id=BEN, city="Accra"))

        event.listen(s, "before_flush", before_flush)
        s.add(dan())
        s.commit()
        return s.scalars(select(UserProfile.city).order_by(UserProfile.city)).all()


def events_of_statements(world: World) -> object:
    heard: list[object] = []
    with world.open() as s:

        def note(state: ORMExecuteState) -> None:
            heard.append(
                (
                    state.is_select,
                    state.is_insert,
                    state.is_update,
                    state.is_delete,
                    state.is_orm_statement,
                    state.is_relationship_load,
                    state.is_column_load,
                    state.is_executemany,
                    state.bind_mapper and state.bind_mapper.class_.__name__,
                    [each.class_.__name__ for each in state.all_mappers],
                )
            )

        event.listen(s, "do_orm_execute", note)
        anna = s.get_one(User, ANNA)
        s.scalars(select(User).where(User.id == BEN).options(lazyload("*"))).one().payment_methods  # noqa: B018
        s.execute(text("SELECT 1"))
        s.execute(insert(User), rows())
        rename(s)
        s.refresh(anna)
        s.expire(anna)
        anna.first_name  # noqa: B018
        s.query(User).filter_by(id=DAN).delete()
        s.execute(select(User.__table__.c.id))
        return heard


def an_event_that_changes_statements(world: World) -> object:
    with world.open() as s:

        def limit(state: ORMExecuteState) -> None:
            if state.is_select:
                state.statement = state.statement.where(User.id != BEN)  # type: ignore[attr-defined]

        event.listen(s, "do_orm_execute", limit)
        return names(s.scalars(select(User))), s.get(User, BEN), s.get_one(User, ANNA).first_name


def an_event_that_adds_criteria(world: World) -> object:
    with world.open() as s:

        def limit(state: ORMExecuteState) -> None:
            if state.is_select and not state.is_column_load:
                only = with_loader_criteria(User, lambda cls: cls.first_name != "Ben")
                state.statement = state.statement.options(only)

        event.listen(s, "do_orm_execute", limit)
        return names(s.scalars(select(User))), s.get(User, BEN), s.query(User).count()


def an_event_that_answers_itself(world: World) -> object:
    with world.open() as s:
        held: dict[str, Any] = {}

        def cached(state: ORMExecuteState) -> Any:
            if not state.is_select:
                return None
            if "result" not in held:
                held["result"] = state.invoke_statement().freeze()
            return held["result"]()

        event.listen(s, "do_orm_execute", cached)
        first = names(s.scalars(select(User)))
        rename(s, "New")
        s.execute(text("DELETE FROM users WHERE id = :id"), {"id": CARA})
        return first, names(s.scalars(select(User))), s.get_one(User, ANNA).first_name


def an_event_that_invokes_another_statement(world: World) -> object:
    with world.open() as s:

        def other(state: ORMExecuteState) -> Any:
            if state.is_select:
                return state.invoke_statement(
                    statement=select(User).where(User.id == BEN),
                    execution_options={"populate_existing": True},
                )
            return None

        event.listen(s, "do_orm_execute", other)
        return names(s.scalars(select(User)))


def an_event_that_adds_options(world: World) -> object:
    with world.open() as s:
        anna = s.get_one(User, ANNA)
        s.execute(
            update(User).where(User.id == ANNA).values(last_name="New"),
            execution_options={"synchronize_session": False},
        )

        def fresh(state: ORMExecuteState) -> None:
            state.update_execution_options(populate_existing=True)

        event.listen(s, "do_orm_execute", fresh)
        s.scalars(select(User)).all()
        return anna.last_name


def an_event_that_writes_on_a_read(world: World) -> object:
    with world.open() as s:

        def audit(state: ORMExecuteState) -> None:
            if state.is_select:
                state.session.execute(
                    insert(CourseCategory),
                    [{"id": DAN, "slug": "audit", "category_name": "audit"}],
                )

        event.listen(s, "do_orm_execute", audit)
        found = name_of(s)
        s.commit()
        return found
