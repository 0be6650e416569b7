from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Enum as SqlEnum
from sqlalchemy import event, select, text
from sqlalchemy.orm import Mapper, defer, joinedload, load_only, selectinload

from elearning import crud, documents, flows
from elearning.crud import NewUser
from elearning.crud.listing import ItemPage, Listing
from elearning.errors import (
    CourseFull,
    ElearningError,
    FieldNotLoaded,
    NodeUnavailable,
    NotPlain,
    SecretField,
    UnknownField,
)
from elearning.models import Base, Course, CourseLevel, Invoice, User, UserToken
from elearning.money import from_minor
from elearning.plain import is_secret, to_dict, to_dicts
from elearning.regions import Region
from elearning.routing import RoutingSession
from elearning.testing.factories import CourseFactory, UserFactory, UserProfileFactory, bound

SECRET = "S3CRET"
NAIVE = datetime.fromisoformat("2026-01-01T00:00:00")
MODELS = sorted(Base.registry.mappers, key=lambda mapper: mapper.class_.__name__)


def is_result(value: object) -> bool:
    """Tell what operations return from what is to be asked first, of one shard or everywhere."""
    if not inspect.isclass(value) or not dataclasses.is_dataclass(value):
        return False
    return not hasattr(value, "everywhere")


RESULTS = sorted(
    {value for module in (crud, flows) for value in vars(module).values() if is_result(value)},
    key=lambda cls: cls.__name__,
)

few = settings(max_examples=10, deadline=None, suppress_health_check=[*HealthCheck])
plain_texts = st.text(max_size=20)
moments = st.datetimes(
    min_value=datetime.fromisoformat("1970-01-02"),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_texts, inner, max_size=3),
    max_leaves=5,
)
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "Uuid": st.uuids(),
    "String": plain_texts,
    "Text": plain_texts,
    "TSVECTOR": plain_texts,
    "Xid": plain_texts,
    "DateTime": moments,
    "Date": st.dates(),
    "Numeric": st.decimals(allow_nan=False, allow_infinity=False),
    "Integer": st.integers(-(2**31), 2**31 - 1),
    "SmallInteger": st.integers(-(2**15), 2**15 - 1),
    "BigInteger": st.integers(-(2**63), 2**63 - 1),
    "Boolean": st.booleans(),
    "LargeBinary": st.binary(max_size=20),
    "JSONB": json_values,
}


@cache
def values_of(mapper: Mapper[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return values for all columns of a table; secrets hold `SECRET`."""
    found = {}
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        kind = type(column.type).__name__
        if attribute.key in mapper.class_.__secret__:
            found[attribute.key] = st.just(SECRET.encode() if kind == "LargeBinary" else SECRET)
        elif isinstance(column.type, SqlEnum):
            assert column.type.enum_class is not None
            found[attribute.key] = st.sampled_from(list(column.type.enum_class))
        elif attribute.key == "currency":
            found[attribute.key] = st.sampled_from(["EUR", "JPY", "KWD"])
        else:
            found[attribute.key] = OF_TYPE[kind]
    return st.fixed_dictionaries(found)


def dumped(value: Any) -> str:
    """Return JSON that has nothing of Python in it."""
    result = json.dumps(value, allow_nan=False)
    assert json.loads(result) == value
    return result


@pytest.mark.parametrize("mapper", MODELS, ids=lambda mapper: mapper.class_.__name__)
@few
@given(data=st.data())
def test_no_model_shows_a_secret_and_all_are_json(mapper: Mapper[Any], data: st.DataObject) -> None:
    values = data.draw(values_of(mapper))
    row = mapper.class_(**values)
    secret = mapper.class_.__secret__
    shown = to_dict(row)
    assert row.to_dict() == shown
    assert shown.keys() >= {*values} - secret - {"row_version"}
    assert not shown.keys() & (secret | {"row_version"} | {*mapper.relationships.keys()})
    for name in shown.keys() & values.keys():
        expected = values[name]
        assert shown[name] == (expected.value if isinstance(expected, Enum) else expected)
        assert not isinstance(shown[name], Enum)
    told = dumped(to_dict(row, json=True)) + dumped(to_dict(row, *shown, json=True)) + repr(shown)
    assert SECRET not in told
    assert SECRET.encode().hex() not in told
    for name in secret:
        for asked in (name, f"*,{name}"):
            with pytest.raises(SecretField) as caught:
                to_dict(row, *asked.split(","), json=True)
            assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mapper", MODELS, ids=lambda mapper: mapper.class_.__name__)
def test_a_secret_of_a_model_is_one_by_its_name_too(mapper: Mapper[Any]) -> None:
    # So it is none of a row, a result or a document either.
    assert all(is_secret(name) for name in mapper.class_.__secret__)
    for attribute in mapper.column_attrs:
        if "hash" in attribute.key or "password" in attribute.key:
            assert attribute.key in mapper.class_.__secret__


def made(mapper: Mapper[Any], values: dict[str, Any]) -> Any:
    return mapper.class_(**values)


st.register_type_strategy(ElearningError, st.builds(CourseFull, course_id=st.uuids()))
for _mapper in MODELS:
    st.register_type_strategy(_mapper.class_, st.builds(made, st.just(_mapper), values_of(_mapper)))
st.register_type_strategy(documents.Preferences, st.builds(documents.Preferences))
st.register_type_strategy(datetime, moments)
st.register_type_strategy(int, st.integers(0, 2**31 - 1))
st.register_type_strategy(Decimal, st.decimals(0, 10**6, places=2))
st.register_type_strategy(dict, st.dictionaries(plain_texts, json_values, max_size=2))


def is_hidden(field: dataclasses.Field[Any]) -> bool:
    return is_secret(field.name) or not field.repr


@cache
def built(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return results as an operation makes them, without their own checks."""
    hints = get_type_hints(cls)
    parts: dict[str, st.SearchStrategy[Any]] = {}
    for each in dataclasses.fields(cls):
        hint = hints[each.name]
        if is_hidden(each):
            parts[each.name] = st.just(SECRET)
        else:
            parts[each.name] = json_values if hint is Any else st.from_type(hint)

    def fill(values: dict[str, Any]) -> Any:
        result = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(result, name, value)
        return result

    return st.fixed_dictionaries(parts).map(fill)


@pytest.mark.parametrize("cls", RESULTS, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_no_result_shows_a_secret_and_all_are_json(cls: type[Any], data: st.DataObject) -> None:
    result = data.draw(built(cls))  # type: ignore[arg-type]
    # A property of values that no operation makes may refuse them.
    names = [each.name for each in dataclasses.fields(cls) if not is_hidden(each)]
    hidden = [each.name for each in dataclasses.fields(cls) if is_hidden(each)]
    assert SECRET not in dumped(to_dict(result, *names, json=True))
    for name in hidden:
        with pytest.raises(SecretField):
            to_dict(result, name)


def test_what_is_made_without_names(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create(price_minor=999, currency="EUR", level="advanced")
    session.refresh(course)
    shown = to_dict(course)
    assert shown["price"] == Decimal("9.99")
    assert shown["price_minor"] == 999
    assert type(shown["level"]) is str
    assert isinstance(shown["id"], UUID)
    assert shown["created_at"].tzinfo is not None
    told = json.loads(json.dumps(to_dict(course, json=True)))
    assert told["price"] == "9.99"
    assert UUID(told["id"]) == course.id
    assert datetime.fromisoformat(told["created_at"]) == course.created_at
    assert told["created_at"].endswith("+00:00")
    assert told["rating"] is None


def test_fields_come_in_the_order_of_their_names() -> None:
    course = Course(title="T", price_minor=5, currency="JPY")
    assert list(to_dict(course, "price", "title").items()) == [
        ("price", Decimal(5)),
        ("title", "T"),
    ]
    assert list(to_dict(course, "title", "*")) == ["title", "price_minor", "currency", "price"]


def test_relations_are_shown_where_they_are_named(session: RoutingSession) -> None:
    with bound(session):
        user_id = UserProfileFactory.create(city="London").user.id
    session.commit()
    found = session.scalars(
        select(User).where(User.id == user_id).options(joinedload(User.profile))
    ).one()
    assert "profile" not in to_dict(found)
    assert to_dict(found, "id", "profile.city") == {"id": user_id, "profile": {"city": "London"}}
    profile = to_dict(found, "profile", json=True)["profile"]
    assert profile["city"] == "London"
    assert profile["user_id"] == str(user_id)
    assert "user" not in profile
    both = to_dict(found, "profile.city", "profile.*")["profile"]
    assert both == to_dict(found.profile)
    with pytest.raises(SecretField, match="'password_hash' of User"):
        to_dict(found, "profile", "password_hash")


def test_a_relation_that_is_not_there_is_none() -> None:
    assert to_dict(User(profile=None), "profile.city") == {"profile": None}


def test_lists_of_related_rows(session: RoutingSession) -> None:
    with bound(session):
        course = CourseFactory.create()
    session.commit()
    found = session.scalars(
        select(Course).where(Course.id == course.id).options(selectinload(Course.modules))
    ).one()
    assert to_dict(found, "modules.title") == {"modules": []}


def test_nothing_is_read_behind_ones_back(session: RoutingSession) -> None:
    with bound(session):
        course_id = CourseFactory.create(price_minor=999, currency="EUR").id
    session.commit()
    session.expunge_all()
    whole = session.scalars(select(Course).where(Course.id == course_id)).one()
    session.expunge_all()
    partial = session.scalars(
        select(Course).where(Course.id == course_id).options(load_only(Course.title))
    ).one()
    statements: list[str] = []
    connection = session.connection()
    event.listen(connection, "before_cursor_execute", lambda *args: statements.append(str(args[2])))
    with pytest.raises(FieldNotLoaded, match=r"'modules' of Course is not loaded.*selectinload"):
        to_dict(whole, "modules")
    with pytest.raises(FieldNotLoaded, match=r"'currency' of Course is not loaded: refresh"):
        to_dict(partial, "currency")
    # The price needs what is not loaded either.
    with pytest.raises(FieldNotLoaded, match="'price_minor' of Course"):
        to_dict(partial, "price")
    assert to_dict(partial).keys() == {"id", "title"}
    session.expire(partial)
    assert to_dict(partial) == {}
    with pytest.raises(FieldNotLoaded):
        to_dict(partial, "id")
    assert statements == []


def test_rows_of_columns_and_of_entities(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create(password_hash="$argon2id$S3CRET", region="africa")
    session.flush()
    row = session.execute(
        select(User.id, User.region, User.password_hash, User).where(User.id == user.id)
    ).one()
    shown = to_dict(row)
    assert shown.keys() == {"id", "region", "User"}
    assert shown["region"] == "africa"
    assert type(shown["region"]) is str
    assert shown["User"]["email"] == user.email
    assert SECRET not in json.dumps(to_dict(row, json=True))
    assert to_dict(row, "User.email") == {"User": {"email": user.email}}
    assert to_dict(row._mapping, "id") == {"id": user.id}
    assert to_dict(row._mapping).keys() == shown.keys()
    for asked in (row, row._mapping):
        with pytest.raises(SecretField):
            to_dict(asked, "password_hash")
    with pytest.raises(SecretField):
        to_dict(row, "User.password_hash")
    with pytest.raises(UnknownField, match="a row has no field 'e': expected some of id, region"):
        to_dict(row, "e")
    rows = session.execute(select(User.email, User.first_name).where(User.id == user.id))
    assert to_dicts(rows, "email") == [{"email": user.email}]


def test_a_column_is_not_lost_to_another_of_its_name(session: RoutingSession) -> None:
    row = session.execute(text("SELECT 1 AS a, 2 AS a")).one()
    with pytest.raises(NotPlain, match="two columns are called 'a', label them"):
        to_dict(row)


def test_pages(session: RoutingSession) -> None:
    with bound(session):
        users = UserFactory.create_batch(3)
    session.flush()
    page: ItemPage[User] = Listing(select(User).order_by(User.id)).page(session, size=2)
    shown = to_dict(page, "next", "items.id", "items.email", json=True)
    assert shown == {
        "next": page.next,
        "items": [{"id": str(each.id), "email": each.email} for each in sorted_by_id(users)[:2]],
    }
    assert to_dict(page)["items"] == [each.to_dict() for each in page.items]
    lost: ItemPage[User] = ItemPage(
        [], None, {"eu": NodeUnavailable(node="eu", address="a", problem="p")}
    )
    assert to_dict(lost, json=True) == {
        "items": [],
        "next": None,
        "missing": {"eu": {"error": "NodeUnavailable", "message": "eu at a is not available: p"}},
    }


def sorted_by_id(users: list[User]) -> list[User]:
    return sorted(users, key=lambda user: user.id)


@dataclasses.dataclass(frozen=True)
class Sale:
    amount_minor: int
    currency: str
    lines: tuple[Sale, ...] = ()
    by_region: dict[Region, int] = dataclasses.field(default_factory=dict)
    note: str = dataclasses.field(default="quiet", repr=False)
    reset_token: str = SECRET

    @property
    def amount(self) -> Decimal:
        return from_minor(self.amount_minor, self.currency)


def test_dataclasses_in_dataclasses() -> None:
    sale = Sale(1999, "EUR", (Sale(5, "JPY"),), {Region.ASIA: 2})
    assert to_dict(sale, json=True) == {
        "amount_minor": 1999,
        "currency": "EUR",
        "lines": [
            {"amount_minor": 5, "currency": "JPY", "lines": [], "by_region": {}, "amount": "5"}
        ],
        "by_region": {"asia": 2},
        "amount": "19.99",
    }
    assert to_dict(sale, "amount", "lines.amount") == {
        "amount": Decimal("19.99"),
        "lines": [{"amount": Decimal(5)}],
    }
    # What the repr leaves out is left out here, too.
    for name in ("note", "reset_token", "lines.reset_token"):
        with pytest.raises(SecretField):
            to_dict(sale, name)


def test_who_registers_is_shown_without_the_hash() -> None:
    user = NewUser(
        region="europe", email="a@b.example", first_name="A", last_name="B", password_hash="$S3CRET"
    )
    assert SECRET not in json.dumps(to_dict(user, json=True))


@pytest.mark.parametrize(
    ("value", "plain", "in_json"),
    [
        (Decimal("1E+2"), Decimal(100), "100"),
        (Decimal("0.10"), Decimal("0.10"), "0.10"),
        (Decimal("NaN"), None, "NaN"),
        (float("inf"), float("inf"), "Infinity"),
        (float("-inf"), float("-inf"), "-Infinity"),
        (0.5, 0.5, 0.5),
        (True, True, True),
        (2**70, 2**70, 2**70),
        (CourseLevel.ADVANCED, "advanced", "advanced"),
        (b"\x00\xff", b"\x00\xff", "00ff"),
        (memoryview(b"\x01"), b"\x01", "01"),
        (
            datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))),
            datetime(2026, 1, 1, tzinfo=UTC),
            "2026-01-01T00:00:00+00:00",
        ),
        (NAIVE, NAIVE, "2026-01-01T00:00:00"),
        (date(2026, 1, 1), date(2026, 1, 1), "2026-01-01"),
        (time(1, 2), time(1, 2), "01:02:00"),
        (timedelta(hours=1, microseconds=5), timedelta(hours=1, microseconds=5), "PT3600.000005S"),
        (UUID(int=1), UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"b", "a"}, ["a", "b"], ["a", "b"]),
        ((1, [2]), [1, [2]], [1, [2]]),
        ({None: 1, True: 2, 3: 4}, {None: 1, True: 2, 3: 4}, {"null": 1, "true": 2, "3": 4}),
        (
            {UUID(int=1): {"token_hash": SECRET, 2: Decimal(1)}},
            {UUID(int=1): {2: Decimal(1)}},
            {"00000000-0000-0000-0000-000000000001": {"2": "1"}},
        ),
    ],
)
def test_values(value: Any, plain: Any, in_json: Any) -> None:
    shown = to_dict({"v": value})["v"]
    assert plain is None or (shown == plain and type(shown) is type(plain))
    assert to_dict({"v": value}, json=True) == {"v": in_json}
    dumped(to_dict({"v": value}, json=True))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: to_dict(User(), "emial"), UnknownField, "User has no field 'emial': .*email"),
        (lambda: to_dict(User(), "row_version"), UnknownField, "User has no field"),
        (lambda: to_dict(User(), ""), UnknownField, "has no field ''"),
        (lambda: to_dict(User(), "email."), FieldNotLoaded, "email"),
        (lambda: to_dict(User(email="e"), "email.x"), UnknownField, "str has no field 'x'"),
        (lambda: to_dict(User(email="e"), "*.email"), UnknownField, "at the end"),
        (lambda: to_dict(User(email="e"), "x" * 10_000), UnknownField, "x{80}'"),
        (lambda: to_dict(User(), 5), UnknownField, "'5'"),  # type: ignore[arg-type]
        (lambda: to_dict({"a": 1}, "b"), UnknownField, "a dictionary has no field 'b'.*a"),
        (lambda: to_dict(UserToken(), "token_hash"), SecretField, "'token_hash' of UserToken"),
        (lambda: to_dict({}, "users_password_hash"), SecretField, "users_password_hash"),
        (lambda: to_dict({}, "Password_1"), SecretField, "Password_1"),
        (lambda: to_dict(5), NotPlain, "int has no plain form: expected a row"),
        (lambda: to_dict("text"), NotPlain, "str"),
        (lambda: to_dict([User()]), NotPlain, "list"),
        (lambda: to_dict(None), NotPlain, "NoneType"),
        (lambda: to_dict(select(User)), NotPlain, "Select"),
        (lambda: to_dict({"a": object()}), NotPlain, "object"),
        (lambda: to_dict(User), NotPlain, "DeclarativeAttributeIntercept|type"),
        (lambda: to_dict(Sale), NotPlain, "type"),
    ],
)
def test_what_cannot_be_shown(
    call: Callable[[], Any], error: type[ElearningError], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("password", True),
        ("password_hash", True),
        ("PASSWORD_HASH", True),
        ("token_hash_1", True),
        ("users_password_hash", True),
        ("app_password", True),
        ("secret", True),
        ("email", False),
        ("password_changed_at", False),
        ("tokens", False),
        ("secretary", False),
        ("hash", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_amounts_of_an_invoice_in_both_forms() -> None:
    invoice = Invoice(
        subtotal_minor=1000, tax_minor=100, discount_minor=0, total_minor=1100, currency="KWD"
    )
    assert to_dict(invoice, "total_minor", "total", "tax", json=True) == {
        "total_minor": 1100,
        "total": "1.100",
        "tax": "0.100",
    }


def test_a_deferred_column_is_not_loaded(session: RoutingSession) -> None:
    with bound(session):
        course_id = CourseFactory.create().id
    session.commit()
    session.expunge_all()
    course = session.scalars(
        select(Course).where(Course.id == course_id).options(defer(Course.description))
    ).one()
    assert "description" not in to_dict(course)
    assert "price" in to_dict(course)
