"""Every error that elearning raises, as one small tree.

ElearningError
├── SettingsError
├── InvalidInput
│   ├── UnknownRegion, InvalidId, InvalidEmail, InvalidText
│   └── InvalidAmount, UnknownCurrency, InvalidPage
├── NotFound
│   └── UserNotFound, CourseNotFound, EnrollmentNotFound, LessonNotFound,
│       PaymentMethodNotFound, TransactionNotFound
├── Conflict
│   ├── EmailTaken, AlreadyEnrolled, CourseFull, CourseNotOpen, EnrollmentClosed
│   ├── EnrollmentNotActive, TransactionNotPending, GatewayIdTaken
│   ├── RefundRefused, NotAPayment, InvoiceMissing, IsolationTooHigh
│   ├── MisroutedRow, IllegalStep, FixedColumn
│   └── NotPermitted
├── PaymentDeclined
├── GatewayFault
├── RoutingError
│   ├── RegionRequired, CrossShardRead, CrossShardWrite, ReadOnlySession
│   └── NotMergeable
├── NodeUnavailable
├── PoolExhausted
├── MalformedFile
│   └── MalformedRow
├── SchemaMismatch
├── MigrationError
│   ├── ShardAhead, ForeignDatabase, RightsMissing
│   └── MigrationLocked
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
    "EnrollmentClosed",
    "EnrollmentNotActive",
    "EnrollmentNotFound",
    "FixedColumn",
    "ForeignDatabase",
    "GatewayFault",
    "GatewayIdTaken",
    "IllegalStep",
    "InvalidAmount",
    "InvalidEmail",
    "InvalidId",
    "InvalidInput",
    "InvalidPage",
    "InvalidText",
    "InvoiceMissing",
    "IsolationTooHigh",
    "LessonNotFound",
    "MalformedFile",
    "MalformedRow",
    "MigrationError",
    "MigrationLocked",
    "MisroutedRow",
    "NodeUnavailable",
    "NotAPayment",
    "NotFound",
    "NotMergeable",
    "NotPermitted",
    "PaymentDeclined",
    "PaymentMethodNotFound",
    "PoolExhausted",
    "ReadOnlySession",
    "RefundRefused",
    "RegionRequired",
    "RightsMissing",
    "RoutingError",
    "SchemaMismatch",
    "ServerStartError",
    "SettingsError",
    "ShardAhead",
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


class InvalidPage(InvalidInput):
    """Not a cursor that the page before gave out, or one of another order."""

    template = "the page cursor {problem}: begin with the first page again"


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

    template = (
        "transaction {transaction_id} is {status}: only a pending one changes, and a refund is a "
        "transaction of its own"
    )
    sqlstate = "LE026"


class GatewayIdTaken(Conflict):
    """A gateway's id stands for one payment."""

    template = (
        "transaction {transaction_id} cannot be completed as {gateway_transaction_id!r}: "
        "{gateway} has given that id to another payment"
    )
    sqlstate = "LE027"


class EnrollmentClosed(Conflict):
    """The course takes enrollments at another time."""

    template = "course {course_id} takes enrollments from {opens} to {closes}, and not now"
    sqlstate = "LE028"


class RefundRefused(Conflict):
    """A refund takes back a completed payment, and no more than was paid."""

    template = (
        "{amount} {currency} of transaction {transaction_id} cannot be refunded: it {problem}"
    )
    sqlstate = "LE034"


class NotAPayment(Conflict):
    """A refund is not charged, and has no invoice."""

    template = "transaction {transaction_id} is a refund: complete it with complete_refund"
    sqlstate = "LE035"


class IsolationTooHigh(Conflict):
    """Seats, refunds and lessons are counted under a lock, of what others have committed."""

    template = (
        "this cannot be done in a transaction that is {isolation!r}, for it counts what others "
        "commit meanwhile: do it in one that is 'read committed', PostgreSQL's default"
    )
    sqlstate = "LE036"


class InvoiceMissing(Conflict):
    """A payment is completed together with its invoice."""

    template = "transaction {transaction_id} has no invoice: complete it with complete_transaction"
    sqlstate = "LE037"


class MisroutedRow(Conflict):
    """A row's id names a region that this shard does not host."""

    template = (
        "row {id} of {table} belongs to region code {region}, which this shard does not host: "
        "write it on its home shard, or run 'elearning migrate' if the settings moved the region"
    )
    sqlstate = "LE031"


class IllegalStep(Conflict):
    """A status is not followed by this one."""

    template = (
        "{table} {id} cannot go from {before} to {after}: "
        "docs/reference.md draws the steps that there are"
    )
    sqlstate = "LE032"


class FixedColumn(Conflict):
    """A column that tells whose a row is, or what was agreed, never changes."""

    template = "{columns} of {table} {id} cannot change: add a row of its own instead"
    sqlstate = "LE033"


class NotPermitted(Conflict):
    """The application's role may not do this; `models/grants.py` lists what it may."""

    template = (
        "{node} refuses this to the role {role}: {problem}. "
        "If the role should have that right, 'elearning migrate' grants it"
    )


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


class ReadOnlySession(RoutingError):
    """A read session writes nothing."""

    template = "a read session cannot {what}: use a RoutingSession, or Platform.session()"


class CrossShardWrite(RoutingError):
    """One transaction writes on one shard."""

    template = (
        "this transaction writes on shard {first} and cannot write on shard {second} too: "
        "commit first, or use a session of its own for each shard"
    )


class CrossShardRead(RoutingError):
    """One statement names rows of several shards."""

    template = "the statement names ids of several shards ({shards}): ask each in its own statement"


class NotMergeable(RoutingError):
    """What several shards answer cannot be put together to what one database would answer."""

    template = "this statement cannot be merged exactly over several shards: {reason}"


class NodeUnavailable(ElearningError):
    """A database node does not answer."""

    template = "{node} at {address} is not available: {problem}"


class PoolExhausted(ElearningError):
    """All connections of a node's pool were in use for too long."""

    template = (
        "{node}: all {size} connections were in use for {seconds} s: end sessions sooner, "
        "or give Engines a larger pool_size"
    )


class MalformedFile(ElearningError):
    """An imported file is not what its format promises."""

    template = "{file}: {problem}"


class MalformedRow(MalformedFile):
    """A row of an imported file is not what its format promises."""

    template = "{file}, line {line}: {problem}"


class SchemaMismatch(ElearningError):
    """The schema of a shard is not the one that this release is written for."""

    template = (
        "shard {shard} is at revision {found}, this release needs {expected}: "
        "run 'elearning migrate' of this release first"
    )


class MigrationError(ElearningError):
    """A shard could not be migrated."""

    template = "shard {shard}: {problem}"


class ShardAhead(MigrationError):
    """A newer release has migrated the shard."""

    template = (
        "shard {shard} is at revision {found}, which this release does not know (its newest is "
        "{head}): migrate with the newer release"
    )


class ForeignDatabase(MigrationError):
    """The database holds something else than a shard."""

    template = (
        "shard {shard}: the database {database} at {address} is not one of ours, it holds {found}: "
        "correct the URL, or name an empty database"
    )


class RightsMissing(MigrationError):
    """The role that migrates may not do so."""

    template = (
        "shard {shard}: the role {role} may not {action} in {database} at {address}: "
        "set {variable} to the URL of the database's owner"
    )


class MigrationLocked(MigrationError):
    """Another migration holds the shard."""

    template = (
        "shard {shard}: another migration (process {pid} of the server) still runs after "
        "{seconds} s: wait for it, or give more time with --lock-wait"
    )


class ClusterError(ElearningError):
    """The embedded cluster cannot do what was asked."""


class BinaryNotFound(ClusterError):
    """There is no server binary that can run here."""


class ServerStartError(ClusterError):
    """A server was started and did not become ready."""
