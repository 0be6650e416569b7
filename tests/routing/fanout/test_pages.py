"""Pages across shards: each row once, whatever happens between two pages."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from sqlalchemy import Engine, Float, bindparam, cast, delete, func, select, union
from sqlalchemy.orm import Session

from elearning.config import Settings
from elearning.errors import InvalidPage, InvalidText, NotMergeable
from elearning.ids import new_id
from elearning.models import Course, Enrollment, OutboxMessage, Transaction, User, UserProfile
from elearning.routing import Engines, RoutingSession, Token
from elearning.routing.fanout import fan_out_page, fan_out_page_async
from elearning.routing.fanout.cursor import _digest, name_of, read_cursor, write_cursor
from elearning.routing.fanout.kinds import Kind
from elearning.routing.fanout.order import OrderKey
from tests.routing.fanout.comparing import told
from tests.routing.fanout.queries import COLUMNS, SOURCES

pytestmark = pytest.mark.unmeasured

NEWER = datetime(2025, 1, 1, tzinfo=UTC)

ORDERS: dict[str, Any] = {
    "none": select(User.email),
    "nulls-last": select(User).order_by(User.last_login),
    "nulls-first": select(User.email).order_by(User.last_login.desc()),
    "nulls-told": select(User.email).order_by(
        User.last_login.desc().nulls_last(), User.first_name.collate("C").asc()
    ),
    "mixed": select(User.email).order_by(
        User.first_name.collate("C").desc(), User.last_login.nulls_first(), User.created_at
    ),
    "small": select(User.email).order_by(
        func.lower(User.last_name).collate("C"), func.lower(User.first_name).collate("C")
    ),
    "small-nulls": select(User.email, UserProfile.id)
    .outerjoin(User.profile)
    .order_by(func.lower(UserProfile.city).collate("C").desc()),
    "own-id": select(User.email).order_by(User.id.desc()),
    "big": select(Transaction.id).order_by(Transaction.amount_minor.desc()),
    "catalog": select(Course.slug).order_by(Course.duration_hours, Course.title.collate("C")),
    "not-a-number": select(Course.slug).order_by(Course.duration_hours.desc()),
    "truth": select(Enrollment.id).order_by(Enrollment.total_lessons > 1),
    "join": select(User.email, Enrollment.id)
    .outerjoin(User.enrollments)
    .order_by(Enrollment.total_lessons.desc(), User.last_login),
    "lookup": select(Enrollment.id, Course.slug)
    .join(Enrollment.course)
    .order_by(Course.title.collate("C"), Enrollment.progress_percentage),
    "dates": select(UserProfile.id).order_by(UserProfile.date_of_birth.desc().nulls_last()),
    "by-name": select(User.email, User.created_at.label("since")).order_by("since"),
}


def pages(engines: Engines, statement: Any, size: int, after: str | None = None) -> Iterator[Any]:
    while True:
        page = fan_out_page(engines, statement, size=size, after=after, consistency="primary")
        assert len(page.rows) <= size
        yield from page.rows
        after = page.next
        if after is None:
            return
        assert len(page.rows) == size


@pytest.mark.parametrize("name", ORDERS)
def test_pages_make_the_whole(engines: Engines, world: Engine, name: str) -> None:
    statement = ORDERS[name]
    with Session(world) as session:
        there = [told(tuple(row)) for row in session.execute(statement)]
    for size in (7, 1000):
        here = [told(tuple(row)) for row in pages(engines, statement, size)]
        assert sorted(here) == sorted(there)


def test_pages_keep_the_order(engines: Engines, world: Engine) -> None:
    statement = select(User.id, User.last_login).order_by(User.last_login.desc(), User.id.desc())
    with Session(world) as session:
        there = [tuple(row) for row in session.execute(statement)]
    assert [tuple(row) for row in pages(engines, statement, 11)] == there


@chosen(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@given(data=st.data())
def test_pages_by_chance(engines: Engines, world: Engine, data: st.DataObject) -> None:
    models, source = data.draw(st.sampled_from(SOURCES))
    pool = [column for model in models for column in COLUMNS[model]]
    keys = data.draw(st.lists(st.sampled_from(pool), max_size=3, unique_by=id))
    descending = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    turned = [
        data.draw(
            st.sampled_from([key.desc(), key.desc().nulls_last()])
            if down
            else st.sampled_from([key, key.nulls_first()])
        )
        for key, down in zip(keys, descending, strict=True)
    ]
    ids = [model.id for model in models]
    # Ties go where the last key goes; so does what an index on both tells.
    ties = [each.desc() for each in ids] if descending[-1:] == [True] else ids
    statement = source(select(*ids)).order_by(*turned)
    size = data.draw(st.sampled_from([13, 40, 150]))
    found = [tuple(row) for row in pages(engines, statement, size)]
    with Session(world) as session:
        there = [tuple(row) for row in session.execute(statement.order_by(*ties))]
    assert found == there


def test_rows_that_come_and_go_do_not_shift_pages(engines: Engines, world: Engine) -> None:
    statement = select(User.id, User.created_at).order_by(User.created_at.desc())
    first = fan_out_page(engines, statement, size=20, consistency="primary")
    before = [row.id for row in first.rows]
    token = Token()
    new: list[Any] = []
    with RoutingSession(engines=engines, region="asia", token=token) as session:
        for created in (NEWER, first.rows.all()[5].created_at):
            user = User(email=f"new{len(new)}@x.org", first_name="N", last_name="N")
            user.created_at = created
            session.add(user)
            session.flush()
            new.append(user.id)
        session.commit()
    try:
        rest = [row.id for row in pages(engines, statement, 20, after=first.next)]
        assert not set(rest) & {*before, *new}
        with Session(world) as one:
            assert {*before, *rest} == set(one.scalars(select(User.id)))
    finally:
        with RoutingSession(engines=engines, region="asia", token=token) as session:
            session.execute(delete(User).where(User.id.in_(new)))
            session.commit()


async def test_async_pages(settings: Settings, engines: Engines, world: Engine) -> None:
    statement = select(User.id).order_by(User.last_login.desc())
    opened = Engines(settings, asynchronous=True)
    try:
        found: list[Any] = []
        after = None
        while True:
            page = await fan_out_page_async(
                opened, statement, size=40, after=after, consistency="primary"
            )
            found += page.rows.scalars()
            if (after := page.next) is None:
                break
    finally:
        await opened.close_async()
    assert found == [row.id for row in pages(engines, statement, 1000)]


def test_parameters_and_shards(engines: Engines, world: Engine) -> None:
    statement = select(User.email).where(User.status == bindparam("status"))
    page = fan_out_page(
        engines, statement, {"status": "active"}, size=5, shards=["eu"], consistency="primary"
    )
    assert page.rows.shards == ("eu",)
    assert page.rows.keys() == ("email",)
    assert page.rows.first()._mapping[User.email]  # type: ignore[union-attr]
    assert not page.rows.partial


def test_other_cursors_are_refused(engines: Engines, world: Engine) -> None:
    ordered = select(User.id).order_by(User.last_login)
    cursor = fan_out_page(engines, ordered, size=3, consistency="primary").next
    assert cursor is not None
    assert len(cursor) < 120
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    for other in (
        ordered.order_by(None),
        select(User.id).order_by(User.last_login.desc()),
        select(User.id).order_by(User.last_login.nulls_first()),
        select(User.id).order_by(User.created_at),
        select(Course.id),
    ):
        with pytest.raises(InvalidPage, match="of a statement with another order"):
            fan_out_page(engines, other, size=3, after=cursor)
    # A filter is not a part of the order.
    fan_out_page(engines, ordered.where(User.status == "active"), size=3, after=cursor)
    for damaged in (cursor[:-1], cursor[1:], cursor + "A", cursor.swapcase(), "AAAA", "x" * 99):
        with pytest.raises(InvalidPage, match="begin with the first page again"):
            fan_out_page(engines, ordered, size=3, after=damaged)
    for none in ("", "ä", "a=b", "A", 5, "x" * 9000):
        with pytest.raises(InvalidPage):
            fan_out_page(engines, ordered, size=3, after=none)  # type: ignore[arg-type]


@given(text=st.one_of(st.text(), st.binary().map(lambda raw: urlsafe_b64encode(raw).decode())))
@chosen(max_examples=300, derandomize=True, database=None, deadline=None)
def test_no_text_passes_for_a_cursor(text: str) -> None:
    with pytest.raises(InvalidPage):
        read_cursor([OrderKey(User.id.expression, Kind.UUID)], text, b"any")


def test_a_forged_cursor_holds_no_other_values() -> None:
    forged = {
        Kind.UUID: (b"[]", b"[1]", b'["x"]', b"{", b"null", b'[[["a"]]]', b"\xff", b"[" * 6000),
        Kind.INTEGER: (b"[9223372036854775808]", b'["x"]'),
        Kind.C_TEXT: (b'["\\u0000"]', b"[5]", b'["\\ud800"]'),
        Kind.DECIMAL: (b'["sNaN"]', b'["x"]', b'["1E999999"]', b'["1E-999999"]'),
    }
    for kind, bodies in forged.items():
        keys = [OrderKey(User.id.expression, kind)]
        for body in bodies:
            cursor = urlsafe_b64encode(_digest(name_of(keys), body) + body).rstrip(b"=").decode()
            with pytest.raises(InvalidPage, match="holds other values"):
                read_cursor(keys, cursor, name_of(keys))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.BOOLEAN, False),
        (Kind.BYTES, b"\x00\xff"),
        (Kind.C_TEXT, "Zoë \U0001f642"),
        (Kind.DATE, date(2024, 2, 29)),
        (Kind.DECIMAL, Decimal("12345678901234567890.00010")),
        (Kind.DECIMAL, Decimal("-Infinity")),
        (Kind.INTEGER, -(2**63)),
        (Kind.MOMENT, datetime(2024, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)),
        (Kind.UUID, new_id("asia")),
        (Kind.UUID, None),
    ],
)
def test_cursors_keep_values(kind: Kind, value: Any) -> None:
    keys = [OrderKey(User.id.expression, kind)]
    name = name_of(keys)
    (found,) = read_cursor(keys, write_cursor(keys, [value], name), name)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("size", [0, 1001, -1, True, 2.0, "5", None])
def test_sizes(engines: Engines, size: Any) -> None:
    with pytest.raises(InvalidText, match="is no number from 1 to 1000"):
        fan_out_page(engines, select(User), size=size)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (select(User).limit(5), "a page has its own limit"),
        (select(User).offset(5), "a page has its own limit"),
        (select(User.status).distinct(), "not of groups or distinct values"),
        (select(User.status).group_by(User.status), "not of groups or distinct values"),
        (select(func.count(User.id)), "not of groups or distinct values"),
        (
            select(func.rank().over(partition_by=User.id)),
            "a window would see the rows of one page",
        ),
        (select(User).order_by(cast(Course.price_minor, Float)), "floating point"),
        (select(User).order_by(User.email), "ORDER BY of a text"),
        (select(OutboxMessage), "keys of outbox repeat from shard to shard"),
        (union(select(User.id), select(User.id)), "a union is not looked into"),
        ("SELECT 1", "str is no select"),
    ],
)
def test_what_has_no_pages(engines: Engines, statement: Any, reason: str) -> None:
    with pytest.raises(NotMergeable, match=reason):
        fan_out_page(engines, statement, size=5)
