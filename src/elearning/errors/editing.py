"""What editing the catalogue meets."""

from __future__ import annotations

from elearning.errors.conflict import Conflict
from elearning.errors.invalid_input import InvalidInput
from elearning.errors.not_found import NotFound

__all__ = [
    "CategoryCycle",
    "CategoryElsewhere",
    "CategoryNotFound",
    "CategoryTaken",
    "CourseCodeTaken",
    "CourseEmpty",
    "CourseLessonNotFound",
    "CourseTooLong",
    "ForeignModule",
    "InvalidPosition",
    "LessonArchived",
    "ModuleNotFound",
    "NotAnInstructor",
    "PrerequisiteCycle",
    "PrerequisitesLocked",
    "SlugTaken",
    "StaleEdit",
    "WrongOrder",
]


class InvalidPosition(InvalidInput):
    """A place that is not in the list."""

    template = "position {position} is not in the list: expected 1 to {most}"


class ModuleNotFound(NotFound):
    """No such module."""

    template = "no module {module_id}"


class CourseLessonNotFound(NotFound):
    """No such lesson."""

    template = "no lesson {lesson_id}"


class CategoryNotFound(NotFound):
    """No such category on the shard that was asked."""

    template = "no category {category_id} on this shard"


class CourseCodeTaken(Conflict):
    """The code belongs to another course of the region."""

    template = "the course code {course_code!r} belongs to a course of {region} already"


class SlugTaken(Conflict):
    """The slug belongs to another row of the region."""

    template = "the slug {slug!r} is taken in {region}: leave it out to have one made, or change it"


class CategoryTaken(Conflict):
    """The name belongs to another category of the region."""

    template = "there is a category {category_name!r} in {region} already"


class NotAnInstructor(Conflict):
    """Not everybody teaches."""

    template = (
        "user {user_id} cannot teach this course, but {problem}: "
        "expected an active instructor or admin of the course's region"
    )


class CourseEmpty(Conflict):
    """Nothing can be learnt in a course without lessons."""

    template = "course {course_id} has no lesson that is not archived: add one before publishing it"


class CourseTooLong(Conflict):
    """A course is read at once, so it has an end."""

    template = "course {course_id} has {most} {things} already, and takes no more"


class ForeignModule(Conflict):
    """A lesson stays in its course."""

    template = "module {module_id} is not of course {course_id}: a lesson stays in its course"


class LessonArchived(Conflict):
    """What is archived has no place among the others."""

    template = "lesson {lesson_id} is archived: it stands after all others, and cannot be moved"


class WrongOrder(Conflict):
    """A new order is one of all there are, each of them once."""

    template = "the new order of {owner_id} {problem}: name each of its {things} once"


class StaleEdit(Conflict):
    """Somebody has changed the row since it was read."""

    template = "{thing} {id} was changed since it was read: read it again, and decide again"


class CategoryElsewhere(Conflict):
    """A tree of categories is at home on one shard."""

    template = (
        "category {category_id} cannot be below {parent_id}, which is at home on another shard"
    )
    sqlstate = "LE045"


class CategoryCycle(Conflict):
    """A category would be below itself."""

    template = "category {category_id} cannot be below {parent_id}, which is in its own branch"
    sqlstate = "LE046"


class PrerequisiteCycle(Conflict):
    """A course would come before itself."""

    template = (
        "course {prerequisite_id} cannot come before {course_id}: that one comes before it already"
    )
    sqlstate = "LE047"


class PrerequisitesLocked(Conflict):
    """Prerequisites are added one after the other, worldwide."""

    template = "somebody else adds a prerequisite, after {seconds:g} s still: try again"
