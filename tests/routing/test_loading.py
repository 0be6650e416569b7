"""Relationships: none is loaded by accident, none row by row, and each from its own shard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import (
    RelationshipProperty,
    immediateload,
    joinedload,
    lazyload,
    selectinload,
    subqueryload,
)

from elearning.crud import NewUser, complete_transaction, create_refund, create_user_token
from elearning.email_hash import email_hash, home_of_hash
from elearning.flows import (
    Platform,
    SimulatedGateway,
    complete_lesson,
    enroll,
    purchase,
    register,
)
from elearning.flows.claims import email_keys
from elearning.models import (
    Base,
    Course,
    CourseCategory,
    CourseLesson,
    CourseModule,
    Enrollment,
    Global,
    Record,
    Transaction,
    User,
    UserProfile,
)
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.copies import wait_copied
from elearning.testing.factories import (
    CertificateFactory,
    CourseCategoryFactory,
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    CoursePrerequisiteFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    LessonProgressFactory,
    PaymentMethodFactory,
    QuizAttemptFactory,
    ReviewReportFactory,
    TransactionFactory,
    UserFactory,
    UserProfileFactory,
    bound,
)
from elearning.testing.switches import Switches
from tests.served import served

RELATIONSHIPS: list[RelationshipProperty[Any]] = sorted(
    (relation for mapper in Base.registry.mappers for relation in mapper.relationships), key=str
)
LOADED_BY_THEMSELVES: dict[str, str] = {}
"""Relationships that may be, and why; none so far."""


def test_no_relationship_loads_by_itself() -> None:
    assert len(RELATIONSHIPS) > 20
    found = {str(relation): relation.lazy for relation in RELATIONSHIPS}
    others = {name for name, lazy in found.items() if lazy != "raise"}
    assert others == set(LOADED_BY_THEMSELVES)


# One shard's rows, asked for in a session of another


@pytest.fixture
def asia(engines: Engines, empty_databases: None, switches: Switches) -> dict[type[Record], UUID]:
    """Return a row of each table, on the shard asia; Europe has copies of courses."""
    with RoutingSession(engines=engines, region="asia") as session, bound(session):
        user = UserFactory.create(region="asia")
        UserProfileFactory.create(user=user)
        card = PaymentMethodFactory.create(user=user)
        root = CourseCategoryFactory.create(region="asia")
        category = CourseCategoryFactory.create(region="asia", parent=root)
        course = CourseFactory.create(instructor__region="asia", category=category)
        enrollment = EnrollmentFactory.create(user=user, course=course)
        worked = LessonProgressFactory.create(enrollment=enrollment)
        QuizAttemptFactory.create(enrollment=enrollment, lesson=worked.lesson)
        CertificateFactory.create(enrollment=enrollment)
        review = CourseReviewFactory.create(enrollment=enrollment, course=course)
        ReviewReportFactory.create(review=review)
        create_user_token(session, user.id, "password_reset")
        CoursePrerequisiteFactory.create(course=course)
        payment = TransactionFactory.create(user=user, course=course, payment_method=card)
        complete_transaction(session, payment.id, "gateway-1")
        create_refund(session, payment.id)
        chosen = {User: user.id, Transaction: payment.id, CourseCategory: category.id}
        session.commit()
        found = {}
        for mapper in Base.registry.mappers:
            if issubclass(mapper.class_, Record):
                some = session.scalars(select(mapper.class_.id).limit(1)).one()
                found[mapper.class_] = chosen.get(mapper.class_, some)
    wait_copied(engines)
    for replica in ("asia-replica-1", "eu-replica-1"):
        switches.catch_up(replica)
    return found


def places(*models: type[Record]) -> set[str]:
    """Return where rows of asia are read in Europe: those that are copied, in Europe."""
    return {"eu-replica-1" if issubclass(each, Global) else "asia-replica-1" for each in models}


def ids_of(value: Any) -> list[UUID]:
    rows = value if isinstance(value, list) else [value]
    return sorted(row.id for row in rows if row is not None)


@pytest.mark.parametrize(
    "load",
    [lazyload, immediateload, joinedload, selectinload, subqueryload],
    ids=lambda load: load.__name__,
)
def test_related_rows_come_from_the_row_s_own_shard(
    engines: Engines, asia: dict[type[Record], UUID], load: Any
) -> None:
    empty = set()
    for relation in RELATIONSHIPS:
        if str(relation) in {"Course.enrollments", "CourseCategory.courses", "Course.instructor"}:
            continue  # see below
        cls, name = relation.parent.class_, relation.key
        statement = select(cls).where(cls.id == asia[cls]).options(load(relation.class_attribute))
        with RoutingSession(engines=engines, region="asia", consistency="primary") as session:
            expected = ids_of(getattr(session.scalars(statement).unique().one(), name))
        with RoutingSession(engines=engines, region="europe") as session, served(engines) as nodes:
            row = session.scalars(statement).unique().one()
            assert ids_of(getattr(row, name)) == expected, str(relation)
            # By a statement of its own, or along with the row.
            models = [cls] if load in (joinedload, subqueryload) else [cls, relation.mapper.class_]
            assert set(nodes) == places(*models), str(relation)
        if not expected:
            empty.add(str(relation))
    # The category has a parent, and the payment a refund; all else has something to find.
    assert empty == {"CourseCategory.children", "Transaction.refund_of"}


@pytest.mark.parametrize(
    "load",
    [lazyload, immediateload, selectinload, joinedload, subqueryload],
)
def test_the_instructor_of_a_copied_course_is_found_at_home(
    engines: Engines, asia: dict[type[Record], UUID], load: Any
) -> None:
    statement = select(Course).where(Course.id == asia[Course]).options(load(Course.instructor))
    with RoutingSession(engines=engines, region="europe") as session:
        course = session.scalars(statement).one()
        assert course.instructor is not None
        assert course.instructor.id == course.instructor_id


@pytest.mark.parametrize("load", [lazyload, immediateload, selectinload])
def test_enrollments_of_a_course_are_those_of_the_session_s_region(
    engines: Engines, asia: dict[type[Record], UUID], load: Any
) -> None:
    """They live with the students, all over the world; and copies of courses are near.

    What comes with the course in one statement, or by ``subqueryload``, is of its own shard.
    """
    statement = select(Course).where(Course.id == asia[Course]).options(load(Course.enrollments))
    for region, number in (("asia", 1), ("europe", 0)):
        with RoutingSession(engines=engines, region=region) as session:
            assert len(session.scalars(statement).one().enrollments) == number


@pytest.mark.parametrize("load", [lazyload, joinedload, selectinload, subqueryload])
def test_what_is_loaded_along_with_several_rows(
    engines: Engines, asia: dict[type[Record], UUID], load: Any
) -> None:
    """The rows are those of the session's region, or of ids; what belongs to them follows.

    A course that is loaded by a statement of its own is the copy that is near.
    """
    for where in ([], [Enrollment.user_id == asia[User]], [Enrollment.id.in_([asia[Enrollment]])]):
        region = "europe" if where else "asia"
        statement = (
            select(Enrollment)
            .where(*where)
            .options(
                load(Enrollment.user).options(load(User.profile)),
                load(Enrollment.lesson_progress),
                load(Enrollment.course).options(load(Course.modules)),
            )
        )
        with RoutingSession(engines=engines, region=region) as session, served(engines) as nodes:
            found = session.scalars(statement).unique().one()
            assert found.user.profile is not None
            assert found.lesson_progress
            assert found.course.modules
        near = places(Course) if where and load in (lazyload, selectinload) else set()
        assert set(nodes) == places(User) | near


def test_a_lazy_load_follows_a_write_to_the_primary(
    engines: Engines, asia: dict[type[Record], UUID], switches: Switches
) -> None:
    with (
        switches.replay_paused("asia-replica-1"),
        RoutingSession(engines=engines, region="europe") as session,
        served(engines) as nodes,
    ):
        user = session.scalars(
            select(User).where(User.id == asia[User]).options(lazyload("*"))
        ).one()
        user.first_name = "New"
        session.flush()
        assert user.profile is not None
        profile = session.get_one(UserProfile, asia[UserProfile])
        assert profile is user.profile
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):
            _ = profile.user.enrollments[0].course
    assert nodes[0] == "asia-replica-1"
    assert set(nodes[1:]) == {"asia-primary"}


# No statement for each lesson


@dataclass
class School:
    platform: Platform
    user_id: UUID
    course_id: UUID
    lesson_ids: list[UUID]
    token: Token
    enrollment_id: UUID | None = None


def make_school(platform: Platform, engines: Engines, lessons: int) -> School:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user = UserFactory.create(region="africa")
        course = CourseFactory.create(instructor__region="africa")
        modules = [
            CourseModuleFactory.create(course=course, position=number + 1)
            for number in range(1 + lessons // 10)
        ]
        made = [
            CourseLessonFactory.create(module=modules[number % len(modules)], position=number + 1)
            for number in range(lessons)
        ]
        ids = [lesson.id for lesson in made]
        session.commit()
        return School(platform, user.id, course.id, ids, session.token)


async def enrolls(school: School) -> None:
    done = await enroll(school.platform, school.user_id, school.course_id, token=school.token)
    assert sum(len(module.lessons) for module in done.curriculum) == len(school.lesson_ids)
    school.enrollment_id = done.enrollment_id


async def completes(school: School) -> None:
    assert school.enrollment_id is not None
    await complete_lesson(school.platform, school.enrollment_id, school.lesson_ids[-1])


async def buys(school: School) -> None:
    await purchase(school.platform, school.user_id, school.course_id, SimulatedGateway())


def abroad(platform: Platform, name: str) -> str:
    """Return an address that another shard than Africa's knows whose it is: the longer way."""
    (key,) = email_keys(platform)
    addresses = (f"{name}.{number}@example.com" for number in count(1))
    return next(
        each
        for each in addresses
        if platform.engines.home(home_of_hash(email_hash(key, each))) != "eu"
    )


async def registers(school: School) -> None:
    address = abroad(school.platform, f"{len(school.lesson_ids)}")
    await register(
        school.platform, NewUser(region="africa", email=address, first_name="A", last_name="B")
    )


FLOWS: list[Callable[[School], Awaitable[None]]] = [enrolls, completes, buys, registers]
MOST = {"enrolls": 6, "completes": 4, "buys": 10, "registers": 5}
"""Statements of each flow: those that look for a position in a log do not count."""


async def test_the_statements_of_a_flow_do_not_grow_with_the_course(
    platform: Platform, engines: Engines
) -> None:
    counts: dict[int, dict[str, int]] = {}
    for lessons in (1, 30):
        school = make_school(platform, engines, lessons)
        counts[lessons] = {}
        for flow in FLOWS:
            with served(platform.engines) as nodes:
                await flow(school)
                # What goes on behind it is done now or later.
                await school.platform.background.finish()
            counts[lessons][flow.__name__] = len(nodes)
    assert counts[1] == counts[30]
    assert all(0 < count <= MOST[name] for name, count in counts[1].items()), counts[1]


def test_a_curriculum_is_three_statements(
    engines: Engines, platform: Platform, switches: Switches
) -> None:
    sent: list[str] = []

    def note(_c: object, _cu: object, sql: str, *_: object) -> None:
        sent.append(sql)

    school = make_school(platform, engines, 30)
    switches.catch_up("eu-replica-1")
    engine = engines.replicas("eu")[0].reader
    event.listen(engine, "before_cursor_execute", note)
    try:
        with RoutingSession(engines=engines, region="europe") as session:
            course = session.scalars(
                select(Course)
                .where(Course.id == school.course_id)
                .options(selectinload(Course.modules).selectinload(CourseModule.lessons))
            ).one()
            assert sum(len(module.lessons) for module in course.modules) == 30
            counted = select(func.count()).select_from(CourseLesson).join(CourseLesson.module)
            by_course = counted.where(CourseModule.course_id == school.course_id)
            assert session.scalar(by_course) == 30
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(sent) == 4
