"""The tables of a shard, one module a noun."""

from elearning.models.base import Base, Global, Record, Regional
from elearning.models.bookkeeping import HostedRegion, InvoiceCounter, OutboxMessage
from elearning.models.certificate import Certificate
from elearning.models.claims import (
    Claim,
    ClaimKind,
    ClaimOutcome,
    ClaimResult,
    ClaimStatus,
    CourseSeats,
    WaitlistEntry,
    WaitlistStatus,
)
from elearning.models.course import Course, CourseLevel, CourseStatus
from elearning.models.course_category import CourseCategory
from elearning.models.course_lesson import CompletionRule, CourseLesson, LessonType
from elearning.models.course_module import CourseModule
from elearning.models.course_prerequisite import CoursePrerequisite
from elearning.models.course_rating import CourseRating
from elearning.models.course_review import CourseReview
from elearning.models.course_search import CoursePopularity, CourseSearch
from elearning.models.course_statistics import CourseStatistics
from elearning.models.enrollment import Enrollment, EnrollmentStatus
from elearning.models.invoice import Invoice, InvoiceStatus
from elearning.models.lesson_progress import LessonProgress
from elearning.models.payment_method import PaymentMethod, PaymentMethodType
from elearning.models.quiz_attempt import QuizAttempt
from elearning.models.review_report import ReportReason, ReviewReport
from elearning.models.revisions import HEAD, REVISIONS
from elearning.models.routines import attach_routines
from elearning.models.states import States
from elearning.models.statistics import CourseMonth, CourseRevenue, PlatformCounter
from elearning.models.transaction import Transaction, TransactionStatus, TransactionType
from elearning.models.user import User, UserStatus, UserType
from elearning.models.user_profile import UserProfile
from elearning.models.user_token import TokenPurpose, UserToken

__all__ = [
    "HEAD",
    "REVISIONS",
    "Base",
    "Certificate",
    "Claim",
    "ClaimKind",
    "ClaimOutcome",
    "ClaimResult",
    "ClaimStatus",
    "CompletionRule",
    "Course",
    "CourseCategory",
    "CourseLesson",
    "CourseLevel",
    "CourseModule",
    "CourseMonth",
    "CoursePopularity",
    "CoursePrerequisite",
    "CourseRating",
    "CourseRevenue",
    "CourseReview",
    "CourseSearch",
    "CourseSeats",
    "CourseStatistics",
    "CourseStatus",
    "Enrollment",
    "EnrollmentStatus",
    "Global",
    "HostedRegion",
    "Invoice",
    "InvoiceCounter",
    "InvoiceStatus",
    "LessonProgress",
    "LessonType",
    "OutboxMessage",
    "PaymentMethod",
    "PaymentMethodType",
    "PlatformCounter",
    "QuizAttempt",
    "Record",
    "Regional",
    "ReportReason",
    "ReviewReport",
    "States",
    "TokenPurpose",
    "Transaction",
    "TransactionStatus",
    "TransactionType",
    "User",
    "UserProfile",
    "UserStatus",
    "UserToken",
    "UserType",
    "WaitlistEntry",
    "WaitlistStatus",
]

attach_routines()
