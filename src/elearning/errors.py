"""Every error that elearning raises, as one small tree.

ElearningError
├── SettingsError
├── InvalidInput
│   ├── UnknownRegion, InvalidId, InvalidEmail, InvalidText
│   └── InvalidAmount, UnknownCurrency
├── NotFound
│   └── UserNotFound, CourseNotFound, EnrollmentNotFound, LessonNotFound,
│       PaymentMethodNotFound, TransactionNotFound
├── Conflict
│   ├── EmailTaken, AlreadyEnrolled, CourseFull, CourseNotOpen
│   ├── EnrollmentNotActive, TransactionNotPending, GatewayIdTaken
│   └── MisroutedRow
├── PaymentDeclined
├── GatewayFault
├── RoutingError
│   └── RegionRequired, CrossShardRead, CrossShardWrite
├── NodeUnavailable
├── MalformedFile
│   └── MalformedRow
├── MigrationError
└── ClusterError
    └── BinaryNotFound, ServerStartError

An error with a ``sqlstate`` is also raised inside PostgreSQL, by the routines
of ``models/sql``: SQLSTATE names the class, DETAIL holds its values as JSON.
The class "LE" is outside the ranges that the SQL standard keeps for itself
(PostgreSQL manual, "Error and message reporting": classes 0-4 and A-H).
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyEnrolled",
    "BinaryNotFound",
    "ClusterError",
    "Conflict",
    "CourseFull",
    "CourseNotFound",
    "CourseNotOpen",
    "CrossShardRead",
    "CrossShardWrite",
    "ElearningError",
    "EmailTaken",
    "EnrollmentNotActive",
    "EnrollmentNotFound",
    "GatewayFault",
    "GatewayIdTaken",
    "InvalidAmount",
    "InvalidEmail",
    "InvalidId",
    "InvalidInput",
    "InvalidText",
    "LessonNotFound",
    "MalformedFile",
    "MalformedRow",
    "MigrationError",
    "MisroutedRow",
    "NodeUnavailable",
    "NotFound",
    "PaymentDeclined",
    "PaymentMethodNotFound",
    "RegionRequired",
    "RoutingError",
    "ServerStartError",
    "SettingsError",
    "TransactionNotFound",
    "TransactionNotPending",
    "UnknownCurrency",
    "UnknownRegion",
    "UserNotFound",
]


class ElearningError(Exception):
    """Base of all errors here; ``values`` holds what the message names."""

    template: ClassVar[str] = "{message}"
    sqlstate: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, **values: object) -> None:
        self.values: dict[str, object] = (
            values if message is None else {"message": message, **values}
        )
        super().__init__(
            message if message is not None else self.template.format_map(_Lenient(self.values))
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments are lost by the default pickling, and errors cross
        # process borders where shards are migrated in separate processes.
        return (_rebuild, (type(self), self.values))


class _Lenient(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def _rebuild(cls: type[ElearningError], values: dict[str, object]) -> ElearningError:
    return cls(**values)  # type: ignore[arg-type]


class SettingsError(ElearningError):
    """A setting is missing or wrong."""

    template = "{variable}: {problem}"


class InvalidInput(ElearningError, ValueError):
    """The caller's input cannot be right, whatever the databases hold."""


class UnknownRegion(InvalidInput):
    """No such region."""

    template = "unknown region {region!r}: expected one of {known}"
    sqlstate = "LE001"


class InvalidId(InvalidInput):
    """Not an id that elearning made: it carries no region."""

    template = "{id} is no elearning id: expected a version 8 UUID whose byte 7 is a region code"


class InvalidEmail(InvalidInput):
    """Not an email address."""

    template = "{email!r} is not an email address: expected name@domain, at most 254 characters"
    sqlstate = "LE002"


class InvalidText(InvalidInput):
    """A text that cannot be stored: empty, too long, or with a NUL character."""

    template = "{field}: {problem}"


class InvalidAmount(InvalidInput):
    """An amount of money or time that is negative, not finite or too precise."""

    template = "amount {amount} {problem}"
    sqlstate = "LE003"


class UnknownCurrency(InvalidInput):
    """Not a currency code of ISO 4217."""

    template = "unknown currency {currency!r}: expected a code of ISO 4217 such as EUR"


class NotFound(ElearningError, LookupError):
    """The row that an id names does not exist on its shard."""


class UserNotFound(NotFound):
    """No such user."""

    template = "no user {user_id}"
    sqlstate = "LE011"


class CourseNotFound(NotFound):
    """No such course on the shard that was asked."""

    template = "no course {course_id} on this shard"
    sqlstate = "LE012"


class EnrollmentNotFound(NotFound):
    """No such enrollment."""

    template = "no enrollment {enrollment_id}"
    sqlstate = "LE013"


class LessonNotFound(NotFound):
    """The lesson does not exist, or is not part of the enrollment's course."""

    template = "enrollment {enrollment_id} has no lesson {lesson_id}"
    sqlstate = "LE014"


class TransactionNotFound(NotFound):
    """No such transaction."""

    template = "no transaction {transaction_id}"
    sqlstate = "LE015"


class PaymentMethodNotFound(NotFound):
    """The payment method does not exist, or belongs to somebody else."""

    template = "user {user_id} has no payment method {payment_method_id}"
    sqlstate = "LE016"


class Conflict(ElearningError):
    """The input is sound, but the stored state does not allow it."""


class EmailTaken(Conflict):
    """The address belongs to an account already."""

    template = "the email address {email!r} belongs to an account already"
    sqlstate = "LE021"


class AlreadyEnrolled(Conflict):
    """The user has this course already."""

    template = "user {user_id} is already enrolled in course {course_id} (enrollment {status})"
    sqlstate = "LE022"


class CourseFull(Conflict):
    """Every seat is taken."""

    template = "course {course_id} is full: all {seats} seats are taken"
    sqlstate = "LE023"


class CourseNotOpen(Conflict):
    """A draft or an archived course takes no enrollments and is not sold."""

    template = "course {course_id} is {status}: only a published course can be taken or bought"
    sqlstate = "LE024"


class EnrollmentNotActive(Conflict):
    """Progress is kept for active and completed enrollments only."""

    template = "enrollment {enrollment_id} is {status}: enroll again before going on with lessons"
    sqlstate = "LE025"


class TransactionNotPending(Conflict):
    """A transaction leaves the state "pending" once."""

    template = "transaction {transaction_id} is {status}: only a pending one can be completed"
    sqlstate = "LE026"


class GatewayIdTaken(Conflict):
    """A gateway's id stands for one payment."""

    template = (
        "transaction {transaction_id} cannot be completed as {gateway_transaction_id!r}: "
        "{gateway} has given that id to another payment"
    )
    sqlstate = "LE027"


class MisroutedRow(Conflict):
    """A row's id names a region that this shard does not host."""

    template = (
        "row {id} of {table} belongs to region code {region}, which this shard does not host: "
        "write it on its home shard, or run 'elearning migrate' if the settings moved the region"
    )
    sqlstate = "LE031"


class PaymentDeclined(ElearningError):
    """The gateway refused the payment; the transaction is stored as failed."""

    template = "transaction {transaction_id} was declined by {gateway}: {reason}"


class GatewayFault(ElearningError):
    """A gateway's answer is unusable; the payment stays pending, for `settle`."""

    template = (
        "{gateway} answered {answer} for transaction {transaction_id}: expected an id of "
        "1 to 200 characters; settle the payment when the gateway is mended"
    )


class RoutingError(ElearningError):
    """A statement cannot be sent to one node."""


class RegionRequired(RoutingError):
    """Neither the session nor the statement tells the region."""

    template = (
        "{statement} names no region: open the session for one, session(region=...), "
        "or pass execution_options(region=...)"
    )


class CrossShardWrite(RoutingError):
    """One transaction writes on one shard."""

    template = (
        "this transaction writes on shard {first} and cannot write on shard {second} too: "
        "commit first, or use a session of its own for each shard"
    )


class CrossShardRead(RoutingError):
    """One statement names rows of several shards."""

    template = "the statement names ids of several shards ({shards}): ask each in its own statement"


class NodeUnavailable(ElearningError):
    """A database node does not answer."""

    template = "{node} at {address} is not available: {problem}"


class MalformedFile(ElearningError):
    """An imported file is not what its format promises."""

    template = "{file}: {problem}"


class MalformedRow(MalformedFile):
    """A row of an imported file is not what its format promises."""

    template = "{file}, line {line}: {problem}"


class MigrationError(ElearningError):
    """A shard could not be migrated."""

    template = "shard {shard}: {problem}"


class ClusterError(ElearningError):
    """The embedded cluster cannot do what was asked."""


class BinaryNotFound(ClusterError):
    """There is no server binary that can run here."""


class ServerStartError(ClusterError):
    """A server was started and did not become ready."""
