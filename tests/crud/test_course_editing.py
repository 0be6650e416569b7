"""Courses: created, edited, published, archived."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from elearning.crud import (
    NewLesson,
    add_lesson,
    add_module,
    archive_course,
    archive_lesson,
    create_course,
    list_instructor_courses,
    publish_course,
    update_course,
)
from elearning.crud.checks import slug_of
from elearning.errors import (
    CategoryNotFound,
    CourseCodeTaken,
    CourseEmpty,
    CourseNotFound,
    ElearningError,
    InvalidAmount,
    InvalidId,
    InvalidText,
    NotAnInstructor,
    SlugTaken,
    StaleEdit,
    UnknownCurrency,
    UnknownField,
    UserNotFound,
)
from elearning.ids import new_id, region_of
from elearning.models import Course, CourseLevel, CourseStatus, UserStatus, UserType
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CourseCategoryFactory,
    CourseFactory,
    InstructorFactory,
    UserFactory,
    bound,
)
from tests.crud.editing import course_of, new_course
from tests.served import served
from tests.snapshots import Snapshot

STRANGER = new_id("europe")
NOW = datetime.now(UTC)


def test_create_course_is_a_draft_in_the_instructors_region(
    session: RoutingSession, engines: Engines
) -> None:
    with bound(session):
        instructor = InstructorFactory.create(region="asia", first_name="Ada", last_name="L")
        category = CourseCategoryFactory.create(region="asia")
    wanted = course_of(
        instructor.id,
        category_id=category.id,
        level="advanced",
        price="49.90",
        duration_hours=Decimal("12.5"),
        max_enrollments=20,
        enrollment_opens_at=NOW,
        enrollment_closes_at=NOW + timedelta(days=1),
        access_days=90,
        description="  All of it.  ",
    )
    session.commit()
    with served(engines) as nodes:
        course = create_course(session, wanted)
    assert nodes == ["asia-primary"] * 3
    assert region_of(course.id) is Region.ASIA
    assert (course.status, course.slug, course.level) == (
        CourseStatus.DRAFT,
        "cafe-fur-alle",
        CourseLevel.ADVANCED,
    )
    assert (course.price_minor, course.price) == (4990, Decimal("49.90"))
    assert (course.description, course.instructor_name) == ("All of it.", "Ada L")
    assert (course.max_enrollments, course.access_days) == (20, 90)
    assert course.rating is None
    course_id = course.id
    session.commit()
    assert session.get_one(Course, course_id).duration_hours == Decimal("12.50")


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Einführung: C++ & Ärger", "einfuhrung-c-arger"),
        ("日本語 101", "日本語-101"),
        ("हिन्दी", "हिन्दी"),
        ("Ünïcödé", "unicode"),
        ("Ẹ̀kọ́ Èdè", "eko-ede"),
        ("!!!", ""),
        ("--a--b--", "a-b"),
        ("x" * 30, "x" * 20),
    ],
)
def test_slug_of(title: str, slug: str) -> None:
    assert slug_of(title, most=20) == slug
    assert slug_of(slug, most=20) == slug


def test_slugs_that_are_made_differ(session: RoutingSession) -> None:
    slugs = [new_course(session).slug for _ in range(3)]
    assert slugs == ["cafe-fur-alle", "cafe-fur-alle-2", "cafe-fur-alle-3"]
    # Nothing of the title is left; and each region has its own.
    assert new_course(session, title="!!!", course_code="PY-1").slug == "py-1"
    assert new_course(session, title="!!!", course_code="???").slug == "course"
    session.commit()
    assert new_course(session, region="asia").slug == "cafe-fur-alle"


def test_many_courses_of_one_title(session: RoutingSession) -> None:
    slugs = {new_course(session).slug for _ in range(23)}
    assert len(slugs) == 23
    assert {len(slug) for slug in slugs} == {13, 15, 16, 13 + 17}


def test_courses_of_one_title_at_once(session: RoutingSession, engines: Engines) -> None:
    with bound(session):
        instructors = [each.id for each in InstructorFactory.create_batch(6)]
    session.commit()
    barrier = Barrier(len(instructors))

    def create(instructor_id: UUID) -> str:
        with RoutingSession(engines=engines, region="asia") as own:
            barrier.wait()
            slug = create_course(own, course_of(instructor_id)).slug
            own.commit()
            return slug

    with ThreadPoolExecutor(len(instructors)) as threads:
        assert len(set(threads.map(create, instructors))) == len(instructors)


WRONG: list[tuple[dict[str, Any], type[ElearningError]]] = [
    ({"title": " "}, InvalidText),
    ({"title": 5}, InvalidText),
    ({"title": "x" * 301}, InvalidText),
    ({"title": "x\0"}, InvalidText),
    ({"course_code": ""}, InvalidText),
    ({"slug": "Not A Slug"}, InvalidText),
    ({"slug": ""}, InvalidText),
    ({"description": "x" * 50_001}, InvalidText),
    ({"category_id": "x"}, InvalidText),
    ({"level": "expert"}, InvalidText),
    ({"price": -1}, InvalidAmount),
    ({"price": 1.5}, InvalidAmount),
    ({"price": "0.001"}, InvalidAmount),
    ({"currency": "XXX"}, UnknownCurrency),
    ({"duration_hours": 1.5}, InvalidAmount),
    ({"duration_hours": Decimal("0.001")}, InvalidAmount),
    ({"duration_hours": Decimal("1E+999999")}, InvalidAmount),
    ({"duration_hours": Decimal("NaN")}, InvalidAmount),
    ({"duration_hours": 10_000}, InvalidAmount),
    ({"language": "english language"}, InvalidText),
    ({"language": "e"}, InvalidText),
    ({"max_enrollments": 0}, InvalidText),
    ({"max_enrollments": True}, InvalidText),
    ({"max_enrollments": 10**5000}, InvalidText),
    ({"access_days": 36_501}, InvalidText),
    ({"enrollment_opens_at": datetime(2030, 1, 1)}, InvalidText),  # noqa: DTZ001
    ({"enrollment_opens_at": NOW, "enrollment_closes_at": NOW}, InvalidText),
    ({"instructor_id": None}, InvalidText),
    ({"instructor_id": UUID(int=1)}, InvalidId),
]


def test_what_is_wrong_is_said_before_anything_is_written(
    session: RoutingSession, snapshot: Snapshot
) -> None:
    course = new_course(session, price=5)
    session.commit()
    before = snapshot()
    for values, error in WRONG:
        with pytest.raises(error):
            course_of(course.instructor_id, **values)
        with pytest.raises(error):
            update_course(session, course.id, **values)
    session.commit()
    assert snapshot() == before


def test_who_may_not_teach(session: RoutingSession, snapshot: Snapshot) -> None:
    with bound(session):
        student = UserFactory.create().id
        admin = UserFactory.create(user_type=UserType.ADMIN).id
        suspended = InstructorFactory.create(status=UserStatus.SUSPENDED).id
        elsewhere = InstructorFactory.create(region="africa").id
        course = new_course(session)
    session.commit()
    before = snapshot()
    with pytest.raises(NotAnInstructor, match="is of type student"):
        create_course(session, course_of(student))
    with pytest.raises(NotAnInstructor, match="is suspended"):
        create_course(session, course_of(suspended))
    with pytest.raises(UserNotFound, match=str(STRANGER)):
        create_course(session, course_of(STRANGER))
    with pytest.raises(NotAnInstructor, match="the course is of europe"):
        update_course(session, course.id, instructor_id=elsewhere)
    with pytest.raises(NotAnInstructor, match="is suspended"):
        update_course(session, course.id, instructor_id=suspended)
    session.commit()
    assert snapshot() == before
    assert create_course(session, course_of(admin)).instructor_id == admin
    course = update_course(session, course.id, instructor_id=admin)
    assert course.instructor_id == admin


def test_what_is_taken(session: RoutingSession, snapshot: Snapshot) -> None:
    first = new_course(session, course_code="PY-1", slug="python")
    second = new_course(session, course_code="PY-2", slug="python-2")
    first_id, second_id, instructor_id = first.id, second.id, first.instructor_id
    session.commit()
    before = snapshot()
    cases: list[tuple[type[ElearningError], dict[str, Any]]] = [
        (CourseCodeTaken, {"course_code": "PY-1", "slug": "other"}),
        (SlugTaken, {"course_code": "PY-3", "slug": "python"}),
        (CategoryNotFound, {"course_code": "PY-4", "category_id": STRANGER}),
    ]
    for error, values in cases:
        with pytest.raises(error):
            create_course(session, course_of(instructor_id, **values))
        session.rollback()
        with pytest.raises(error):
            update_course(session, second_id, **values)
        session.rollback()
    assert snapshot() == before
    # A code of another region is another one.
    assert new_course(session, region="africa", course_code="PY-1", slug="python").id != first_id


def test_update_course_at_its_home(session: RoutingSession, engines: Engines) -> None:
    course_id = new_course(session, region="asia", price=5).id
    session.commit()
    with served(engines) as nodes:
        course = update_course(
            session,
            course_id,
            title="New",
            price="7.25",
            max_enrollments=3,
            enrollment_opens_at=NOW,
            language="pt-BR",
        )
    assert nodes == ["asia-primary"] * 2
    assert (course.title, course.price_minor, course.slug) == ("New", 725, "cafe-fur-alle")
    version = course.row_version
    # The window is what it was and what is new, together.
    with pytest.raises(InvalidText, match="is not after"):
        update_course(session, course_id, enrollment_closes_at=NOW - timedelta(days=1))
    with pytest.raises(InvalidAmount, match="give the price in JPY too"):
        update_course(session, course_id, currency="JPY")
    assert update_course(session, course_id, currency="JPY", price=800).price_minor == 800
    assert update_course(session, course_id, price=0, max_enrollments=None).price_minor == 0
    # What is free is so in every currency.
    course = update_course(session, course_id, currency="USD")
    assert (course.currency, course.max_enrollments) == ("USD", None)
    assert course.row_version == version + 3
    session.commit()
    with pytest.raises(CourseNotFound, match=str(STRANGER)):
        update_course(session, STRANGER, title="X")


@pytest.mark.parametrize("field", ["status", "rating_sum", "id", "price_minor", "nonsense"])
def test_unknown_fields(session: RoutingSession, field: str) -> None:
    course = new_course(session)
    wrong: Any = {field: 1}
    with pytest.raises(UnknownField, match=f"'{field}'.*access_days, category_id"):
        update_course(session, course.id, **wrong)


def test_stale_edits_are_refused(session: RoutingSession, engines: Engines) -> None:
    course = new_course(session)
    course_id, version = course.id, course.row_version
    session.commit()
    assert session.get_one(Course, course_id).title
    with RoutingSession(engines=engines, region="asia") as other:
        update_course(other, course_id, row_version=version, title="Theirs")
        other.commit()
        with pytest.raises(StaleEdit, match=str(course_id)):
            update_course(other, course_id, row_version=version, title="Late")
        with pytest.raises(StaleEdit):
            update_course(other, course_id, row_version=[], title="Odd")  # type: ignore[arg-type]
    # This session has read it before, and says nothing of a version.
    with pytest.raises(StaleEdit):
        update_course(session, course_id, title="Mine")
    session.rollback()
    assert update_course(session, course_id, description="Mine").title == "Theirs"


def test_publish_course(session: RoutingSession, engines: Engines) -> None:
    course_id = new_course(session, region="asia").id
    module = add_module(session, course_id, "M")
    lesson_id = add_lesson(session, module.id, NewLesson(title="L", lesson_type="video")).id
    archive_lesson(session, lesson_id)
    with pytest.raises(CourseEmpty):
        publish_course(session, course_id)
    add_lesson(session, module.id, NewLesson(title="L", lesson_type="video"))
    session.commit()
    with served(engines) as nodes:
        course = publish_course(session, course_id)
    assert nodes == ["asia-primary"] * 3
    assert course.status is CourseStatus.PUBLISHED
    first = course.published_at
    assert first is not None
    version = course.row_version
    session.commit()
    # Again changes nothing, whatever the session holds.
    with RoutingSession(engines=engines, region="europe") as other:
        assert publish_course(other, course_id).row_version == version
        archived = archive_course(other, course_id)
        assert archived.status is CourseStatus.ARCHIVED
        assert archived.archived_at is not None
        other.commit()
        assert archive_course(other, course_id).row_version == version + 1
        other.commit()
    # Published again, it is not new.
    again = publish_course(session, course_id)
    assert (again.status, again.published_at, again.archived_at) == (
        CourseStatus.PUBLISHED,
        first,
        None,
    )
    session.commit()
    for operation in (publish_course, archive_course):
        with pytest.raises(CourseNotFound):
            operation(session, STRANGER)


def test_list_instructor_courses(session: RoutingSession, engines: Engines) -> None:
    with bound(session):
        instructor = InstructorFactory.create(region="asia")
        courses = [CourseFactory.create(instructor=instructor) for _ in range(5)]
        CourseFactory.create(instructor__region="asia")
        for number, course in enumerate(courses):
            course.created_at = NOW + timedelta(seconds=number // 2)
        courses[0].status = CourseStatus.DRAFT
        session.flush()
    instructor_id = instructor.id
    wanted = [each.id for each in sorted(courses, key=lambda one: (one.created_at, one.id))][::-1]
    draft = courses[0].id
    session.commit()
    with (
        RoutingSession(engines=engines, region="europe", token=session.token) as reader,
        served(engines) as nodes,
    ):
        listing = list_instructor_courses(instructor_id)
        found: list[UUID] = []
        after = None
        for number in range(3):
            page = listing.page(reader, size=2, after=after)
            found += [each.id for each in page.items]
            after = page.next
            assert (after is None) == (number == 2)
        assert found == wanted
        drafts = list_instructor_courses(instructor_id, status="draft").page(reader)
        assert [each.id for each in drafts.items] == [draft]
    assert set(nodes) == {"asia-replica-1"}
    with pytest.raises(InvalidText, match="none of draft"):
        list_instructor_courses(instructor_id, status="new")
    assert list_instructor_courses(STRANGER).page(session).items == []


def test_the_list_is_read_by_its_index(session: RoutingSession) -> None:
    with bound(session):
        instructor = InstructorFactory.create()
    # A few rows are read and sorted sooner than an index is followed.
    for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
        session.connection().exec_driver_sql(f"SET LOCAL {setting} = off")
    statement = list_instructor_courses(instructor.id).statement
    compiled = statement.compile(session.connection(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(row[0] for row in session.connection().exec_driver_sql(f"EXPLAIN {compiled}"))
    assert "Sort" not in plan
    assert "idx_courses_instructor_id" in plan
