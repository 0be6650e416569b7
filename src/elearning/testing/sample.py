"""A school of any size, made by chance, for who wants more than single rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from sqlalchemy.orm import Session

from elearning.crud import complete_transaction, create_transaction, enroll_user
from elearning.models import Course, CourseLevel, LessonType
from elearning.regions import Region
from elearning.testing.factories import (
    CourseCategoryFactory,
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    InstructorFactory,
    UserFactory,
    bound,
)

__all__ = ["Sample", "SampleSizes", "make_sample"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSizes:
    """How much of everything; ranges are of the least and the most."""

    students: int = 100
    instructors: int = 20
    categories: int = 8
    courses: int = 50
    modules: tuple[int, int] = (3, 8)
    lessons: tuple[int, int] = (3, 7)
    enrollments: int = 200
    transactions: int = 150


@dataclass(slots=True)
class Sample:
    """The ids of what was made."""

    students: list[UUID] = field(default_factory=list)
    instructors: list[UUID] = field(default_factory=list)
    categories: list[UUID] = field(default_factory=list)
    courses: list[UUID] = field(default_factory=list)
    enrollments: list[UUID] = field(default_factory=list)
    transactions: list[UUID] = field(default_factory=list)


def make_sample(
    session: Session, region: Region | str, *, sizes: SampleSizes | None = None, seed: int = 1
) -> Sample:
    """Make a school in one region; the same seed makes the same one. The caller commits.

    Args:
        session: a session of the region.
        region: where.
        sizes: how much; default: SampleSizes().
        seed: of what is left to chance.
    """
    sizes, chance, region = sizes or SampleSizes(), Random(seed), Region.parse(region)  # noqa: S311 - no secret
    with bound(session):
        return _Maker(session, region, sizes, chance).make()


class _Maker:
    def __init__(
        self, session: Session, region: Region, sizes: SampleSizes, chance: Random
    ) -> None:
        self._session, self._region, self._sizes, self._chance = session, region, sizes, chance
        self._made = Sample()

    def make(self) -> Sample:
        sizes, made = self._sizes, self._made
        students = UserFactory.create_batch(sizes.students, region=self._region)
        teachers = InstructorFactory.create_batch(sizes.instructors, region=self._region)
        subjects = CourseCategoryFactory.create_batch(sizes.categories, region=self._region)
        made.students = [each.id for each in students]
        made.instructors = [each.id for each in teachers]
        made.categories = [each.id for each in subjects]
        for _ in range(sizes.courses):
            course = CourseFactory.create(
                instructor=self._chance.choice(teachers),
                category=self._chance.choice(subjects),
                level=self._chance.choice(list(CourseLevel)),
                price_minor=100 * self._chance.randint(0, 200),
            )
            made.courses.append(course.id)
            self._fill(course)
        self._enroll()
        self._pay()
        return made

    def _fill(self, course: Course) -> None:
        """Give a course its lessons, in a few statements: they are most of all rows."""
        for position in range(1, 1 + self._chance.randint(*self._sizes.modules)):
            module = CourseModuleFactory.build(course=course, position=position)
            self._session.add(module)
            self._session.add_all(
                CourseLessonFactory.build(
                    module=module,
                    position=place,
                    lesson_type=self._chance.choice(list(LessonType)),
                )
                for place in range(1, 1 + self._chance.randint(*self._sizes.lessons))
            )
        self._session.flush()

    def _enroll(self) -> None:
        pairs = len(self._made.students) * len(self._made.courses)
        for place in self._chance.sample(range(pairs), min(self._sizes.enrollments, pairs)):
            student, course = divmod(place, len(self._made.courses))
            self._made.enrollments.append(
                enroll_user(self._session, self._made.students[student], self._made.courses[course])
            )

    def _pay(self) -> None:
        for number in range(self._sizes.transactions):
            payment = create_transaction(
                self._session,
                self._chance.choice(self._made.students),
                self._chance.choice(self._made.courses),
                gateway="sample",
            )
            self._made.transactions.append(payment.id)
            if number % 10:
                complete_transaction(self._session, payment.id, str(payment.id))
