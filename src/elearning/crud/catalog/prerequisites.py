"""Which courses are completed before others are taken."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from elearning.crud.checks import refusing
from elearning.crud.listing import Listing
from elearning.errors import CourseNotFound
from elearning.ids import new_id, region_of
from elearning.models import Course, CoursePrerequisite

__all__ = ["add_prerequisite", "list_dependents", "list_prerequisites", "remove_prerequisite"]


def add_prerequisite(session: Session, course_id: UUID, prerequisite_id: UUID) -> bool:
    """Let a course come before another one; tell whether it did not already.

    A circle is refused as far as the shard knows the prerequisites of others: where there are
    several shards, use the flow `add_prerequisite`.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.
        prerequisite_id: is completed before; a course of any region.

    Raises:
        InvalidId: not an id of a course.
        CourseNotFound: one of them is not on the course's shard.
        PrerequisiteCycle: the course comes before the other one already, or is the same.
    """
    with refusing(
        fk_course_prerequisites_course_id=CourseNotFound(course_id=course_id),
        fk_course_prerequisites_prerequisite_id=CourseNotFound(course_id=prerequisite_id),
    ):
        added = session.execute(
            insert(CoursePrerequisite)
            .values(
                id=new_id(region_of(course_id)),
                course_id=course_id,
                prerequisite_id=prerequisite_id,
            )
            .on_conflict_do_nothing()
            .returning(CoursePrerequisite.id)
        ).first()
    return added is not None


def remove_prerequisite(session: Session, course_id: UUID, prerequisite_id: UUID) -> bool:
    """Let a course be taken without another one; tell whether that came before it.

    Args:
        session: any session: the course's id tells its home.
        course_id: the course.
        prerequisite_id: is not needed any more.
    """
    removed = session.execute(
        delete(CoursePrerequisite)
        .where(
            CoursePrerequisite.course_id == course_id,
            CoursePrerequisite.prerequisite_id == prerequisite_id,
        )
        .returning(CoursePrerequisite.id)
        .execution_options(synchronize_session="fetch")
    ).first()
    return removed is not None


def list_prerequisites(course_id: UUID) -> Listing[Course]:
    """List the courses that come right before a course, by their ids."""
    return Listing(
        select(Course)
        .join(CoursePrerequisite, CoursePrerequisite.prerequisite_id == Course.id)
        .where(CoursePrerequisite.course_id == course_id)
        .order_by(Course.id)
    )


def list_dependents(prerequisite_id: UUID) -> Listing[Course]:
    """List the courses that a course comes right before, in all regions, by their ids."""
    return Listing(
        select(Course)
        .join(CoursePrerequisite, CoursePrerequisite.course_id == Course.id)
        .where(CoursePrerequisite.prerequisite_id == prerequisite_id)
        .order_by(Course.id)
    )
