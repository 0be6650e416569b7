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
│   ├── MisroutedRow, CopiedRow, IllegalStep, FixedColumn
│   ├── CourseNotCopied, PrerequisitesMissing, SeatNotClaimed, SeatsFree
│   ├── ClaimReleased, ClaimTooOld, UserHasPayments
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
├── MeshError
└── ClusterError
    └── BinaryNotFound, ServerStartError

An error with a ``sqlstate`` is also raised inside PostgreSQL, by the routines
of ``models/sql``: SQLSTATE names the class, DETAIL holds its values as JSON.
The class "LE" is outside the ranges that the SQL standard keeps for itself
(PostgreSQL manual, "Error and message reporting": classes 0-4 and A-H).
"""

from elearning.errors.base import ElearningError
from elearning.errors.conflict import (
    AlreadyEnrolled,
    ClaimReleased,
    ClaimTooOld,
    Conflict,
    CopiedRow,
    CourseFull,
    CourseNotCopied,
    CourseNotOpen,
    EmailTaken,
    EnrollmentClosed,
    EnrollmentNotActive,
    FixedColumn,
    GatewayIdTaken,
    IllegalStep,
    InvoiceMissing,
    IsolationTooHigh,
    MisroutedRow,
    NotAPayment,
    NotPermitted,
    PrerequisitesMissing,
    RefundRefused,
    SeatNotClaimed,
    SeatsFree,
    TransactionNotPending,
    UserHasPayments,
)
from elearning.errors.invalid_input import (
    InvalidAmount,
    InvalidEmail,
    InvalidId,
    InvalidInput,
    InvalidPage,
    InvalidText,
    UnknownCurrency,
    UnknownRegion,
)
from elearning.errors.not_found import (
    CourseNotFound,
    EnrollmentNotFound,
    LessonNotFound,
    NotFound,
    PaymentMethodNotFound,
    TransactionNotFound,
    UserNotFound,
)
from elearning.errors.operation import (
    BinaryNotFound,
    ClusterError,
    ForeignDatabase,
    MalformedFile,
    MalformedRow,
    MeshError,
    MigrationError,
    MigrationLocked,
    RightsMissing,
    SchemaMismatch,
    ServerStartError,
    SettingsError,
    ShardAhead,
)
from elearning.errors.payment import GatewayFault, PaymentDeclined
from elearning.errors.routing import (
    CrossShardRead,
    CrossShardWrite,
    NodeUnavailable,
    NotMergeable,
    PoolExhausted,
    ReadOnlySession,
    RegionRequired,
    RoutingError,
)

__all__ = [
    "AlreadyEnrolled",
    "BinaryNotFound",
    "ClaimReleased",
    "ClaimTooOld",
    "ClusterError",
    "Conflict",
    "CopiedRow",
    "CourseFull",
    "CourseNotCopied",
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
    "MeshError",
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
    "PrerequisitesMissing",
    "ReadOnlySession",
    "RefundRefused",
    "RegionRequired",
    "RightsMissing",
    "RoutingError",
    "SchemaMismatch",
    "SeatNotClaimed",
    "SeatsFree",
    "ServerStartError",
    "SettingsError",
    "ShardAhead",
    "TransactionNotFound",
    "TransactionNotPending",
    "UnknownCurrency",
    "UnknownRegion",
    "UserHasPayments",
    "UserNotFound",
]
