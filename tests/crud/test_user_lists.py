"""Lists of accounts: what is in them, in which order, by which index, and from where."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as chosen
from hypothesis import strategies as st
from sqlalchemy import event, text

from elearning.crud import UserOrder, UserSearch, list_users
from elearning.crud.listing import Listing
from elearning.errors import InvalidPage, InvalidText, UnknownRegion
from elearning.flows import Platform
from elearning.models import User, UserStatus, UserType
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.factories import UserFactory, bound
from tests.served import served

START = datetime(2025, 1, 1, tzinfo=UTC)
NAMES = [
    ("Ada", "Lovelace"),
    ("ANN", "lovelace"),
    ("Bo", "Love"),
    ("Bob", "Lov%"),
    ("Cleo", "Lo_e"),
    ("Dan", "O'Neil"),
    ("Éva", "Ångström"),
    ("Ève", "ångström"),
    ("Fay", "Żak"),
    ("Gus", "\\back"),
    ("Hal", "Zz\U0010ffff"),
    ("Ida", "Zz"),
]


def fill(session: RoutingSession, regions: list[Region]) -> list[User]:
    """Make an account of each name and region, all different in what is filtered by."""
    with bound(session):
        made = [
            UserFactory.create(
                region=region,
                first_name=first,
                last_name=last,
                email=f"{last.lower().encode('ascii', 'ignore').decode().strip(chr(92))}"
                f".{number}@{region.replace('_', '-')}.example.com",
                user_type=list(UserType)[number % 3],
                status=list(UserStatus)[number % 4 % 3],
                created_at=START + timedelta(days=number // 2),
            )
            for number, (first, last) in enumerate(NAMES)
            for region in regions
        ]
    session.commit()
    return made


@pytest.fixture
def people(session: RoutingSession) -> list[User]:
    made = fill(session, [Region.EUROPE, Region.AFRICA])
    for user in made:
        session.refresh(user)
    return made


@pytest.fixture
def world(engines: Engines, empty_databases: None) -> tuple[list[User], Token]:
    """Make accounts on all shards; return them, and what was written."""
    made: list[User] = []
    token = Token()
    for region in (Region.EUROPE, Region.AFRICA, Region.ASIA, Region.NORTH_AMERICA):
        with RoutingSession(
            engines=engines, region=region, token=token, expire_on_commit=False
        ) as own:
            made += fill(own, [region])
    return made, token


def pages(listing: Listing[User], session: RoutingSession, size: int) -> list[User]:
    found: list[User] = []
    after = None
    while True:
        page = listing.page(session, size=size, after=after)
        assert len(page.items) <= size
        found += page.items
        if page.next is None:
            return found
        after = page.next


def in_order(users: list[User], order: str) -> list[User]:
    match order:
        case "name":
            return sorted(users, key=lambda u: (u.last_name.lower(), u.first_name.lower(), u.id))
        case "email":
            return sorted(users, key=lambda u: (u.email, u.id))
        case _:
            return sorted(users, key=lambda u: (u.created_at, u.id), reverse=True)


def test_all_in_each_order(session: RoutingSession, people: list[User]) -> None:
    for order in UserOrder:
        for size in (1, 5, 1000):
            assert pages(list_users(order=order), session, size) == in_order(people, order)


def test_filters(session: RoutingSession, people: list[User]) -> None:
    since, before = START + timedelta(days=1), START + timedelta(days=5)
    spans: list[dict[str, Any]] = [{}, {"since": since}, {"since": since, "before": before}]
    for region, status, user_type, span, order in product(
        (None, "europe", Region.AFRICA),
        (None, *UserStatus),
        (None, UserType.ADMIN, "student"),
        spans,
        (None, *UserOrder),
    ):
        wanted = [
            user
            for user in people
            if region in (None, user.region)
            and status in (None, user.status)
            and user_type in (None, user.user_type)
            and ("since" not in span or user.created_at >= since)
            and ("before" not in span or user.created_at < before)
        ]
        listing = list_users(region=region, status=status, user_type=user_type, order=order, **span)
        assert listing.page(session).items == in_order(wanted, order or "newest")


def named(users: list[User], wanted: str) -> list[User]:
    """Search as the documentation says it."""
    last, comma, first = (part.strip().lower() for part in wanted.partition(","))
    return [
        user
        for user in users
        if (user.last_name.lower() == last and user.first_name.lower().startswith(first))
        or (not comma and user.last_name.lower().startswith(last))
    ]


def test_names_are_searched_by_their_beginning(session: RoutingSession, people: list[User]) -> None:
    expected = {
        "love": 3,
        "LOVELACE": 2,
        "lovelace,": 2,
        "Lovelace, a": 2,
        "lovelace , AD": 1,
        "lov%": 1,
        "lo_": 1,
        "%": 0,
        "_": 0,
        "o'n": 1,
        "'; DROP TABLE users; --": 0,
        "\\": 1,
        "ÅNG": 2,
        "ångström, é": 1,
        "ż": 1,
        "zz": 2,
        "zz\U0010ffff": 1,
        "x" * 254: 0,
        ",": 0,
        "Ada": 0,
    }
    for wanted, number in expected.items():
        found = pages(list_users(search=wanted), session, 3)
        assert found == in_order(named(people, wanted), "name"), wanted
        assert len(found) == 2 * number, wanted


def test_addresses_are_searched_by_their_beginning(
    session: RoutingSession, people: list[User]
) -> None:
    expected: dict[tuple[str, Any], int] = {
        ("lovelace.0@", None): 2,
        ("LOVELACE.0@Europe", None): 1,
        ("love", "email"): 6,
        ("lov%", UserSearch.EMAIL): 2,
        ("lo_", "email"): 2,
        ("@", None): 0,
        ("lovelace.0@europe.example.com", None): 1,
    }
    for (wanted, search_in), number in expected.items():
        found = pages(list_users(search=wanted, search_in=search_in), session, 3)
        begin = [user for user in people if user.email.startswith(wanted.lower())]
        assert found == in_order(begin, "email"), wanted
        assert len(found) == number, wanted


@chosen(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_text_is_searched_for(
    session: RoutingSession, people: list[User], data: st.DataObject
) -> None:
    known = st.sampled_from([part for name in NAMES for part in name])
    begins = st.builds(lambda name, length: name[:length], known, st.integers(1, 12))
    piece = st.one_of(
        begins,
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.sampled_from(["%", "_", "'", "\\", "*"]),
    )
    wanted = data.draw(
        st.one_of(
            piece,
            st.builds(lambda a, b: a + b, piece, piece),
            st.builds("{}, {}".format, piece, piece),
        )
    )
    if not wanted.strip() or "\x00" in wanted:
        with pytest.raises(InvalidText):
            list_users(search=wanted, search_in="name")
        return
    found = pages(list_users(search=wanted, search_in="name"), session, 1000)
    # What is small in one way only, as the database does it.
    if wanted.lower() == wanted.casefold():
        assert found == in_order(named(people, wanted.strip()), "name")


def plan_of(engines: Engines, listing: Listing[User], after: str | None = None) -> str:
    """Return how PostgreSQL reads a page when it may not read or sort the whole table."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, sql: str, parameters: Any, *_: object) -> None:
        if sql.startswith("SELECT users") and not plans:
            plans.append("")
            rows = connection.exec_driver_sql("EXPLAIN " + sql, parameters)
            plans[0] = "\n".join(row[0] for row in rows)

    engine = engines.primary("eu").engine
    with RoutingSession(engines=engines, region="europe", consistency="primary") as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        session.execute(text("SET LOCAL enable_sort = off"))
        event.listen(engine, "before_cursor_execute", explain)
        try:
            listing.page(session, size=3, after=after)
        finally:
            event.remove(engine, "before_cursor_execute", explain)
    (plan,) = plans
    return plan


def test_a_page_is_a_range_of_an_index(
    session: RoutingSession, engines: Engines, people: list[User]
) -> None:
    for index, listing in (
        ("idx_users_created_at", list_users()),
        ("idx_users_created_at", list_users(since=START)),
        # Of a dozen accounts that of all, in the same order, is as good as one of a part of them.
        ("idx_users_(region|created_at)", list_users(region="africa")),
        ("idx_users_(user_type|created_at)", list_users(user_type="student", status="active")),
        ("idx_users_(staff|created_at)", list_users(user_type="instructor")),
        ("idx_users_(status|created_at)", list_users(status="inactive")),
        ("idx_users_name", list_users(order="name")),
        ("idx_users_email_prefix", list_users(order="email")),
        ("idx_users_name", list_users(search="l")),
        ("idx_users_name", list_users(search="lovelace, a")),
        ("idx_users_email_prefix", list_users(search="l", search_in="email")),
    ):
        first = plan_of(engines, listing)
        assert re.search(f"using {index} on users", first)
        assert "Sort" not in first
        after = listing.page(session, size=1).next
        assert after is not None
        later = plan_of(engines, listing, after)
        assert re.search(f"using {index} on users", later)
        assert "Sort" not in later
        # Where the page begins is looked up, not counted off.
        condition = next(line for line in later.splitlines() if "Index Cond" in line)
        assert "ROW(" in condition


def test_what_is_searched_is_a_range_of_the_index(
    session: RoutingSession, engines: Engines, people: list[User]
) -> None:
    for listing in (list_users(search="love"), list_users(search="love", search_in="email")):
        plan = plan_of(engines, listing)
        condition = next(line for line in plan.splitlines() if "Index Cond" in line)
        assert ">=" in condition
        assert "<=" in condition


def test_a_page_is_one_statement_on_the_replica(
    engines: Engines, world: tuple[list[User], Token]
) -> None:
    _, token = world
    for listing, node in (
        (list_users(search="love"), "asia-replica-1"),
        (list_users(status="active", order="name"), "asia-replica-1"),
        (list_users(region="africa"), "eu-replica-1"),
        (list_users(region="north_america", order="email"), "na-replica-1"),
    ):
        with (
            RoutingSession(engines=engines, region="asia", token=token) as session,
            served(engines) as nodes,
        ):
            assert listing.page(session).items
        assert nodes == [node]


@pytest.mark.parametrize("order", list(UserOrder))
def test_worldwide(engines: Engines, world: tuple[list[User], Token], order: UserOrder) -> None:
    people, token = world
    listing = list_users(order=order, status="active")
    found: list[User] = []
    after = None
    while True:
        with served(engines) as nodes:
            page = listing.everywhere(engines, size=5, after=after, token=token)
        assert sorted(nodes) == ["asia-replica-1", "eu-replica-1", "na-replica-1"]
        found += page.items
        if page.next is None:
            break
        after = page.next
    wanted = in_order([user for user in people if user.status is UserStatus.ACTIVE], order)
    assert [user.id for user in found] == [user.id for user in wanted]


def test_one_region_from_anywhere(engines: Engines, world: tuple[list[User], Token]) -> None:
    people, token = world
    listing = list_users(region="africa", search="love")
    with served(engines) as nodes:
        page = listing.everywhere(engines, token=token)
    assert nodes == ["eu-replica-1"]
    wanted = [user for user in named(people, "love") if user.region is Region.AFRICA]
    assert [user.id for user in page.items] == [user.id for user in in_order(wanted, "name")]


async def test_worldwide_and_asynchronous(platform: Platform) -> None:
    for region in (Region.EUROPE, Region.ASIA):
        async with platform.session(region) as session, session.begin():
            session.add(User(email=f"{region}@example.com", first_name="A", last_name="Lovelace"))
    page = await list_users(search="love").everywhere_async(platform.engines, consistency="primary")
    assert {user.region for user in page.items} == {Region.EUROPE, Region.ASIA}
    async with platform.session("europe", consistency="primary") as session:
        alone = await session.run_sync(list_users(search="love").page, size=1)
    assert [user.region for user in alone.items] == [Region.EUROPE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "age"}, "order: 'age' is none of newest, name, email"),
        ({"order": "id; DROP TABLE users"}, "is none of"),
        ({"status": "gone"}, "status: 'gone' is none of active"),
        ({"status": ["active"]}, "is none of"),
        ({"user_type": ""}, "user_type: '' is none of student"),
        ({"since": "2025-01-01"}, "since: '2025-01-01' is no datetime with a time zone"),
        ({"before": datetime(2025, 1, 1)}, "before: .* is no datetime with a time zone"),  # noqa: DTZ001
        ({"search": ""}, "search: has 0 characters, expected 1 to 254"),
        ({"search": "   "}, "search: has 0 characters"),
        ({"search": "x" * 255}, "search: has 255 characters"),
        ({"search": "x" * 10_000_000}, "search: has 10000000 characters"),
        ({"search": "a\x00"}, "search: holds a character that cannot be stored"),
        ({"search": "\ud800"}, "cannot be stored"),
        ({"search": 5}, "search: is int"),
        ({"search": "a", "search_in": "bio"}, "search_in: 'bio' is none of name, email"),
        ({"search_in": "name"}, "search_in: there is no text to search for"),
        ({"search": "a", "order": "newest"}, "searched by name is listed by name, not by newest"),
        ({"search": "a@", "order": "name"}, "searched by email is listed by email, not by name"),
    ],
)
def test_wrong_requests(options: Any, message: str) -> None:
    with pytest.raises(InvalidText, match=message) as caught:
        list_users(**options)
    assert len(str(caught.value)) < 250


def test_no_such_region() -> None:
    with pytest.raises(UnknownRegion, match="'mars'"):
        list_users(region="mars")


def test_a_cursor_of_another_order_is_refused(session: RoutingSession, people: list[User]) -> None:
    after = list_users(order="name").page(session, size=1).next
    assert after is not None
    for other in (list_users(), list_users(order="email")):
        with pytest.raises(InvalidPage):
            other.page(session, after=after)
    with pytest.raises(InvalidPage):
        list_users(order="name").page(session, after=after[:-2])
    for size in (0, 1001):
        with pytest.raises(InvalidText, match="size"):
            list_users().page(session, size=size)
