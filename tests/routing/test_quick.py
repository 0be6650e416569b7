"""What psycopg executes by itself is what SQLAlchemy would have made of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
    Uuid,
    bindparam,
    cast,
    delete,
    event,
    func,
    inspect,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, PendingRollbackError, StatementError
from sqlalchemy.orm import Bundle, Session, aliased, joinedload, selectinload
from sqlalchemy.types import TypeDecorator, TypeEngine

from elearning.config import Settings
from elearning.crud import list_enrollments, list_users
from elearning.errors import AccountNotActive, InvalidPage, UserNotFound
from elearning.ids import new_id
from elearning.models import Course, Enrollment, User, UserStatus
from elearning.routing import (
    AsyncReadSession,
    AsyncRoutingSession,
    Engines,
    RoutingSession,
    page_of,
)
from elearning.routing.quick import Quick
from elearning.routing.rows import may_be_plain, reader_of
from elearning.routing.statements import form_of
from elearning.testing.factories import CourseFactory, EnrollmentFactory, UserFactory, bound

pytestmark = pytest.mark.usefixtures("empty_databases")


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> list[Quick]:
    """Note what is executed by psycopg itself."""
    used: list[Quick] = []
    rows = Quick.rows

    def noted(self: Quick, *arguments: Any) -> Any:
        used.append(self)
        return rows(self, *arguments)

    monkeypatch.setattr(Quick, "rows", noted)
    return used


class Shout(TypeDecorator[str]):
    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, _: object) -> str | None:
        return None if value is None else value.lower()

    def process_result_value(self, value: str | None, _: object) -> str | None:
        return None if value is None else value.upper()


VALUES: list[tuple[TypeEngine[Any], Any]] = [
    (Uuid(), new_id("europe")),
    (String(), "ä%s %(x)s ' \" \\ :x"),
    (Integer(), -(2**31)),
    (Numeric(10, 2), Decimal("12.30")),
    (Numeric(10, 2, asdecimal=False), 12.5),
    (Boolean(), True),
    (DateTime(timezone=True), datetime(2026, 11, 29, 1, 2, 3, 4, UTC)),
    (Date(), datetime(2026, 2, 28, tzinfo=UTC).date()),
    (LargeBinary(), b"\0\xff"),
    (JSON(), {"a": [1, None, "x"]}),
    (ARRAY(Integer), [1, 2, 3]),
    (User.status.type, UserStatus.SUSPENDED),
    (Shout(), "Loud"),
]


WAYS = [
    pytest.param(kind, value, way, id=f"{type(kind).__name__}-{type(value).__name__}-{way}")
    for kind, value in VALUES
    for way in ("fixed", "given", "literal", "null")
    # SQLAlchemy writes no such values into SQL.
    if way != "literal" or not isinstance(kind, LargeBinary | JSON)
]


@pytest.mark.parametrize(("kind", "value", "way"), WAYS)
def test_values_go_there_and_back(
    engines: Engines, quickly: list[Quick], kind: TypeEngine[Any], value: Any, way: str
) -> None:
    if way == "literal":
        part: Any = literal(value, kind, literal_execute=True)
    elif way == "fixed":
        part = literal(value, kind)
    else:
        part = bindparam("x", type_=kind)
    parameters = {"x": None if way == "null" else value} if way in {"given", "null"} else None
    statement = select(cast(part, kind).label("a b"), func.now() > literal(None, DateTime))
    with RoutingSession(engines=engines, region="europe") as session:
        expected = [tuple(row) for row in session.execute(statement, parameters)]
        # Once to see it, and twice by psycopg.
        for _ in range(3):
            assert session.rows(statement, parameters) == expected
            assert session.scalar(statement, parameters) == expected[0][0]
    # Other literal values cannot be told apart.
    if way != "literal" or isinstance(value, UUID | str | int):
        assert len(quickly) >= 5
    if way != "null" and not isinstance(kind, Shout):
        assert expected[0][0] == value


def test_nobody_listens_or_all_is_heard(engines: Engines, quickly: list[Quick]) -> None:
    heard: list[str] = []
    user_id = _user(engines)

    def note(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        heard.append(sql)

    def read() -> None:
        quickly.clear()
        with RoutingSession(engines=engines) as session:
            assert session.get(User, user_id) is not None

    read()
    read()
    assert len(quickly) == 1
    nodes = [engines.primary("eu"), *engines.replicas("eu")]
    for node in nodes:
        event.listen(node.reader, "before_cursor_execute", note)
    read()
    assert len(heard) == 1
    assert not quickly
    for node in nodes:
        event.remove(node.reader, "before_cursor_execute", note)
    read()
    assert len(heard) == 1
    assert len(quickly) == 1


def _user(engines: Engines, **fields: Any) -> UUID:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user_id = UserFactory.create(**fields).id
        session.commit()
        # The replica has it from here on.
        session.scalars(select(User.id).where(User.id == user_id)).one()
    return user_id


def test_what_is_logged_is_logged(
    engines: Engines, quickly: list[Quick], caplog: pytest.LogCaptureFixture
) -> None:
    statement = select(func.upper(bindparam("x", type_=String)))
    logger = logging.getLogger("sqlalchemy.engine.Engine")
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(2):
            session.scalar(statement, {"x": "a"})
    quickly.clear()
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with (
            caplog.at_level(logging.INFO, "sqlalchemy.engine.Engine"),
            Engines(engines.settings) as others,
            RoutingSession(engines=others, region="europe") as session,
        ):
            assert session.scalar(statement, {"x": "a"}) == "A"
    finally:
        logger.setLevel(level)
    assert "upper" in caplog.text
    assert not quickly


def test_schema_names_are_translated(engines: Engines, quickly: list[Quick]) -> None:
    statement = select(User.first_name).where(User.id == bindparam("id"))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(2):
            session.scalar(statement, {"id": new_id("europe")})
        quickly.clear()
        session.rollback()
        session.connection(execution_options={"schema_translate_map": {None: "nowhere"}})
        with pytest.raises(DBAPIError, match="nowhere"):
            session.scalar(statement, {"id": new_id("europe")})
    assert not quickly


def test_errors_are_those_of_sqlalchemy(engines: Engines, quickly: list[Quick]) -> None:
    statement = select(literal(1) / bindparam("x", type_=Integer))
    calls = select(func.enroll_user(bindparam("u", type_=Uuid), bindparam("c", type_=Uuid)))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(2):
            assert session.scalar(statement, {"x": 1}) == 1
        quickly.clear()
        with pytest.raises(DBAPIError, match="division by zero") as quick:
            session.scalar(statement, {"x": 0})
        assert len(quickly) == 1
        with pytest.raises(DBAPIError, match="division by zero") as slow:
            session.execute(statement, {"x": 0})
        assert type(quick.value) is type(slow.value)
        assert str(quick.value) == str(slow.value)
        for parameters in ({}, {"y": 1}, None):
            with pytest.raises(StatementError, match="value is required for bind parameter 'x'"):
                session.scalar(statement, parameters)
    for _ in range(3):
        with RoutingSession(engines=engines, region="europe") as session:
            with pytest.raises(UserNotFound):
                session.scalar(calls, {"u": new_id("europe"), "c": new_id("europe")})
            with pytest.raises(DBAPIError, match="current transaction is aborted"):
                session.scalar(statement, {"x": 1})
    assert len(quickly) > 2


def test_a_value_that_no_type_takes(engines: Engines) -> None:
    statement = select(cast(bindparam("x", type_=Boolean), Boolean))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            with pytest.raises(StatementError, match="Not a boolean value"):
                session.scalar(statement, {"x": "neither"})
            assert session.scalar(statement, {"x": True}) is True


def test_statements_alike_have_values_of_their_own(engines: Engines, quickly: list[Quick]) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        for n in range(4):
            assert session.scalar(select(literal(n) + literal(10 * n))) == 11 * n
            assert session.scalar(select(literal(n, literal_execute=True))) == n
            # Once with a value of its own, and once without.
            assert session.scalar(select(bindparam("x", n, type_=Integer))) == n
            assert session.scalar(select(bindparam("x", type_=Integer)), {"x": -n}) == -n
            assert session.scalar(select(bindparam("x", n, type_=Integer)), {"x": -n}) == -n
            calls = bindparam("y", callable_=partial(int, n), type_=Integer)
            assert session.scalar(select(calls)) == n
    assert quickly


def test_pages_of_alike_statements(engines: Engines, quickly: list[Quick]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        people = [EnrollmentFactory.create().user_id for _ in range(3)]
        UserFactory.create(status="suspended")
        session.commit()
        for _ in range(2):
            for user_id in people:
                (item,) = list_enrollments(user_id).page(session).items
                found = session.get_one(Enrollment, item.enrollment_id)
                assert found.user_id == user_id
            numbers = [
                len(list_users(status=status).page(session, size=50).items)
                for status in ("active", "suspended", "inactive")
            ]
            assert numbers[1:] == [1, 0]
            assert numbers[0] >= 3
            first = list_users(search="x").page(session)
            assert first.items == []
        every = [one.id for one in list_users().page(session).items]
        one = list_users().page(session, size=1)
        rest = list_users().page(session, size=50, after=one.next)
        assert [each.id for each in (*one.items, *rest.items)] == every
    assert quickly


def test_what_is_pending_is_written_first(engines: Engines, quickly: list[Quick]) -> None:
    count = select(func.count()).select_from(User.__table__)
    with RoutingSession(engines=engines, region="europe", consistency="primary") as session:
        for _ in range(3):
            assert session.scalar(count) == 0
        assert quickly
        with bound(session):
            user = UserFactory.build(status="active")
        session.add(user)
        assert session.scalar(count) == 1
        user.status = UserStatus.SUSPENDED
        calls = select(func.enroll_user(user.id, new_id("europe")))
        for _ in range(3):
            with pytest.raises(AccountNotActive), session.begin_nested():
                session.scalar(calls)
            session.expire_all()
            user.status = UserStatus.SUSPENDED


class Told:
    """Looks like all of its kind, as a secret does."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "***"


class ToldText(TypeDecorator[Told]):
    impl = String
    cache_ok = True

    def process_literal_param(self, value: Told | None, _: object) -> str:
        return "" if value is None else value.text


def test_literals_that_look_alike(engines: Engines) -> None:
    with RoutingSession(engines=engines, region="europe") as session:
        for n in range(4):
            told = literal(Told(f"pw{n}"), ToldText, literal_execute=True)
            assert session.scalar(select(func.concat(told, ""))) == f"pw{n}"
        given = select(bindparam("x", 1, type_=Integer, literal_execute=True))
        for n in (5, 5, 6):
            assert session.scalar(given, {"x": n}) == n
            assert session.scalar(given) == 1
        required = select(bindparam("x", type_=Integer, literal_execute=True))
        for n in (5, 5, 6):
            assert session.scalar(required, {"x": n}) == n


def test_one_parameter_in_two_places(engines: Engines) -> None:
    both = select(bindparam("x", type_=JSON), cast(bindparam("x", type_=JSON), JSON))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            assert session.rows(both, {"x": {"a": 1}}) == [({"a": 1}, {"a": 1})]


def test_a_function_beside_an_entity_is_called_once(engines: Engines) -> None:
    user_id = _user(engines)
    with RoutingSession(engines=engines, region="europe") as session:
        session.execute(text("CREATE TEMP SEQUENCE counted"))
        statement = select(User, func.nextval("counted")).where(User.id == user_id)
        for n in range(1, 5):
            ((user, number),) = session.rows(statement)
            assert number == n
            session.expire(user, ["first_name"])


def test_pages_by_orders_with_values(engines: Engines) -> None:
    def by(value: int) -> Select[*tuple[Any, ...]]:
        return select(User).order_by((func.length(User.first_name) * value).desc(), User.id)

    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        for name in ("A", "Bea", "Cleo1", "Di"):
            UserFactory.create(first_name=name)
        session.flush()
        names: dict[int, list[str]] = {}
        for value in (1, -1, 1, -1):
            first = page_of(session, by(value), size=2)
            rest = page_of(session, by(value), size=2, after=first.next)
            found = [row[0].first_name for row in (*first.rows, *rest.rows)]
            assert names.setdefault(value, found) == found
            with pytest.raises(InvalidPage):
                page_of(session, by(-value), size=2, after=first.next)
        assert names[1] == ["Cleo1", "Bea", "Di", "A"]
        assert names[-1] == ["A", "Di", "Bea", "Cleo1"]


def test_rows_of_pages_are_read_by_the_statements_own_expressions(engines: Engines) -> None:
    _user(engines, first_name="Ada")
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            label = func.upper(User.first_name).label("capitals")
            (row,) = page_of(session, select(User.id, label).order_by(User.id), size=2).rows
            assert row._mapping[label] == "ADA"


def test_parameters_of_pages(engines: Engines) -> None:
    statement = select(User).where(User.first_name == bindparam("name", "Ada")).order_by(User.id)
    _user(engines, first_name="Ada")
    _user(engines, first_name="Bea")
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            for name in ("Ada", "Bea", "Cleo"):
                page = page_of(session, statement, {"name": name}, size=2)
                assert [row[0].first_name for row in page.rows] == [name][: name != "Cleo"]
            (row,) = page_of(session, statement, size=2).rows
            assert row[0].first_name == "Ada"


def test_whoever_executes_is_asked(engines: Engines) -> None:
    heard: list[str] = []
    statement = select(func.lower(bindparam("x", type_=String)))

    def note(_cursor: object, sql: str, *_: object) -> None:
        heard.append(sql)

    engine = engines.primary("eu").engine
    with RoutingSession(engines=engines, region="europe") as session:
        session.connection()
        for _ in range(3):
            session.scalar(statement, {"x": "A"})
        event.listen(engine, "do_execute", note)
        try:
            assert session.scalar(statement, {"x": "A"}) == "a"
        finally:
            event.remove(engine, "do_execute", note)
        assert session.scalar(statement, {"x": "A"}) == "a"
    assert len(heard) == 1


def test_what_no_driver_takes_or_reads(engines: Engines) -> None:
    statement = select(func.lower(bindparam("x", type_=String)))
    moment = select(cast(bindparam("x", type_=String), DateTime(timezone=True)))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            with pytest.raises(UnicodeEncodeError):
                session.scalar(statement, {"x": "\ud800"})
            session.rollback()
            assert session.scalar(moment, {"x": "2026-01-01"}) is not None
            with pytest.raises(DBAPIError, match=r"infinity|too large") as found:
                session.scalar(moment, {"x": "infinity"})
            assert "SELECT" not in str(found.value)
            session.rollback()


def test_a_transaction_that_is_lost(engines: Engines) -> None:
    statement = select(func.lower(bindparam("x", type_=String)))
    with RoutingSession(engines=engines, region="europe") as session:
        session.connection()
        for _ in range(3):
            session.scalar(statement, {"x": "A"})
        session.connection().invalidate()
        with pytest.raises(PendingRollbackError):
            session.scalar(statement, {"x": "A"})


def test_rows_that_are_held(engines: Engines, quickly: list[Quick]) -> None:
    user_id = _user(engines, first_name="Ada")
    statement = select(User, User.first_name).where(User.id == bindparam("x", type_=Uuid))
    with RoutingSession(engines=engines, region="europe") as session:
        for _ in range(2):
            session.rows(statement, {"x": user_id})
        quickly.clear()
        user = session.get_one(User, user_id)
        assert session.rows(statement, {"x": user_id}) == [(user, "Ada")]
        # In part: what is missing is loaded.
        session.expire(user, ["first_name"])
        assert session.rows(statement, {"x": user_id}) == [(user, "Ada")]
        assert "first_name" in vars(user)
        # As changed: it is written first.
        user.first_name = "Grace"
        assert session.rows(statement, {"x": user_id}) == [(user, "Grace")]
        with session.no_autoflush:
            user.first_name = "Linda"
            assert session.rows(statement, {"x": user_id}) == [(user, "Grace")]
            assert user.first_name == "Linda"
    assert quickly


def test_rows_that_are_expired(engines: Engines, quickly: list[Quick]) -> None:
    user_id = _user(engines, first_name="Ada")
    with RoutingSession(engines=engines, region="europe") as session:
        user = session.get_one(User, user_id)
        for name in ("Bea", "Cleo", "Di"):
            user.first_name = name
            session.commit()
            assert inspect(user).expired
            quickly.clear()
            ((found,),) = session.rows(select(User).where(User.id == user_id))
            assert found is user
            assert not inspect(user).expired
            assert user.first_name == name
            assert user not in session.dirty
        assert quickly
        # With its version: what another changes meanwhile is not overwritten.
        user.first_name = "Eve"
        session.commit()


def test_entities_of_joins(engines: Engines, quickly: list[Quick]) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        enrollment = EnrollmentFactory.create()
        CourseFactory.create()
        session.commit()
        other = aliased(Course)
        statement = (
            select(other, Enrollment, other.title)
            .join(Enrollment, Enrollment.course_id == other.id, isouter=True)
            .order_by(Enrollment.id.nulls_last())
        )
        expected: Any = [tuple(row) for row in session.execute(statement)]
        session.expunge_all()
        for _ in range(2):
            found: Any = session.rows(statement)
            assert [(a.id, b and b.id, c) for a, b, c in found] == [
                (a.id, b and b.id, c) for a, b, c in expected
            ]
        assert found[0][1].id == enrollment.id
        assert found[1][1] is None
        assert found[0][1] is session.get(Enrollment, enrollment.id)
    assert quickly


NOT_PLAIN: dict[str, Select[*tuple[Any, ...]]] = {
    "a list of values": select(User).where(User.id.in_([new_id("europe")])),
    "rows that are loaded along": select(User).options(selectinload(User.enrollments)),
    "rows that are joined": select(Course).options(joinedload(Course.category)),
    "a bundle": select(Bundle("both", User.id, User.first_name)),
    "it writes": select(delete(User).returning(User.id).cte("gone")),
    "text": select(text("1, 2")),
    "text and entities": select(text("1"), User),
    "literal columns": select(literal_column("1, 2"), User.__table__.c.id),
    "one name for two": select(bindparam("x", 1), bindparam("x", 2)),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_takes_sqlalchemy(engines: Engines, name: str) -> None:
    statement = NOT_PLAIN[name]
    with engines.primary("eu").engine.begin() as connection, Session() as session:
        for _ in range(3):
            reader = reader_of(statement, form_of(statement), connection)
            assert reader is None or not may_be_plain(statement, session)


def test_literals_without_end(engines: Engines, quickly: list[Quick]) -> None:
    endless: list[Select[*tuple[Any, ...]]] = [
        select(literal(n, literal_execute=True), literal("endless")) for n in range(120)
    ]
    with RoutingSession(engines=engines, region="europe") as session:
        for n, statement in enumerate(endless):
            for _ in range(3):
                assert session.rows(statement) == [(n, "endless")]
    assert len(form_of(endless[0]).kept or ()) <= 50
    assert 80 <= len(quickly) <= 100


USERS, COURSES, OTHER = User.__table__, Course.__table__, aliased(User, name="other")
NAMED: dict[str, Select[*tuple[Any, ...]]] = {
    "equal names": select(User.id, Course.id, User.id).where(Course.instructor_id == User.id),
    "equal names of Core": select(USERS.c.id, COURSES.c.id).where(
        COURSES.c.instructor_id == USERS.c.id
    ),
    "entities and columns": select(User, User.id, OTHER).where(OTHER.id == User.id),
    "no names": select(literal(1), func.now(), func.count(User.id) + 1),
    "no names of Core": select(literal(1), literal(2), func.now() > func.now()),
    "labels": select(User.id.label("a"), literal(1).label("a"), literal(1).label("a b")),
    "a table": select(USERS),
    "a subquery": select(select(User.id, User.email).subquery()),
}


@pytest.mark.parametrize("name", NAMED)
def test_names_of_columns(engines: Engines, quickly: list[Quick], name: str) -> None:
    statement = NAMED[name]
    with RoutingSession(engines=engines, region="europe") as session:
        expected = tuple(session.execute(statement).keys())
        for _ in range(3):
            assert tuple(session.answer(statement)[0]) == expected
    assert len(quickly) >= 2


async def test_async_sessions(settings: Settings, quickly: list[Quick]) -> None:
    statement = select(func.upper(bindparam("x", type_=String)))
    engines = Engines(settings, asynchronous=True)
    async with AsyncRoutingSession(engines=engines, region="europe") as session:
        for _ in range(3):
            assert await session.scalar(statement, {"x": "a"}) == "A"
            assert await session.rows(statement, {"x": "a"}) == [("A",)]
            assert await session.get(User, new_id("europe")) is None
    async with AsyncReadSession(engines=engines, region="europe") as reader:
        assert await reader.rows(statement, {"x": "b"}) == [("B",)]
    await engines.close_async()
    assert len(quickly) > 2


def test_a_session_with_a_bind(engines: Engines) -> None:
    statement = select(func.upper(bindparam("x", type_=String)))
    with RoutingSession(engines.primary("eu").engine) as session:
        for _ in range(3):
            assert session.rows(statement, {"x": "a"}) == [("A",)]
            assert session.scalar(statement, {"x": "a"}) == "A"
    with Session(engines.primary("eu").engine) as plain:
        page = page_of(plain, select(User).order_by(User.id), size=3)
        assert list(page.rows) == []
