from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError, StatementError
from sqlalchemy.orm import joinedload, selectinload

from elearning.ids import region_of
from elearning.models import (
    Base,
    Course,
    CourseModule,
    Enrollment,
    Invoice,
    Record,
    User,
    UserProfile,
)
from elearning.regions import Region
from elearning.routing import RoutingSession
from elearning.testing.factories import (
    CourseCategoryFactory,
    CourseLessonFactory,
    PaymentMethodFactory,
    TransactionFactory,
    UserFactory,
    UserProfileFactory,
    bound,
)

TABLES = {
    "users",
    "user_profiles",
    "course_categories",
    "courses",
    "course_modules",
    "course_lessons",
    "enrollments",
    "lesson_progress",
    "course_reviews",
    "payment_methods",
    "transactions",
    "invoices",
}


def test_the_twelve_tables_of_the_seed_and_ours() -> None:
    records = {mapper.class_ for mapper in Base.registry.mappers}
    named = {cls.__tablename__ for cls in records if issubclass(cls, Record)}
    assert named == TABLES | {
        "course_prerequisites",
        "user_tokens",
        "quiz_attempts",
        "certificates",
        "review_reports",
    }
    assert set(Base.metadata.tables) - named == {
        "hosted_regions",
        "invoice_counters",
        "outbox",
        "claims",
        "claim_outcomes",
        "course_seats",
        "course_statistics",
        "course_ratings",
        "course_search",
        "course_popularity",
        "course_months",
        "course_revenue",
        "platform_counters",
        "waitlist",
    }


@pytest.mark.parametrize(
    "mapper",
    sorted(Base.registry.mappers, key=str),
    ids=str,
)
def test_every_relationship_raises_on_an_accidental_load(mapper: object) -> None:
    for relationship in inspect(mapper).relationships:
        assert relationship.lazy == "raise", relationship


def test_a_new_row_gets_the_region_of_its_owner(session: RoutingSession) -> None:
    instructor = User(region="africa", email="i@example.com", first_name="I", last_name="J")
    course = Course(
        instructor=instructor,
        course_code="X",
        slug="x",
        title="X",
        currency="KES",
        language="sw",
        modules=[CourseModule(position=1, title="M")],
    )
    profile = UserProfile(user=instructor)
    session.add_all([profile, course])
    session.flush()
    for row in (instructor, profile, course, course.modules[0]):
        assert region_of(row.id) is Region.AFRICA
    assert region_of(instructor.id) == instructor.region


def test_a_new_row_without_owner_gets_the_region_of_the_session(session: RoutingSession) -> None:
    user = User(email="u@example.com", first_name="U", last_name="V")
    session.add(user)
    session.flush()
    assert region_of(user.id) is Region.EUROPE
    assert user.region is Region.EUROPE


def test_a_foreign_key_alone_tells_the_region(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create(region="africa")
    profile = UserProfile(user_id=user.id)
    session.add(profile)
    session.flush()
    assert region_of(profile.id) is Region.AFRICA


def test_rows_as_dictionaries_show_no_secret(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create(password_hash="$argon2id$v=19$secret")
    session.refresh(user)
    shown = user.to_dict()
    assert shown["email"] == user.email
    assert isinstance(shown["id"], UUID)
    assert "password_hash" not in shown
    assert "row_version" not in shown
    assert "profile" not in shown
    session.expire(user)
    assert user.to_dict() == {}
    assert "secret" not in repr(user)


def test_repr_is_safe_on_a_detached_row(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
    user_id = user.id
    session.commit()
    session.expunge(user)
    assert repr(user) == "<User without id>"
    assert str(user_id) in repr(session.get_one(User, user_id))
    assert repr(User()) == "<User without id>"


def test_relationships_of_the_diagram(session: RoutingSession) -> None:
    with bound(session):
        lesson = CourseLessonFactory.create()
        course = lesson.module.course
        course.category = CourseCategoryFactory.create(children=[CourseCategoryFactory.create()])
        profile = UserProfileFactory.create()
        enrollment = Enrollment(user=profile.user, course=course)
        session.add(enrollment)
        PaymentMethodFactory.create(user=profile.user)
        TransactionFactory.create(user=profile.user, course=course)
    session.commit()
    user = session.scalars(
        select(User)
        .where(User.id == profile.user_id)
        .options(
            joinedload(User.profile),
            selectinload(User.enrollments)
            .joinedload(Enrollment.course)
            .selectinload(Course.modules)
            .selectinload(CourseModule.lessons),
            selectinload(User.payment_methods),
            selectinload(User.transactions),
        )
    ).one()
    assert user.profile is profile
    assert user.enrollments[0].course.modules[0].lessons == [lesson]
    assert len(user.payment_methods) == len(user.transactions) == 1
    assert user.transactions[0].amount == Decimal("49.00")
    assert course.price == Decimal("49.00")


def test_an_accidental_lazy_load_raises(session: RoutingSession) -> None:
    with bound(session):
        user_id = UserFactory.create().id
    session.commit()
    session.expunge_all()
    with pytest.raises(InvalidRequestError, match="lazy='raise'"):
        _ = session.get_one(User, user_id).enrollments


def test_amounts_of_an_invoice_are_decimals() -> None:
    invoice = Invoice(
        subtotal_minor=1000, tax_minor=100, discount_minor=50, total_minor=1050, currency="TND"
    )
    assert [invoice.subtotal, invoice.tax, invoice.discount, invoice.total] == [
        Decimal("1.000"),
        Decimal("0.100"),
        Decimal("0.050"),
        Decimal("1.050"),
    ]


def test_an_unknown_state_does_not_reach_the_database(session: RoutingSession) -> None:
    with bound(session), pytest.raises(StatementError, match="not among the defined enum values"):
        UserFactory.create(status="asleep")


def test_a_user_in_a_region_that_the_id_denies_is_refused(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create(region="europe")
        user.region = Region.AFRICA
        with pytest.raises(IntegrityError, match="ck_users_region_of_id"):
            session.flush()
