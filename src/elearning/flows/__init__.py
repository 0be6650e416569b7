"""The business flows across PostgreSQL and MongoDB."""

from elearning.crud import NewUser, Progress
from elearning.flows.enrollment import Enrolled, LessonOutline, ModuleOutline, enroll
from elearning.flows.gateway import Charge, GatewayDeclined, PaymentGateway, SimulatedGateway
from elearning.flows.platform import Platform
from elearning.flows.progress import complete_lesson
from elearning.flows.purchase import purchase, settle
from elearning.flows.registration import register
from elearning.flows.relay import deliver, deliver_all

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
    "SimulatedGateway",
    "complete_lesson",
    "deliver",
    "deliver_all",
    "enroll",
    "purchase",
    "register",
    "settle",
]
