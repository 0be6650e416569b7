"""Factories of factory-boy, one for each table that an application fills.

Bind a session once, then build rows that belong together::

    with bound(session):
        enrollment = EnrollmentFactory.create(user__region="africa")

A row's region follows from its owner; `UserFactory` and `CourseCategoryFactory`
take a ``region`` (default: europe).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from factory import Faker, LazyAttribute, LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.alchemy import SQLAlchemyModelFactory
from sqlalchemy import select
from sqlalchemy.orm import Session

from elearning.certificate_code import new_code
from elearning.ids import new_id, region_of
from elearning.models import (
    Certificate,
    Course,
    CourseCategory,
    CourseLesson,
    CourseModule,
    CoursePrerequisite,
    CourseReview,
    CourseStatus,
    Enrollment,
    LessonProgress,
    LessonType,
    PaymentMethod,
    PaymentMethodType,
    QuizAttempt,
    ReportReason,
    ReviewReport,
    TokenPurpose,
    Transaction,
    User,
    UserProfile,
    UserToken,
    UserType,
)
from elearning.regions import Region

__all__ = [
    "CertificateFactory",
    "CourseCategoryFactory",
    "CourseFactory",
    "CourseLessonFactory",
    "CourseModuleFactory",
    "CoursePrerequisiteFactory",
    "CourseReviewFactory",
    "EnrollmentFactory",
    "InstructorFactory",
    "LessonProgressFactory",
    "PaymentMethodFactory",
    "QuizAttemptFactory",
    "ReviewReportFactory",
    "TransactionFactory",
    "UserFactory",
    "UserProfileFactory",
    "UserTokenFactory",
    "bound",
]


_T = TypeVar("_T")


class _Factory(SQLAlchemyModelFactory, Generic[_T]):
    class Meta:
        abstract = True
        sqlalchemy_session_persistence = "flush"

    if TYPE_CHECKING:

        @classmethod
        def build(cls, **values: Any) -> _T: ...

        @classmethod
        def create(cls, **values: Any) -> _T: ...

        @classmethod
        def create_batch(cls, size: int, **values: Any) -> list[_T]: ...


def _id_like(owner: str) -> LazyAttribute:
    return LazyAttribute(lambda row: new_id(region_of(getattr(row, owner).id)))


class UserFactory(_Factory[User]):
    """A student."""

    class Meta:
        model = User

    region = Region.EUROPE
    id = LazyAttribute(lambda row: new_id(row.region))
    email = Sequence(lambda number: f"user{number}@example.com")
    first_name = Faker("first_name")
    last_name = Faker("last_name")


class InstructorFactory(UserFactory):
    """An instructor."""

    user_type = UserType.INSTRUCTOR
    email = Sequence(lambda number: f"instructor{number}@example.com")


class UserProfileFactory(_Factory[UserProfile]):
    """A profile, with its user."""

    class Meta:
        model = UserProfile

    user = SubFactory(UserFactory)
    id = _id_like("user")
    country = Faker("country_code")
    city = Faker("city")


class UserTokenFactory(_Factory[UserToken]):
    """The hash of a secret that nobody knows, good for an hour."""

    class Meta:
        model = UserToken

    user = SubFactory(UserFactory)
    id = _id_like("user")
    purpose = TokenPurpose.EMAIL_VERIFICATION
    token_hash = LazyFunction(lambda: token_bytes(32))
    email = SelfAttribute("user.email")
    expires_at = LazyFunction(lambda: datetime.now(UTC) + timedelta(hours=1))


class CourseCategoryFactory(_Factory[CourseCategory]):
    """A root category."""

    class Meta:
        model = CourseCategory

    class Params:
        region = Region.EUROPE

    id = LazyAttribute(lambda row: new_id(row.region))
    slug = Sequence(lambda number: f"category-{number}")
    category_name = Sequence(lambda number: f"Category {number}")


class CourseFactory(_Factory[Course]):
    """A published course, with its instructor, without lessons."""

    class Meta:
        model = Course

    instructor = SubFactory(InstructorFactory)
    id = _id_like("instructor")
    course_code = Sequence(lambda number: f"C-{number}")
    slug = Sequence(lambda number: f"course-{number}")
    title = Faker("sentence", nb_words=4)
    price_minor = 4_900
    currency = "EUR"
    language = "en"
    status = CourseStatus.PUBLISHED
    published_at = LazyFunction(lambda: datetime.now(UTC))


class CourseModuleFactory(_Factory[CourseModule]):
    """A module, with its course."""

    class Meta:
        model = CourseModule

    course = SubFactory(CourseFactory)
    id = _id_like("course")
    position = Sequence(lambda number: number + 1)
    title = Faker("sentence", nb_words=3)


class CourseLessonFactory(_Factory[CourseLesson]):
    """A lesson, with its module."""

    class Meta:
        model = CourseLesson

    module = SubFactory(CourseModuleFactory)
    id = _id_like("module")
    position = Sequence(lambda number: number + 1)
    title = Faker("sentence", nb_words=3)
    lesson_type = LessonType.VIDEO


class CoursePrerequisiteFactory(_Factory[CoursePrerequisite]):
    """A course that comes before another one; both share a region."""

    class Meta:
        model = CoursePrerequisite

    course = SubFactory(CourseFactory)
    prerequisite = SubFactory(
        CourseFactory,
        instructor__region=LazyAttribute(
            lambda row: region_of(row.factory_parent.factory_parent.course.id)
        ),
    )
    id = _id_like("course")


class EnrollmentFactory(_Factory[Enrollment]):
    """An enrollment; user and course share a region. A course with a limit refuses it."""

    class Meta:
        model = Enrollment

    user = SubFactory(UserFactory)
    course = SubFactory(CourseFactory, instructor__region=SelfAttribute("...user.region"))
    id = _id_like("user")


class LessonProgressFactory(_Factory[LessonProgress]):
    """Progress in a lesson of the enrollment's course, not completed.

    A lesson that joins a running course has such a row for everybody in it at once; then
    that one is taken, and gets the values that were asked for.
    """

    class Meta:
        model = LessonProgress

    enrollment = SubFactory(EnrollmentFactory)
    lesson = SubFactory(CourseLessonFactory, module__course=SelfAttribute("...enrollment.course"))
    id = _id_like("enrollment")

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **values: Any) -> Any:
        session: Session | None = cls._meta.sqlalchemy_session  # type: ignore[attr-defined]
        if session is None:
            return super()._create(model_class, *args, **values)  # type: ignore[no-untyped-call]
        row = session.scalar(
            select(LessonProgress).where(
                LessonProgress.enrollment_id == values["enrollment"].id,
                LessonProgress.lesson_id == values["lesson"].id,
            )
        )
        if row is None:
            return super()._create(model_class, *args, **values)  # type: ignore[no-untyped-call]
        del values["id"]
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        return row


class QuizAttemptFactory(_Factory[QuizAttempt]):
    """The first attempt at a quiz of the enrollment's course."""

    class Meta:
        model = QuizAttempt

    enrollment = SubFactory(EnrollmentFactory)
    lesson = SubFactory(
        CourseLessonFactory,
        module__course=SelfAttribute("...enrollment.course"),
        lesson_type=LessonType.QUIZ,
    )
    id = _id_like("enrollment")
    number = 1
    score = Decimal(80)


class CertificateFactory(_Factory[Certificate]):
    """A certificate that is good, with names of its own, whatever the enrollment is like."""

    class Meta:
        model = Certificate

    enrollment = SubFactory(EnrollmentFactory)
    id = _id_like("enrollment")
    code = LazyAttribute(lambda row: new_code(region_of(row.enrollment.id)))
    recipient_name = Faker("name")
    course_title = Faker("sentence", nb_words=4)
    instructor_name = Faker("name")
    completion_date = LazyFunction(lambda: datetime.now(UTC))


class CourseReviewFactory(_Factory[CourseReview]):
    """A review of the enrollment's course."""

    class Meta:
        model = CourseReview

    enrollment = SubFactory(EnrollmentFactory)
    course = SelfAttribute("enrollment.course")
    id = _id_like("enrollment")
    rating = 4


class ReviewReportFactory(_Factory[ReviewReport]):
    """An open report of a review, by somebody who need not be there."""

    class Meta:
        model = ReviewReport

    review = SubFactory(CourseReviewFactory)
    id = _id_like("review")
    reporter_id = LazyAttribute(lambda row: new_id(region_of(row.review.id)))
    reason = ReportReason.SPAM


class PaymentMethodFactory(_Factory[PaymentMethod]):
    """A credit card."""

    class Meta:
        model = PaymentMethod

    user = SubFactory(UserFactory)
    id = _id_like("user")
    method_type = PaymentMethodType.CREDIT_CARD
    brand = "Visa"
    last_four = Faker("numerify", text="####")


class TransactionFactory(_Factory[Transaction]):
    """A pending payment."""

    class Meta:
        model = Transaction

    user = SubFactory(UserFactory)
    course = SubFactory(CourseFactory, instructor__region=SelfAttribute("...user.region"))
    id = _id_like("user")
    amount_minor = SelfAttribute("course.price_minor")
    currency = SelfAttribute("course.currency")
    gateway = "simulated"


_FACTORIES: tuple[type[SQLAlchemyModelFactory], ...] = (
    UserFactory,
    InstructorFactory,
    UserProfileFactory,
    UserTokenFactory,
    CourseCategoryFactory,
    CourseFactory,
    CourseModuleFactory,
    CourseLessonFactory,
    CoursePrerequisiteFactory,
    EnrollmentFactory,
    LessonProgressFactory,
    QuizAttemptFactory,
    CertificateFactory,
    CourseReviewFactory,
    ReviewReportFactory,
    PaymentMethodFactory,
    TransactionFactory,
)


@contextmanager
def bound(session: Session) -> Iterator[Session]:
    """Let all factories write through a session, for the time of the block."""
    before = [_bind(factory, session) for factory in _FACTORIES]
    try:
        yield session
    finally:
        for factory, earlier in zip(_FACTORIES, before, strict=True):
            _bind(factory, earlier)


def _bind(factory: type[SQLAlchemyModelFactory], session: Session | None) -> Session | None:
    # The documented way to give a factory its session later.
    meta: Any = factory._meta  # noqa: SLF001
    before: Session | None = meta.sqlalchemy_session
    meta.sqlalchemy_session = session
    return before
