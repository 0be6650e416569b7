from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.orm import aliased

from elearning.ids import new_id
from elearning.models import (
    Course,
    CourseModule,
    CourseReview,
    Enrollment,
    LessonProgress,
    Transaction,
    User,
)
from elearning.routing.reading import only_reads
from elearning.routing.statements import form_of, ids_of

ONE, TWO = new_id("europe"), new_id("asia")


@pytest.mark.parametrize(
    "statement",
    [
        select(User),
        select(User.id).where(User.email == "x").order_by(User.created_at).limit(3),
        select(func.count()).select_from(User),
        select(func.count(User.id), func.max(User.created_at)),
        select(User).join(Enrollment).where(func.lower(User.first_name) == "x"),
        select(User).where(exists().where(Enrollment.user_id == User.id)),
        union(select(User.id), select(Course.id)),
        select(select(User.id).subquery()),
        select(select(User.id).cte()),
        select(func.row_number().over(order_by=User.id)),
    ],
)
def test_what_is_known_to_read(statement: object) -> None:
    assert only_reads(statement)


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT 1"),
        text("CALL p()"),
        insert(User),
        update(User),
        delete(User),
        select(User).with_for_update(),
        select(User).with_for_update(read=True),
        select(select(User.id).with_for_update().subquery()),
        select(func.enroll_user(ONE, TWO)),
        select(func.pg_advisory_lock(1)),
        select(func.x.count(User.id)),
        select(func.nextval("s")),
        select(literal_column("enroll_user(1, 2)")),
        select(User).where(text("enroll_user(1, 2) IS NULL")),
        select(insert(User).values(id=ONE).returning(User.id).cte()),
        select(User).prefix_with("/* ALL */"),
        select(User).suffix_with("FOR UPDATE"),
        select(User).with_hint(User, "x"),
        union(select(User.id), select(func.enroll_user(ONE, TWO))),
        "SELECT 1",
    ],
)
def test_what_is_not_known_to_read(statement: object) -> None:
    assert not only_reads(statement)


def named_ids(statement: Any, parameters: Any = None) -> set[UUID]:
    return set[UUID]().union(*ids_of(statement, form_of(statement), parameters))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (select(User).where(User.id == ONE), {ONE}),
        (select(User).where(literal(ONE) == User.id), {ONE}),
        (select(User).where(User.id.in_([ONE, TWO])), {ONE, TWO}),
        (select(User).where(User.email == "x", User.id == ONE), {ONE}),
        (select(User).where(and_(User.email == "x", and_(User.id == ONE))), {ONE}),
        (select(Enrollment).where(Enrollment.user_id == ONE), {ONE}),
        (select(Transaction).where(Transaction.refund_of_id == ONE), {ONE}),
        (select(Transaction).where(Transaction.payment_method_id == ONE), {ONE}),
        (select(LessonProgress).where(LessonProgress.enrollment_id == ONE), {ONE}),
        (select(aliased(User)).where(aliased(User).id == ONE), {ONE}),
        (update(User).where(User.id == ONE).values(first_name="x"), {ONE}),
        (delete(User).where(User.id == ONE), {ONE}),
        # Nothing else names a region.
        (select(CourseReview).where(CourseReview.course_id == ONE), set()),
        (select(User).where(User.id > ONE), set()),
        (select(User).where(User.id != ONE), set()),
        (select(User).where(or_(User.id == ONE, User.email == "x")), set()),
        (select(User).where(~(User.id == ONE)), set()),
        (select(User).where(User.id.not_in([ONE])), set()),
        (select(Enrollment).where(Enrollment.course_id == ONE), set()),
        (select(Enrollment).join(Course).where(Course.id == ONE), set()),
        (select(User).where(User.id == Enrollment.user_id), set()),
        (select(User), set()),
    ],
)
def test_only_equality_of_a_key_names_ids(statement: object, expected: set[UUID]) -> None:
    assert named_ids(statement) == expected


def test_ids_of_copied_tables_count_where_nothing_else_is_asked_for() -> None:
    assert named_ids(select(CourseModule).where(CourseModule.course_id == ONE)) == {ONE}
    both = select(CourseModule, Enrollment).where(CourseModule.course_id == ONE)
    assert named_ids(both) == set()


@pytest.mark.parametrize(
    "build",
    [
        lambda: (select(User).where(User.id == bindparam("pk_1")), {"pk_1": ONE}),
        lambda: (
            select(User).where(User.id.in_(bindparam("primary_keys", expanding=True))),
            {"primary_keys": [ONE]},
        ),
        lambda: (
            select(User).where(User.id.in_(bindparam("primary_keys", expanding=True))),
            {"primary_keys": [(ONE,)]},
        ),
    ],
    ids=["get", "in", "selectinload"],
)
def test_ids_may_be_in_the_parameters(build: Callable[[], tuple[Select[Any], Any]]) -> None:
    statement, parameters = build()
    assert named_ids(statement, parameters) == {ONE}


@pytest.mark.parametrize(
    ("statement", "parameters", "expected"),
    [
        (insert(User).values(id=ONE), None, {ONE}),
        (insert(User), {"id": ONE}, {ONE}),
        (insert(User), [{"id": ONE}, {"id": TWO}], {ONE, TWO}),
        (insert(User).values([{"id": ONE}, {"id": TWO}]), None, {ONE, TWO}),
        (insert(Enrollment), [{"user_id": ONE, "course_id": TWO}], {ONE}),
        (insert(User), [{"email": "x"}], set()),
        (insert(User), None, set()),
    ],
)
def test_the_rows_of_an_insert(statement: object, parameters: Any, expected: set[UUID]) -> None:
    assert named_ids(statement, parameters) == expected
