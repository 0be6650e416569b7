"""Pages across shards: each row once, whatever happens between two pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    select,
)
from sqlalchemy.orm import Session

from elearning.models import Course, Enrollment, Transaction, User, UserProfile
from elearning.routing import Engines
from elearning.routing.fanout import fan_out_page
from tests.routing.fanout.comparing import told

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


def pages(engines: Engines, statement: Any, size: int) -> Iterator[Any]:
    after = None
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
