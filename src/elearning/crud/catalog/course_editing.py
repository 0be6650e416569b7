"""Courses: created, edited, published, archived, at their home; and those of an instructor."""

from __future__ import annotations

from typing import Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from elearning.crud.catalog.course_fields import (
    CHECKS,
    LONGEST_SLUG,
    CourseChanges,
    NewCourse,
    check_window,
)
from elearning.crud.checks import (
    checked,
    flush_edit,
    one_of,
    refuse_stale,
    refusing,
    slug_of,
)
from elearning.crud.listing import Listing
from elearning.errors import (
    CategoryNotFound,
    CourseCodeTaken,
    CourseEmpty,
    CourseNotFound,
    ElearningError,
    InvalidAmount,
    NotAnInstructor,
    SlugTaken,
    UserNotFound,
)
from elearning.ids import new_id, region_of
from elearning.models import (
    Course,
    CourseLesson,
    CourseModule,
    CourseStatus,
    User,
    UserStatus,
    UserType,
)
from elearning.money import to_minor

__all__ = [
    "archive_course",
    "create_course",
    "list_instructor_courses",
    "publish_course",
    "update_course",
]

_TEACHERS = (UserType.INSTRUCTOR, UserType.ADMIN)
_TRIES = 20


def create_course(session: Session, course: NewCourse) -> Course:
    """Create a course as a draft, in its instructor's region.

    Args:
        session: any session: the instructor's id tells the home.
        course: what is created.

    Raises:
        UserNotFound: there is no such instructor.
        NotAnInstructor: the user does not teach, or is not active.
        CategoryNotFound: there is no such category on the home's shard.
        CourseCodeTaken, SlugTaken: another course of the region has it.
    """
    _check_teacher(session, course.instructor_id)
    course_id = new_id(region_of(course.instructor_id))
    slugs = [course.slug] if course.slug is not None else _free_slugs(session, course, course_id)
    for slug in slugs:
        with refusing(**_refusals(course.category_id)):
            created = session.scalars(
                insert(Course)
                .values(id=course_id, slug=slug, **course.values())
                .on_conflict_do_nothing()
                .returning(Course)
            ).one_or_none()
        if created is not None:
            return created
        if _is_there(session, course_id, Course.course_code == course.course_code):
            raise _code_taken(course_id, course.course_code)
    raise _slug_taken(course_id, slugs[-1])


def update_course(
    session: Session,
    course_id: UUID,
    *,
    row_version: int | None = None,
    **changes: Unpack[CourseChanges],
) -> Course:
    """Change a course, at its home.

    The slug stays when the title changes, for it stands in links. A limit may be set below the
    number of people in the course: they stay, and nobody comes. A new currency comes with a price.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.
        row_version: the version that the change was decided on; None: whichever there is.
        **changes: see `CourseChanges`.

    Raises:
        UnknownField, InvalidId, InvalidText, InvalidAmount, UnknownCurrency: a change is wrong.
        CourseNotFound, CategoryNotFound, UserNotFound: no such row.
        NotAnInstructor: the new instructor does not teach, is not active, or of another region.
        CourseCodeTaken, SlugTaken: another course of the region has it.
        StaleEdit: somebody else has changed the course meanwhile.
    """
    values = checked("course", CHECKS, changes)
    if "instructor_id" in values:
        # Before the course, as everywhere; and on the same shard.
        if region_of(values["instructor_id"]) is not region_of(course_id):
            home = region_of(course_id)
            raise NotAnInstructor(
                user_id=values["instructor_id"], problem=f"the course is of {home}"
            )
        _check_teacher(session, values["instructor_id"])
    course = _lock(session, course_id)
    refuse_stale(course, row_version)
    if "price" in values:
        currency = values.get("currency", course.currency)
        values["price_minor"] = to_minor(values.pop("price"), currency)
    elif values.get("currency", course.currency) != course.currency and course.price_minor:
        problem = f"is in {course.currency}: give the price in {values['currency']} too"
        raise InvalidAmount(amount=course.price, problem=problem)
    check_window(
        values.get("enrollment_opens_at", course.enrollment_opens_at),
        values.get("enrollment_closes_at", course.enrollment_closes_at),
    )
    refusals = _refusals(values.get("category_id"))
    if "course_code" in values:
        refusals["uq_courses_course_code"] = _code_taken(course_id, values["course_code"])
    if "slug" in values:
        refusals["uq_courses_slug"] = _slug_taken(course_id, values["slug"])
    for name, value in values.items():
        setattr(course, name, value)
    flush_edit(session, course, **refusals)
    return course


def publish_course(session: Session, course_id: UUID) -> Course:
    """Publish a draft, or an archived course again; one that is published stays as it is.

    ``published_at`` is when it was published first.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.

    Raises:
        CourseNotFound: there is no such course.
        CourseEmpty: it has no lesson that is not archived.
    """
    course = _lock(session, course_id, fresh=True)
    if course.status is CourseStatus.PUBLISHED:
        return course
    lesson = session.execute(
        select(CourseLesson.id)
        .join(CourseModule, CourseModule.id == CourseLesson.module_id)
        .where(CourseModule.course_id == course_id, CourseLesson.archived_at.is_(None))
        .limit(1)
    ).first()
    if lesson is None:
        raise CourseEmpty(course_id=course_id)
    course.status = CourseStatus.PUBLISHED
    if course.published_at is None:
        course.published_at = func.clock_timestamp()
    course.archived_at = None
    flush_edit(session, course)
    return course


def archive_course(session: Session, course_id: UUID) -> Course:
    """Take a course out of the catalogue; who is enrolled goes on. Again changes nothing.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.

    Raises:
        CourseNotFound: there is no such course.
    """
    course = _lock(session, course_id, fresh=True)
    if course.status is not CourseStatus.ARCHIVED:
        course.status = CourseStatus.ARCHIVED
        course.archived_at = func.clock_timestamp()
        flush_edit(session, course)
    return course


def list_instructor_courses(
    instructor_id: UUID, *, status: CourseStatus | str | None = None
) -> Listing[Course]:
    """List the courses of an instructor, the newest first; by idx_courses_instructor_id.

    Args:
        instructor_id: whose courses.
        status: of the courses; None: any.

    Raises:
        InvalidText: there is no such status.
    """
    statement = (
        select(Course)
        .where(Course.instructor_id == instructor_id)
        .order_by(Course.created_at.desc())
    )
    if status is not None:
        statement = statement.where(Course.status == one_of(CourseStatus)("status", status))
    return Listing(statement)


def _lock(session: Session, course_id: UUID, *, fresh: bool = False) -> Course:
    """Return a course, locked at its home.

    Args:
        session: any session.
        course_id: the course.
        fresh: whether what the session holds of it is read again; otherwise an edit of what
            somebody else has changed meanwhile is refused.
    """
    course = session.scalars(
        select(Course)
        .where(Course.id == course_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=fresh)
    ).one_or_none()
    if course is None:
        raise CourseNotFound(course_id=course_id)
    return course


def _check_teacher(session: Session, user_id: UUID) -> None:
    """Look whether a user teaches; locked, so that this stays so until the end."""
    found = session.execute(
        select(User.user_type, User.status).where(User.id == user_id).with_for_update(read=True)
    ).one_or_none()
    if found is None:
        raise UserNotFound(user_id=user_id)
    if found.user_type not in _TEACHERS:
        raise NotAnInstructor(user_id=user_id, problem=f"is of type {found.user_type}")
    if found.status is not UserStatus.ACTIVE:
        raise NotAnInstructor(user_id=user_id, problem=f"is {found.status}")


def _free_slugs(session: Session, course: NewCourse, course_id: UUID) -> list[str]:
    """Return slugs for a title: one that is free by now, and one that nobody else makes."""
    plain = slug_of(course.title, most=LONGEST_SLUG - 20) or slug_of(
        course.course_code, most=LONGEST_SLUG - 20
    )
    plain = plain or "course"
    wanted = [plain, *(f"{plain}-{number}" for number in range(2, _TRIES + 1))]
    taken = set(
        session.scalars(
            select(Course.slug).where(_home() == region_of(course_id).code, Course.slug.in_(wanted))
        )
    )
    free = [slug for slug in wanted if slug not in taken]
    # Its last characters are random.
    return [*free[:1], f"{plain}-{course_id.hex[-16:]}"]


def _is_there(session: Session, course_id: UUID, condition: ColumnElement[bool]) -> bool:
    found = session.execute(
        select(Course.id).where(_home() == region_of(course_id).code, condition)
    )
    return found.first() is not None


def _home() -> ColumnElement[int]:
    # As the unique indexes have it.
    return literal_column("get_byte(uuid_send(courses.id), 7)")


def _refusals(category_id: UUID | None) -> dict[str, ElearningError]:
    return {"fk_courses_category_id": CategoryNotFound(category_id=category_id)}


def _code_taken(course_id: UUID, course_code: str) -> ElearningError:
    return CourseCodeTaken(course_code=course_code, region=region_of(course_id))


def _slug_taken(course_id: UUID, slug: str) -> ElearningError:
    return SlugTaken(slug=slug, region=region_of(course_id))
