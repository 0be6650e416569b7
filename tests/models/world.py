"""One row in every table, and how a second one like it would look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from elearning.crud import complete_transaction
from elearning.ids import new_id
from elearning.models import Base, Enrollment, LessonProgress, OutboxMessage, WaitlistEntry
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import (
    CertificateFactory,
    CourseCategoryFactory,
    CourseFactory,
    CourseLessonFactory,
    CourseModuleFactory,
    CoursePrerequisiteFactory,
    CourseReviewFactory,
    EnrollmentFactory,
    InstructorFactory,
    PaymentMethodFactory,
    QuizAttemptFactory,
    ReviewReportFactory,
    TransactionFactory,
    UserFactory,
    UserProfileFactory,
    UserTokenFactory,
    bound,
)


@dataclass(frozen=True)
class World:
    """Ids of rows of the region europe; `african` is of africa, on the same shard.

    The first of a kind has all that may belong to it: the user has a profile, a token, an
    enrollment with progress, an attempt at a quiz, a certificate, a review that was reported and
    a seat that was claimed, a card, and a completed payment with its invoice. The other user has
    an enrollment without progress, waits for a seat in the same course, and has a pending
    payment. The course comes before the other one, and the third one before nothing.
    """

    user: UUID
    other: UUID
    instructor: UUID
    african: UUID
    profile: UUID
    category: UUID
    course: UUID
    other_course: UUID
    third_course: UUID
    module: UUID
    other_module: UUID
    lesson: UUID
    other_lesson: UUID
    enrollment: UUID
    other_enrollment: UUID
    progress: UUID
    attempt: UUID
    certificate: UUID
    review: UUID
    report: UUID
    token: UUID
    card: UUID
    payment: UUID
    pending: UUID
    invoice: UUID
    prerequisite: UUID
    claim: UUID
    waiting: int

    def where(self, table: str) -> str:
        """Return the condition of the one row of a table that is copied."""
        conditions = {
            "hosted_regions": "region_code = 3",
            "invoice_counters": "region_code = 3",
            "outbox": "topic = 'nothing'",
            "waitlist": f"id = {self.waiting}",
            "claim_outcomes": f"claim_id = '{self.claim}'",
            "course_seats": f"course_id = '{self.course}'",
            "course_statistics": f"course_id = '{self.course}' AND region_code = 3",
            "course_ratings": f"course_id = '{self.course}' AND region_code = 3 AND rating = 4",
            "course_search": f"course_id = '{self.course}'",
            "course_popularity": f"course_id = '{self.course}'",
            "course_months": f"course_id = '{self.course}' AND region_code = 3",
            "course_revenue": f"course_id = '{self.course}' AND region_code = 3",
            "platform_counters": "name = 'revenue' AND detail = 'payments'",
        }
        return conditions.get(table) or f"id = '{getattr(self, ORIGINALS[table])}'"

    def copy(self, table: str) -> dict[str, Any]:
        """Return what a copy of that row must have of its own, so that nothing refuses it."""
        own: dict[str, dict[str, Any]] = {
            "users": {"email": "copy@example.com"},
            "user_profiles": {"user_id": self.other},
            "user_tokens": {"token_hash": "\\x" + 32 * "01"},
            "course_categories": {"slug": "copy", "category_name": "Copy"},
            "courses": {"slug": "copy", "course_code": "COPY"},
            "course_modules": {"position": 90},
            "course_lessons": {"position": 90},
            "course_prerequisites": {
                "course_id": self.other_course,
                "prerequisite_id": self.third_course,
            },
            "course_seats": {"course_id": self.other_course},
            "course_statistics": {"region_code": 4},
            "course_ratings": {"region_code": 4},
            "course_search": {"course_id": new_id("europe")},
            "course_popularity": {"course_id": new_id("europe")},
            "course_months": {"region_code": 4},
            "course_revenue": {"region_code": 4},
            "platform_counters": {},
            "enrollments": {"user_id": self.instructor, "claim_id": None},
            "claims": {"holder_id": self.other},
            "claim_outcomes": {"claim_id": new_id("europe")},
            "waitlist": {"user_id": self.african},
            "lesson_progress": {"enrollment_id": self.other_enrollment},
            "quiz_attempts": {"number": 2},
            "certificates": {"enrollment_id": self.other_enrollment, "code": "COPY"},
            "course_reviews": {"enrollment_id": self.other_enrollment},
            "review_reports": {"reporter_id": self.other},
            "payment_methods": {"is_default": False},
            "transactions": {
                "status": "pending",
                "gateway_transaction_id": None,
                "completed_at": None,
            },
            "invoices": {"transaction_id": self.pending, "invoice_number": "EU-COPY"},
            "hosted_regions": {"region_code": 5},
            "invoice_counters": {"year": 2001},
            "outbox": {},
        }
        return ({"id": new_id("europe")} if table in ORIGINALS else {}) | own[table]


ORIGINALS = {
    "users": "user",
    "user_profiles": "profile",
    "user_tokens": "token",
    "course_categories": "category",
    "courses": "course",
    "course_prerequisites": "prerequisite",
    "course_modules": "module",
    "course_lessons": "lesson",
    "enrollments": "enrollment",
    "lesson_progress": "progress",
    "quiz_attempts": "attempt",
    "certificates": "certificate",
    "course_reviews": "review",
    "review_reports": "report",
    "payment_methods": "card",
    "transactions": "payment",
    "invoices": "invoice",
    "claims": "claim",
}
"""Tables, and the attribute of `World` that is the id of the row that is copied."""


def columns_of(table: str) -> list[str]:
    """Return the columns that can be written."""
    return [
        column.name
        for column in Base.metadata.tables[table].columns
        if not (column.system or column.computed or column.identity)
    ]


def insert_copy(connection: Connection, world: World, table: str, **changes: Any) -> None:
    """Insert a row like the one that there is, apart from what must differ and these changes."""
    columns = ", ".join(columns_of(table))
    connection.exec_driver_sql(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM "
        f"(SELECT (jsonb_populate_record(original, %(own)s)).* "
        f"FROM {table} AS original WHERE {world.where(table)}) AS copy",
        {"own": json.dumps(world.copy(table) | changes, default=str)},
    )


def make_world(engines: Engines) -> World:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user, other = UserFactory.create_batch(2)
        instructor = InstructorFactory.create()
        category = CourseCategoryFactory.create()
        course = CourseFactory.create(instructor=instructor, category=category)
        other_course = CourseFactory.create(instructor=instructor)
        module = CourseModuleFactory.create(course=course)
        other_module = CourseModuleFactory.create(course=other_course)
        lesson = CourseLessonFactory.create(module=module)
        # A seat, though the course has no limit any more.
        claim = new_id("europe")
        session.execute(select(func.claim_seat(claim, course.id, user.id)))
        taken = session.scalars(select(func.enroll_user(user.id, course.id, claim))).one()
        session.execute(select(func.confirm_claim(claim)))
        enrollment = session.get_one(Enrollment, taken)
        waiting = WaitlistEntry(course_id=course.id, user_id=other.id)
        card = PaymentMethodFactory.create(user=user, is_default=True)
        review = CourseReviewFactory.create(enrollment=enrollment, course=course)
        payment = TransactionFactory.create(user=user, course=course, payment_method=card)
        session.add_all([OutboxMessage(topic="nothing", payload={}), waiting])
        session.flush()
        world = World(
            user=user.id,
            other=other.id,
            instructor=instructor.id,
            african=InstructorFactory.create(region="africa").id,
            profile=UserProfileFactory.create(user=user).id,
            category=category.id,
            course=course.id,
            other_course=other_course.id,
            third_course=CourseFactory.create(instructor=instructor).id,
            module=module.id,
            other_module=other_module.id,
            lesson=lesson.id,
            other_lesson=CourseLessonFactory.create(module=other_module).id,
            enrollment=enrollment.id,
            other_enrollment=EnrollmentFactory.create(user=other, course=course).id,
            progress=session.scalars(select(LessonProgress.id)).one(),
            attempt=QuizAttemptFactory.create(
                enrollment=enrollment, lesson=lesson, answers={"1": "b"}
            ).id,
            certificate=CertificateFactory.create(enrollment=enrollment, grade=80).id,
            review=review.id,
            report=ReviewReportFactory.create(review=review, report_text="An advertisement").id,
            token=UserTokenFactory.create(user=user).id,
            card=card.id,
            payment=payment.id,
            pending=TransactionFactory.create(user=other, course=course).id,
            invoice=complete_transaction(session, payment.id, "g-1"),
            prerequisite=CoursePrerequisiteFactory.create(
                course=other_course, prerequisite=course
            ).id,
            claim=claim,
            waiting=waiting.id,
        )
        session.commit()
    return world
