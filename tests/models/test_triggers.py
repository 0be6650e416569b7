"""At least one test for each trigger, named after it: here, or in a module of its own."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.orm.exc import StaleDataError

from elearning.errors import MisroutedRow
from elearning.ids import new_id
from elearning.models import Base, Course, CourseCategory, User
from elearning.models.routines import FUNCTIONS, function_text
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseFactory,
    CourseReviewFactory,
    UserFactory,
    bound,
)
from tests.models.support import scalar
from tests.models.world import World

TIMED = [name for name, table in Base.metadata.tables.items() if "updated_at" in table.columns]
COLUMNS = "users (id, region, email, first_name, last_name)"


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONS if "RETURNS trigger" in function_text(name)]
)
def test_every_trigger_function_has_a_test_of_its_name(name: str) -> None:
    modules = Path(__file__).parent.glob("test_*.py")
    found = [
        test
        for module in modules
        for test in re.findall(r"^def (test_\w+)", module.read_text("utf-8"), re.MULTILINE)
    ]
    assert [test for test in found if name in test]


def test_update_modified_timestamp(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
    session.commit()
    before = user.updated_at
    # Past our own code: whoever writes, the time is kept.
    session.execute(
        text("UPDATE users SET first_name = 'X', updated_at = 'epoch' WHERE id = :id"),
        {"id": user.id},
    )
    session.commit()
    assert session.get_one(User, user.id).updated_at > before
    assert user.created_at <= before


@pytest.mark.parametrize("table", TIMED)
def test_update_modified_timestamp_of_every_table(
    root: Connection, world: World, table: str
) -> None:
    row = f"{table} SET updated_at = 'epoch' WHERE {world.where(table)}"
    changed = scalar(root, f"UPDATE {row} RETURNING updated_at > transaction_timestamp()")
    assert changed is True


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO {COLUMNS} VALUES ('{{stranger}}', 'asia', 'x@example.com', 'X', 'Y')",
        f"INSERT INTO {COLUMNS} SELECT '{{stranger}}', 'asia', 'x@x.org', 'X', 'Y' FROM pg_class",
        "UPDATE users SET id = '{stranger}', region = 'asia'",
    ],
    ids=["insert", "bulk", "update"],
)
def test_refuse_misrouted_row(session: RoutingSession, statement: str) -> None:
    with bound(session):
        UserFactory.create()
    session.commit()
    with pytest.raises(MisroutedRow, match="users belongs to region code 5"):
        session.connection().exec_driver_sql(statement.format(stranger=new_id("asia")))
    session.rollback()
    assert session.scalars(select(User.region)).all() == ["europe"]


def test_refuse_misrouted_row_refuses_a_uuid_without_region(session: RoutingSession) -> None:
    # Byte 7 may look like a hosted region by chance: the version tells.
    lookalike = UUID(bytes=uuid4().bytes[:7] + b"\x03" + uuid4().bytes[8:], version=4)
    with pytest.raises(MisroutedRow, match="this shard does not host"):
        session.execute(
            insert(CourseCategory), {"id": lookalike, "slug": "x", "category_name": "x"}
        )


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_update_course_rating(session: RoutingSession, event: str) -> None:
    with bound(session):
        course = CourseFactory.create()
        reviews = [
            CourseReviewFactory.create(enrollment__course=course, rating=rating)
            for rating in (5, 2, 3)
        ]
    expected = {"insert": Decimal("3.33"), "update": Decimal("2.00"), "delete": Decimal("2.50")}
    if event == "update":
        reviews[0].rating = 1
    if event == "delete":
        session.delete(reviews[0])
    session.flush()
    assert course.rating == expected[event]
    assert course.total_ratings == (2 if event == "delete" else 3)
    if event == "delete":
        for review in reviews[1:]:
            session.delete(review)
        session.flush()
        session.expire(course)
        assert course.rating is None


@pytest.mark.parametrize("model", [User, Course])
def test_a_stale_write_is_refused(
    session: RoutingSession, engines: Engines, model: type[User | Course]
) -> None:
    with bound(session):
        row_id = (UserFactory if model is User else CourseFactory).create().id
    session.commit()
    mine = session.get_one(model, row_id)
    field = "first_name" if model is User else "title"
    assert getattr(mine, field)
    with RoutingSession(engines=engines, region="europe", token=session.token) as other:
        setattr(other.get_one(model, row_id), field, "Other")
        other.commit()
    setattr(mine, field, "Mine")
    with pytest.raises(StaleDataError):
        session.commit()
    session.rollback()
