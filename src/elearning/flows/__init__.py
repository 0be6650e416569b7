"""The business flows across PostgreSQL and MongoDB."""

from elearning.crud import NewUser, Progress
from elearning.flows.authentication import (
    authenticate,
    request_email_verification,
    request_password_reset,
    reset_password,
    set_password,
    verify_email,
)
from elearning.flows.certificates import verify_certificate
from elearning.flows.enrollment import (
    Enrolled,
    LessonOutline,
    ModuleOutline,
    cancel_enrollment,
    enroll,
)
from elearning.flows.gateway import Charge, GatewayDeclined, PaymentGateway, SimulatedGateway
from elearning.flows.platform import Platform
from elearning.flows.prerequisites import (
    add_prerequisite,
)
from elearning.flows.progress import complete_lesson
from elearning.flows.purchase import purchase, settle
from elearning.flows.recovery import Recovered, forget_old_email_keys, keep_recovering, recover
from elearning.flows.registration import change_email, delete_user, get_user_by_email, register
from elearning.flows.relay import deliver, deliver_all
from elearning.flows.statistics import platform_statistics
from elearning.flows.waitlist import join_waitlist, leave_waitlist

__all__ = [
    "Charge",
    "Enrolled",
    "GatewayDeclined",
    "LessonOutline",
    "ModuleOutline",
    "NewUser",
    "PaymentGateway",
    "Platform",
    "Progress",
    "Recovered",
    "SimulatedGateway",
    "add_prerequisite",
    "authenticate",
    "cancel_enrollment",
    "change_email",
    "complete_lesson",
    "delete_user",
    "deliver",
    "deliver_all",
    "enroll",
    "forget_old_email_keys",
    "get_user_by_email",
    "join_waitlist",
    "keep_recovering",
    "leave_waitlist",
    "platform_statistics",
    "purchase",
    "recover",
    "register",
    "request_email_verification",
    "request_password_reset",
    "reset_password",
    "set_password",
    "settle",
    "verify_certificate",
    "verify_email",
]
