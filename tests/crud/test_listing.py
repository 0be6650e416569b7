"""Lists are read page by page: of one shard by a session, or of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, event, func, insert, select

from elearning.config import Settings
from elearning.crud.listing import ItemPage, Listing
from elearning.errors import InvalidPage, InvalidText, NotMergeable
from elearning.ids import new_id
from elearning.models import User, UserProfile
from elearning.regions import Region
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession, page_of
from tests.served import served

HERE = (Region.EUROPE, Region.AFRICA)
"""The regions of the shard eu."""
START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    id: UUID
    region: Region
    first_name: str
    created_at: datetime
    last_login: datetime | None


@pytest.fixture(scope="module")
def people(engines: Engines, clean: Callable[[], None]) -> Iterator[list[Person]]:
    """People of all regions, many of them alike."""
    clean()
    draw = Random(6)
    made = [
        Person(
            new_id(region),
            region,
            draw.choice(["Ada", "ada", "Zoë", "Ы"]),
            START + timedelta(days=draw.randrange(5)),
            draw.choice([None, START, START + timedelta(days=1)]),
        )
        for region in Region
        for _ in range(40)
    ]
    for region in Region:
        rows = [
            {
                "id": each.id,
                "region": region,
                "email": f"{each.id}@example.com",
                "first_name": each.first_name,
                "last_name": "X",
                "created_at": each.created_at,
                "last_login": each.last_login,
            }
            for each in made
            if each.region is region
        ]
        with RoutingSession(engines=engines, region=region) as session:
            session.execute(insert(User), rows)
            session.commit()
    yield made
    clean()


@pytest.fixture
def here(engines: Engines, people: list[Person]) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe", consistency="primary") as session:
        yield session


NEWEST: Listing[UUID] = Listing(select(User.id).order_by(User.created_at.desc()))
OLDEST: Listing[UUID] = Listing(select(User.id).order_by(User.created_at))
SEEN: Listing[UUID] = Listing(select(User.id).order_by(User.last_login.desc().nulls_last()))


def pages(read: Callable[..., ItemPage[Any]], size: int, **options: Any) -> list[Any]:
    """Return all items, page by page; the one that is not the last is full."""
    found: list[Any] = []
    after: str | None = None
    while True:
        page = read(size=size, after=after, **options)
        found += page.items
        assert not page.missing
        if (after := page.next) is None:
            return found
        assert len(page.items) == size
        assert re.fullmatch(r"[A-Za-z0-9_-]+", after)


KEYS: dict[str, tuple[ColumnElement[Any], Callable[[Person], Any]]] = {
    "id": (User.id.expression, lambda each: each.id),
    "name": (User.first_name.collate("C"), lambda each: each.first_name.encode()),
    "small": (
        func.lower(User.first_name).collate("C"),
        lambda each: each.first_name.lower().encode(),
    ),
    "created": (User.created_at.expression, lambda each: each.created_at),
    # PostgreSQL's own order has NULL after everything else.
    "login": (
        User.last_login.expression,
        lambda each: (each.last_login is None, each.last_login or START),
    ),
}


@chosen(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    keys=st.lists(
        st.tuples(st.sampled_from(sorted(KEYS)), st.booleans()),
        max_size=3,
        unique_by=lambda key: key[0],
    ),
    size=st.sampled_from([1, 2, 7, 80, 1000]),
    everywhere=st.booleans(),
)
def test_pages_make_one_sorted_list(
    engines: Engines,
    people: list[Person],
    here: RoutingSession,
    keys: list[tuple[str, bool]],
    size: int,
    *,
    everywhere: bool,
) -> None:
    order = [KEYS[name][0].desc() if down else KEYS[name][0].asc() for name, down in keys]
    size = max(size, 7) if everywhere else size  # each page asks three shards
    expected = people if everywhere else [each for each in people if each.region in HERE]
    # Ties go where the last key goes.
    ties = keys[-1][1] if keys else False
    for name, down in reversed([*keys, ("id", ties)]):
        expected = sorted(expected, key=KEYS[name][1], reverse=down)
    listing: Listing[UUID] = Listing(select(User.id).order_by(*order))
    found = (
        pages(lambda **asked: listing.everywhere(engines, consistency="primary", **asked), size)
        if everywhere
        else pages(lambda **asked: listing.page(here, **asked), size)
    )
    assert found == [each.id for each in expected]


def test_an_item_is_what_the_list_makes_of_a_row(
    engines: Engines, here: RoutingSession, people: list[Person]
) -> None:
    told = Listing(
        select(User.first_name, User.created_at).order_by(User.id),
        read=lambda row: f"{row.first_name} {row.created_at:%d}",
    )
    expected = sorted(people, key=lambda each: each.id)
    first = [f"{each.first_name} {each.created_at:%d}" for each in expected]
    assert pages(lambda **asked: told.everywhere(engines, consistency="primary", **asked), 50) == (
        first
    )
    users: Listing[User] = Listing(select(User).order_by(User.id))
    assert all(user in here for user in users.page(here, size=3).items)
    (user,) = users.everywhere(engines, size=1).items
    assert user.first_name  # detached, and loaded


def test_each_row_of_the_first_table_makes_one_item(here: RoutingSession) -> None:
    # The id of a table beside it need not be there: nobody has a profile.
    joined: Listing[UUID] = Listing(
        select(User.id).outerjoin(User.profile).order_by(UserProfile.city.collate("C"))
    )
    ids = here.scalars(select(User.id).order_by(User.id)).all()
    assert pages(lambda **asked: joined.page(here, **asked), 33) == list(ids)


def test_rows_that_come_and_go_do_not_shift_pages(here: RoutingSession) -> None:
    there = here.scalars(NEWEST.statement.order_by(User.id.desc())).all()
    first = NEWEST.page(here, size=10)
    here.add(User(region="europe", email="new@example.com", first_name="N", last_name="N"))
    here.delete(here.get_one(User, first.items[3]))
    here.flush()
    rest: list[UUID] = []
    after = first.next
    while after is not None:
        page = NEWEST.page(here, size=10, after=after)
        rest += page.items
        after = page.next
    here.rollback()
    assert [*first.items, *rest] == list(there)


def test_a_list_of_one_region_is_read_there(engines: Engines, people: list[Person]) -> None:
    asians: Listing[UUID] = replace(
        Listing(select(User.id).where(User.region == "asia").order_by(User.created_at)),
        region=Region.ASIA,
    )
    with (
        RoutingSession(engines=engines, region="europe", consistency="primary") as session,
        served(engines) as nodes,
    ):
        page = asians.page(session, size=50)
        assert len(page.items) == 40
        assert asians.page(session, size=7).next is not None
    assert nodes == ["asia-primary"] * 2


def test_a_page_is_one_statement_of_few_rows(engines: Engines, here: RoutingSession) -> None:
    with served(engines) as nodes:
        first = NEWEST.page(here, size=5)
        NEWEST.page(here, size=5, after=first.next)
    assert nodes == ["eu-primary"] * 2
    with served(engines) as nodes:
        NEWEST.everywhere(engines, size=5, consistency="primary")
    assert sorted(nodes) == ["asia-primary", "eu-primary", "na-primary"]


async def test_pages_of_asynchronous_sessions(settings: Settings, people: list[Person]) -> None:
    opened = Engines(settings, asynchronous=True)
    try:
        found: list[UUID] = []
        after = None
        while True:
            page = await NEWEST.everywhere_async(
                opened, size=100, after=after, consistency="primary"
            )
            found += page.items
            if (after := page.next) is None:
                break
        session = AsyncRoutingSession(engines=opened, region="europe", consistency="primary")
        async with session:
            local = await session.run_sync(NEWEST.page, size=1000)
    finally:
        await opened.close_async()
    expected = sorted(people, key=lambda each: (each.created_at, each.id), reverse=True)
    assert found == [each.id for each in expected]
    assert local.items == [each.id for each in expected if each.region in HERE]


@given(data=st.data())
@chosen(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_cursor_that_was_tampered_with(
    engines: Engines, here: RoutingSession, data: st.DataObject
) -> None:
    cursor = NEWEST.page(here, size=3).next
    assert cursor is not None
    place = data.draw(st.integers(0, len(cursor) - 1))
    sign = data.draw(st.sampled_from([*"Aa0_-=%'\u0000ä", ""]))
    broken = cursor[:place] + sign + cursor[place + 1 :]
    if broken == cursor:
        return
    with served(engines) as nodes, pytest.raises(InvalidPage) as caught:
        NEWEST.page(here, size=3, after=broken)
    assert nodes == []
    assert caught.value.__cause__ is None or "Error" in type(caught.value.__cause__).__name__
    with pytest.raises(InvalidPage):
        NEWEST.everywhere(engines, size=3, after=broken)


@pytest.mark.parametrize("after", ["", "A", "x" * 10_000, "'; DROP TABLE users", 5, b"AAAA"])
def test_what_is_no_cursor(engines: Engines, here: RoutingSession, after: Any) -> None:
    with served(engines) as nodes, pytest.raises(InvalidPage):
        NEWEST.page(here, after=after)
    assert nodes == []


def test_a_cursor_of_another_list(engines: Engines, here: RoutingSession) -> None:
    lists = {"newest": NEWEST, "oldest": OLDEST, "seen": SEEN}
    cursors = {name: listing.page(here, size=3).next for name, listing in lists.items()}
    for name, listing in lists.items():
        for other, cursor in cursors.items():
            if other == name:
                assert len(listing.page(here, size=3, after=cursor).items) == 3
                # The same list everywhere goes on after the same item.
                assert listing.everywhere(engines, size=3, after=cursor).items
                continue
            with pytest.raises(InvalidPage, match="of a statement with another order"):
                listing.page(here, size=3, after=cursor)
            with pytest.raises(InvalidPage, match="of a statement with another order"):
                listing.everywhere(engines, size=3, after=cursor)


@pytest.mark.parametrize("size", [0, 1001, -1, True, 2.0, "5", None])
def test_sizes(engines: Engines, here: RoutingSession, size: Any) -> None:
    with pytest.raises(InvalidText, match="is no number from 1 to 1000"):
        NEWEST.page(here, size=size)
    with pytest.raises(InvalidText, match="is no number from 1 to 1000"):
        NEWEST.everywhere(engines, size=size)


def test_pages_of_what_has_none(here: RoutingSession) -> None:
    for statement in (
        select(User.id).limit(5),
        select(User.status).distinct(),
        select(func.count(User.id)),
    ):
        with pytest.raises(NotMergeable):
            page_of(here, statement, size=5)


def test_the_last_page_says_so(here: RoutingSession) -> None:
    number = here.scalar(select(func.count(User.id)))
    assert number == 80
    assert NEWEST.page(here, size=80).next is None
    assert NEWEST.page(here, size=79).next is not None
    nobody: Listing[UUID] = Listing(
        select(User.id).where(User.first_name == "Nobody").order_by(User.id)
    )
    assert nobody.page(here) == ItemPage([], None)


PLANS: dict[str, tuple[Any, str]] = {
    "newest": (NEWEST, "(ROW(created_at, id) < ROW("),
    "oldest": (OLDEST, "(ROW(created_at, id) > ROW("),
    "names": (
        Listing(
            select(User.id).order_by(
                func.lower(User.last_name).collate("C"), func.lower(User.first_name).collate("C")
            )
        ),
        "(ROW((lower((last_name)::text))::text, (lower((first_name)::text))::text, id) > ROW(",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_page_is_one_comparison_that_an_index_answers(
    engines: Engines, here: RoutingSession, name: str
) -> None:
    listing, condition = PLANS[name]
    asked: list[tuple[str, Any]] = []
    engine = engines.primary("eu").engine

    def note(_c: object, _cu: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    cursor = listing.page(here, size=5).next
    event.listen(engine, "before_cursor_execute", note)
    try:
        listing.page(here, size=5, after=cursor)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    ((statement, parameters),) = asked
    connection = here.connection()
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    plan = "\n".join(
        connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {statement}", parameters).scalars()
    )
    # All keys at once, in an index that has the order, too.
    assert f"Index Cond: {condition}" in plan, plan
    assert "Sort" not in plan
    assert "Filter" not in plan
