"""Statements made by chance, all of which fan-out promises to answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Integer, Select, and_, func, not_, or_, select
from sqlalchemy.orm import aliased

from elearning.models import (
    Course,
    CourseCategory,
    Enrollment,
    Transaction,
    User,
    UserProfile,
)
from tests.routing.fanout.world import BIG, NAMES, START

__all__ = ["Query", "distinct", "grouped", "rows", "totals"]

PEER = aliased(Enrollment)

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Query:
    """A statement, and how much of its order is fixed."""

    statement: Select[Any]
    ordered: int = 0
    """How many of its last columns it is ordered by."""
    total: bool = False
    """Whether no two rows are equal in that order."""


COLUMNS: dict[Any, list[Any]] = {
    User: [
        User.id,
        User.first_name.collate("C"),
        User.last_name.collate("C"),
        User.user_type.collate("C"),
        User.last_login,
        User.created_at,
        func.length(User.first_name, type_=Integer),
    ],
    Enrollment: [
        Enrollment.id,
        Enrollment.user_id,
        Enrollment.course_id,
        Enrollment.total_lessons,
        # Not "-total_lessons": SQLAlchemy 2.1.9 cannot tell that from the column beside it.
        0 - Enrollment.total_lessons,
        Enrollment.progress_percentage,
        Enrollment.last_accessed,
        Enrollment.certificate_issued,
        Enrollment.total_lessons > 1,
    ],
    PEER: [PEER.id, PEER.total_lessons, PEER.progress_percentage, PEER.last_accessed],
    Transaction: [
        Transaction.id,
        Transaction.course_id,
        Transaction.amount_minor,
        Transaction.amount_minor - 5000,
        Transaction.currency.collate("C"),
    ],
    Course: [
        Course.id,
        Course.title.collate("C"),
        Course.category_id,
        Course.rating_sum,
        Course.duration_hours,
        Course.max_enrollments,
        func.coalesce(Course.max_enrollments, 7),
    ],
    CourseCategory: [CourseCategory.id, CourseCategory.slug.collate("C")],
    UserProfile: [
        UserProfile.id,
        UserProfile.date_of_birth,
        UserProfile.country.collate("C"),
    ],
}

SELECTED: dict[Any, list[Any]] = {
    User: [User.email, User.first_name, User.region],
    Enrollment: [Enrollment.status, Enrollment.certificate_url],
    PEER: [PEER.status],
    Transaction: [Transaction.gateway, Transaction.status],
    Course: [Course.slug, Course.price_minor],
    CourseCategory: [CourseCategory.description],
    UserProfile: [UserProfile.city],
}

NUMBERS: dict[Any, list[Any]] = {
    User: [func.length(User.first_name, type_=Integer)],
    Enrollment: [
        Enrollment.total_lessons,
        Enrollment.total_lessons - 2,
        Enrollment.progress_percentage,
        Enrollment.completed_lessons / 3,
        Enrollment.progress_percentage * Decimal("0.00001"),
    ],
    PEER: [PEER.total_lessons, PEER.progress_percentage],
    Transaction: [
        Transaction.amount_minor,
        Transaction.amount_minor - 5000,
        -Transaction.amount_minor,
        Transaction.amount_minor / 7,
    ],
    Course: [Course.rating_sum, Course.price_minor, Course.duration_hours, Course.max_enrollments],
    CourseCategory: [func.length(CourseCategory.slug, type_=Integer)],
    UserProfile: [func.length(UserProfile.city, type_=Integer)],
}

moments = st.integers(0, 30).map(lambda hours: START + timedelta(hours=hours))
FILTERS: dict[Any, list[st.SearchStrategy[Any]]] = {
    User: [
        st.sampled_from(NAMES).map(lambda name: User.first_name == name),
        moments.map(lambda moment: User.created_at < moment),
        st.just(User.last_login.is_(None)),
        st.sampled_from(["active", "inactive"]).map(lambda status: User.status == status),
        st.integers(0, 3).map(lambda n: User.enrollments.any(Enrollment.total_lessons > n)),
        st.just(User.id.in_(select(Transaction.user_id).where(Transaction.amount_minor > 5))),
    ],
    Enrollment: [
        st.integers(0, 3).map(lambda n: Enrollment.total_lessons >= n),
        st.just(Enrollment.last_accessed.is_not(None)),
        st.just(Enrollment.course.has(Course.rating_sum < 0)),
        st.just(Enrollment.user.has(User.last_login.is_(None))),
    ],
    PEER: [st.integers(0, 3).map(lambda n: PEER.total_lessons >= n)],
    Transaction: [
        st.sampled_from([0, 5, 10**12, BIG]).map(lambda n: Transaction.amount_minor <= n),
        st.sampled_from([["EUR"], ["EUR", "JPY"], []]).map(Transaction.currency.in_),
        st.just(Transaction.course_id.is_(None)),
    ],
    Course: [
        st.sampled_from([-BIG, 0, 7]).map(lambda n: Course.rating_sum > n),
        st.just(Course.duration_hours > Decimal(5)),
        st.just(Course.category_id.is_not(None)),
    ],
    CourseCategory: [st.just(CourseCategory.slug == "s1")],
    UserProfile: [st.just(UserProfile.date_of_birth >= date(1991, 1, 1))],
}

SOURCES: list[tuple[list[Any], Callable[[Select[Any]], Select[Any]]]] = [
    ([User], lambda s: s.select_from(User)),
    ([Enrollment], lambda s: s.select_from(Enrollment)),
    ([Transaction], lambda s: s.select_from(Transaction)),
    ([Course], lambda s: s.select_from(Course)),
    ([UserProfile], lambda s: s.select_from(UserProfile)),
    ([User, Enrollment], lambda s: s.select_from(User).join(User.enrollments)),
    ([Enrollment, Course], lambda s: s.select_from(Enrollment).join(Enrollment.course)),
    (
        [User, PEER],
        lambda s: s.select_from(User).outerjoin(PEER, PEER.user_id == User.id),
    ),
    ([User, UserProfile], lambda s: s.select_from(User).outerjoin(User.profile)),
    ([Transaction, Course], lambda s: s.select_from(Transaction).outerjoin(Transaction.course)),
    ([Course, CourseCategory], lambda s: s.select_from(Course).outerjoin(Course.category)),
    (
        [Course, User],
        lambda s: s.select_from(Course).join(User, Course.instructor_id == User.id),
    ),
    (
        [Transaction, Enrollment],
        lambda s: s.select_from(Transaction).join(
            Enrollment, Transaction.user_id == Enrollment.user_id
        ),
    ),
    (
        [Enrollment, Course, CourseCategory],
        lambda s: s.select_from(Enrollment).join(Enrollment.course).outerjoin(Course.category),
    ),
]


def _pool(of: dict[Any, list[Any]], models: Sequence[Any]) -> list[Any]:
    return [each for model in models for each in of[model]]


def _condition(draw: Draw, models: Sequence[Any], depth: int = 2) -> Any:
    kind = draw(st.integers(0, 5)) if depth else 0
    if kind <= 2:
        return draw(st.one_of(_pool(FILTERS, models)))
    if kind == 3:
        return not_(_condition(draw, models, depth - 1))
    combine = and_ if kind == 4 else or_
    return combine(_condition(draw, models, depth - 1), _condition(draw, models, depth - 1))


def _filtered(draw: Draw, statement: Select[Any], models: Sequence[Any]) -> Select[Any]:
    for _ in range(draw(st.integers(0, 2))):
        statement = statement.where(_condition(draw, models))
    return statement


def _turned(draw: Draw, element: Any) -> Any:
    element = draw(st.sampled_from([element, element.asc(), element.desc(), element.desc()]))
    return draw(st.sampled_from([element, element, element.nulls_first(), element.nulls_last()]))


def _cut(draw: Draw, statement: Select[Any]) -> Select[Any]:
    limit = draw(st.one_of(st.none(), st.integers(0, 60)))
    offset = draw(st.one_of(st.none(), st.integers(0, 60)))
    if limit is not None:
        statement = statement.limit(limit)
    return statement if offset is None else statement.offset(offset)


def _ordered(draw: Draw, statement: Select[Any], elements: Sequence[Any]) -> Select[Any]:
    return statement.order_by(*(_turned(draw, element) for element in elements))


@st.composite
def rows(draw: Draw) -> Query:
    """Rows, as entities or columns, joined, filtered, ordered and cut."""
    models, source = draw(st.sampled_from(SOURCES))
    keys = draw(st.lists(st.sampled_from(_pool(COLUMNS, models)), max_size=3, unique_by=id))
    total = draw(st.booleans())
    if total:
        keys += [model.id for model in models]
    shown = draw(
        st.one_of(
            st.lists(st.sampled_from(models), min_size=1, max_size=2, unique_by=id),
            st.lists(
                st.sampled_from(_pool(SELECTED, models)), min_size=1, max_size=3, unique_by=id
            ),
        )
    )
    labels = [key.label(f"k{n}") for n, key in enumerate(keys)]
    statement = _filtered(draw, source(select(*shown, *labels)), models)
    # By what they are, or by the name that they have in the result.
    by_name = draw(st.booleans())
    statement = _ordered(draw, statement, labels if by_name else keys)
    return Query(_cut(draw, statement), len(keys), total)


def _aggregates(draw: Draw, models: Sequence[Any]) -> list[Any]:
    numbers = st.sampled_from(_pool(NUMBERS, models))
    columns = st.sampled_from(_pool(COLUMNS, models))
    ids = [User.id, Enrollment.user_id, Transaction.user_id]
    own = [each for each in ids if each.class_ in models and Course not in models]
    choices = [
        st.just(func.count()),
        columns.map(func.count),
        numbers.map(func.sum),
        numbers.map(func.avg),
        columns.filter(_has_extremes).map(func.min),
        columns.filter(_has_extremes).map(func.max),
        *([st.sampled_from(own).map(lambda each: func.count(each.distinct()))] if own else []),
    ]
    found = draw(st.lists(st.one_of(choices), min_size=1, max_size=4))
    return [
        each.filter(draw(st.one_of(_pool(FILTERS, models))))
        if draw(st.integers(0, 3)) == 0
        else each
        for each in found
    ]


def _has_extremes(column: Any) -> bool:
    # PostgreSQL has no max(uuid) before 18, and none of booleans.
    return type(column.type).__name__ not in {"Uuid", "Boolean"}


@st.composite
def totals(draw: Draw) -> Query:
    """Aggregates over everything."""
    models, source = draw(st.sampled_from(SOURCES))
    statement = source(select(*_aggregates(draw, models)))
    return Query(_filtered(draw, statement, models), total=True)


@st.composite
def grouped(draw: Draw) -> Query:
    """Groups, ordered by their keys or by aggregates, and cut."""
    models, source = draw(st.sampled_from(SOURCES))
    keys = draw(
        st.lists(st.sampled_from(_pool(COLUMNS, models)), min_size=1, max_size=2, unique_by=id)
    )
    aggregates = _aggregates(draw, models)
    order = draw(st.lists(st.sampled_from(keys), max_size=2, unique_by=id))
    total = len(order) == len(keys)
    if draw(st.booleans()):
        countable = [func.count(), func.max(models[0].created_at)]
        order.insert(0, draw(st.sampled_from(countable)))
    labels = [each.label(f"k{n}") for n, each in enumerate(order)]
    statement = source(select(*keys, *aggregates, *labels)).group_by(*keys)
    statement = _ordered(draw, _filtered(draw, statement, models), order)
    return Query(_cut(draw, statement), len(order), total)


@st.composite
def distinct(draw: Draw) -> Query:
    """Different rows, ordered and cut."""
    models, source = draw(st.sampled_from(SOURCES))
    pool = _pool(COLUMNS, models)
    keys = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique_by=id))
    order = draw(st.integers(0, len(keys)))
    statement = _filtered(draw, source(select(*keys).distinct()), models)
    statement = _ordered(draw, statement, keys[len(keys) - order :])
    return Query(_cut(draw, statement), order, total=order == len(keys))
