"""Each kind of merge once, by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Integer, all_, case, extract, func, literal, select
from sqlalchemy.orm import Bundle, aliased

from elearning.models import (
    Course,
    CourseCategory,
    CourseModule,
    Enrollment,
    OutboxMessage,
    PaymentMethod,
    Transaction,
    User,
    UserProfile,
)
from elearning.routing import Engines
from tests.routing.fanout.comparing import agree
from tests.routing.fanout.world import START

PEER = aliased(Enrollment)
COPY = aliased(Course)

STATEMENTS: dict[str, Any] = {
    "entities": select(User),
    "columns": select(User.id, User.first_name, literal(1)),
    "catalog": select(Course),
    "catalog-count": select(func.count(), func.sum(Course.rating_sum)).select_from(Course),
    "catalog-join": select(Course.title, CourseCategory.slug).join(Course.category),
    "catalog-outer-join": select(Course.title, CourseCategory.slug).outerjoin(Course.category),
    "modules": select(Course.id, CourseModule.position).join(Course.modules),
    "subject-count": select(CourseCategory.slug, func.count(Course.id))
    .outerjoin(CourseCategory.courses)
    .group_by(CourseCategory.slug),
    "owner-join": select(User.email, Enrollment.id).join(User.enrollments),
    "outer-join": select(User.email, PEER.id).outerjoin(PEER, PEER.user_id == User.id),
    "owners-alike": select(Transaction.id, Enrollment.id).where(
        Transaction.user_id == Enrollment.user_id
    ),
    "course-join": select(Enrollment.id, Course.title).join(Enrollment.course),
    "instructors": select(User.email, Course.id).join(User, Course.instructor_id == User.id),
    "aggregates": select(
        func.count(),
        func.count(User.last_login),
        func.min(User.created_at),
        func.max(User.last_login),
        func.min(User.first_name.collate("C")),
        func.max(User.first_name.collate("C")).label("last"),
    ),
    "sums": select(
        func.sum(Transaction.amount_minor),
        func.avg(Transaction.amount_minor),
        func.sum(Transaction.amount_minor).filter(Transaction.currency == "JPY"),
        func.avg(Transaction.amount_minor).filter(Transaction.currency == "JPY"),
        func.avg(Transaction.amount_minor - 5000),
    ),
    "integers": select(
        func.sum(Enrollment.total_lessons),
        func.avg(Enrollment.total_lessons),
        func.bool_and(Enrollment.certificate_issued),
        func.bool_or(Enrollment.certificate_issued),
    ),
    "numerics": select(
        func.sum(Enrollment.progress_percentage), func.avg(Enrollment.progress_percentage)
    ),
    "not-a-number": select(
        func.sum(Course.duration_hours),
        func.avg(Course.duration_hours),
        func.max(Course.duration_hours),
        func.min(Course.duration_hours),
    ),
    "of-nothing": select(func.count(), func.max(User.created_at)).where(User.email == "nobody"),
    "average-of-nothing": select(func.avg(Enrollment.total_lessons)).where(
        Enrollment.total_lessons > 99
    ),
    "groups": select(
        User.first_name, func.count().label("n"), func.avg(func.length(User.email, type_=Integer))
    ).group_by(User.first_name),
    "groups-of-enum": select(Enrollment.status, func.count()).group_by("status"),
    "groups-of-courses": select(Course, func.count(Enrollment.id))
    .join(Enrollment.course)
    .group_by(Course.id),
    "titles-by-course": select(Course.title, Course.id, func.avg(Enrollment.total_lessons))
    .join(Enrollment.course)
    .group_by(Course.id),
    "groups-by-owner": select(
        User.id, func.count(Enrollment.id.distinct()), func.string_agg(Enrollment.status, ",")
    )
    .outerjoin(User.enrollments)
    .group_by(User.id)
    .having(func.count(Enrollment.id) > 1),
    "distinct": select(User.first_name, User.last_login).distinct(),
    "distinct-of-own": select(Enrollment.user_id).distinct(),
    "distinct-users": select(func.count(Enrollment.user_id.distinct())),
    "distinct-users-by-course": select(
        Enrollment.course_id, func.count(Enrollment.user_id.distinct())
    ).group_by(Enrollment.course_id),
    "exists": select(User.email).where(User.enrollments.any(Enrollment.total_lessons > 1)),
    "has": select(Enrollment.id).where(Enrollment.course.has(Course.price_minor > 0)),
    "not-in": select(User.email).where(User.id.not_in(select(PaymentMethod.user_id))),
    "in": select(User.email).where(
        User.id.in_(select(Enrollment.user_id).where(Enrollment.total_lessons == 1))
    ),
    "counted-in-a-subquery": select(
        User.email,
        select(func.count()).where(Enrollment.user_id == User.id).scalar_subquery(),
    ),
    "window": select(
        Transaction.id,
        func.sum(Transaction.amount_minor).over(
            partition_by=Transaction.user_id, order_by=Transaction.id
        ),
    ),
    "copies-once": select(Course).join(Course.enrollments).distinct(),
    "distinct-not-a-number": select(Course.duration_hours).distinct(),
    "core": select(*User.__table__.c.values()[:4]).where(User.__table__.c.status == "active"),
    "table": select(CourseModule.__table__),
    "bundle": select(Bundle("name", User.first_name, User.last_name), User.id).order_by(User.id),
    "catalog-alias": select(COPY).where(COPY.rating_sum >= 0),
    "bookkeeping": select(func.count(OutboxMessage.id)),
    "hours": select(extract("hour", func.timezone("UTC", User.created_at)), User.id),
    "years": select(extract("year", UserProfile.date_of_birth), UserProfile.id),
    "time-between": select(extract("epoch", User.last_login - User.created_at), User.id),
    "moments": select(User.id).where(User.created_at.between(START, START + timedelta(hours=9))),
    "group-by-function": select(func.length(User.email, type_=Integer), func.count()).group_by(
        func.length(User.email, type_=Integer)
    ),
    "group-by-name": select(User.status.label("how"), func.count()).group_by("how"),
    "group-by-entity": select(User, func.count(Enrollment.id))
    .outerjoin(User.enrollments)
    .group_by(User),  # type: ignore[arg-type]
    "group-of-a-constant": select(literal("x"), func.count()).select_from(User),
    "group-by-truth": select(
        User.last_login.is_(None), func.every(User.status == "active")
    ).group_by(User.last_login.is_(None)),
    "window-of-groups": select(
        Enrollment.user_id,
        func.rank().over(partition_by=Enrollment.user_id, order_by=func.count()),
    ).group_by(Enrollment.user_id),
    "array": select(User.id, func.array_agg(Enrollment.id))
    .join(User.enrollments)
    .group_by(User.id)
    .having(func.count() == 1),
    "min-distinct": select(func.min(User.created_at.distinct())),
    "in-a-subquery-of-courses": select(Enrollment.id).where(
        Enrollment.course_id.in_(select(Course.id).where(Course.rating_sum > 0))
    ),
    "teachers-of-courses": select(Course.slug).where(
        select(User.id).where(User.id == Course.instructor_id, User.status == "active").exists()
    ),
    "two-deep": select(User.email).where(
        User.enrollments.any(
            Enrollment.course.has(Course.category.has(CourseCategory.slug == "s1"))
        )
    ),
    "correlate-except": select(User.email).where(
        select(Enrollment.id)
        .where(Enrollment.user_id == User.id)
        .correlate_except(Enrollment)
        .exists()
    ),
    "correlate": select(User.email).where(
        select(Enrollment.id).where(Enrollment.user_id == User.id).correlate(User).exists()
    ),
    "latest-by-user": select(Enrollment.id).where(
        Enrollment.enrollment_date
        == select(func.max(PEER.enrollment_date))
        .where(PEER.user_id == Enrollment.user_id)
        .scalar_subquery()
    ),
    "any-of": select(User.id).where(
        User.created_at
        >= all_(
            select(Enrollment.enrollment_date)
            .where(Enrollment.user_id == User.id)
            .scalar_subquery()
        )
    ),
    "case": select(
        func.sum(case((User.status == "active", 1), else_=0)),
        func.count(case((User.last_login.is_(None), User.id))),
    ),
    "profile": select(User.email, UserProfile.date_of_birth).outerjoin(User.profile),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_shards_tell_what_one_database_would(engines: Engines, world: Engine, name: str) -> None:
    agree(engines, world, STATEMENTS[name])
