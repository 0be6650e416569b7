"""Every error that elearning raises, as one small tree.

ElearningError
├── SettingsError
├── InvalidInput
│   ├── InvalidPosition
│   ├── UnknownRegion, InvalidId, InvalidEmail, InvalidText
│   ├── InvalidScore, InvalidCertificateCode, InvalidRating, InvalidPaymentMethod
│   ├── UnknownField, SecretField, FieldNotLoaded, NotPlain, InvalidDocument
│   └── InvalidAmount, UnknownCurrency, InvalidPage, InvalidPeriod, InvalidPassword
├── NotFound
│   ├── CategoryNotFound, ModuleNotFound, CourseLessonNotFound
│   ├── CertificateNotFound, ReviewNotFound
│   ├── ContentNotFound, PreferencesNotFound
│   └── UserNotFound, CourseNotFound, EnrollmentNotFound, LessonNotFound,
│       PaymentMethodNotFound, TransactionNotFound
├── Conflict
│   ├── CourseCodeTaken, SlugTaken, CategoryTaken, NotAnInstructor, StaleEdit
│   ├── CourseEmpty, CourseTooLong, ForeignModule, LessonArchived, WrongOrder
│   ├── CategoryElsewhere, CategoryCycle, PrerequisiteCycle, PrerequisitesLocked
│   ├── LessonRuleNotMet, LessonNotScored, EnrollmentNotCompleted, CertificateRevoked
│   ├── AlreadyReviewed, NotTheInstructor, OwnReview, TooManyPaymentMethods
│   ├── EmailTaken, AlreadyEnrolled, CourseFull, CourseNotOpen, EnrollmentClosed
│   ├── EnrollmentNotActive, TransactionNotPending, GatewayIdTaken
│   ├── RefundRefused, NotAPayment, InvoiceMissing, IsolationTooHigh, Deadlock
│   ├── MisroutedRow, CopiedRow, IllegalStep, FixedColumn
│   ├── CourseNotCopied, PrerequisitesMissing, SeatNotClaimed, SeatsFree
│   ├── ClaimReleased, ClaimTooOld, UserHasPayments
│   ├── ContentExists, ContentOfOtherType, PreferencesExist, WishlistFull
│   └── NotPermitted
├── AccessDenied
│   └── InvalidCredentials, AccountNotActive, InvalidUserToken
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

from elearning.errors.access import (
    AccessDenied,
    AccountNotActive,
    InvalidCredentials,
    InvalidUserToken,
)
from elearning.errors.base import ElearningError
from elearning.errors.conflict import (
    AlreadyEnrolled,
    AlreadyReviewed,
    CertificateRevoked,
    ClaimReleased,
    ClaimTooOld,
    Conflict,
    ContentExists,
    ContentOfOtherType,
    CopiedRow,
    CourseFull,
    CourseNotCopied,
    CourseNotOpen,
    Deadlock,
    EmailTaken,
    EnrollmentClosed,
    EnrollmentNotActive,
    EnrollmentNotCompleted,
    FixedColumn,
    GatewayIdTaken,
    IllegalStep,
    InvoiceMissing,
    IsolationTooHigh,
    LessonNotScored,
    LessonRuleNotMet,
    MisroutedRow,
    NotAPayment,
    NotPermitted,
    NotTheInstructor,
    OwnReview,
    PreferencesExist,
    PrerequisitesMissing,
    RefundRefused,
    SeatNotClaimed,
    SeatsFree,
    TooManyPaymentMethods,
    TransactionNotPending,
    UserHasPayments,
    WishlistFull,
)
from elearning.errors.editing import (
    CategoryCycle,
    CategoryElsewhere,
    CategoryNotFound,
    CategoryTaken,
    CourseCodeTaken,
    CourseEmpty,
    CourseLessonNotFound,
    CourseTooLong,
    ForeignModule,
    InvalidPosition,
    LessonArchived,
    ModuleNotFound,
    NotAnInstructor,
    PrerequisiteCycle,
    PrerequisitesLocked,
    SlugTaken,
    StaleEdit,
    WrongOrder,
)
from elearning.errors.invalid_input import (
    FieldNotLoaded,
    InvalidAmount,
    InvalidCertificateCode,
    InvalidDocument,
    InvalidEmail,
    InvalidId,
    InvalidInput,
    InvalidPage,
    InvalidPassword,
    InvalidPaymentMethod,
    InvalidPeriod,
    InvalidRating,
    InvalidScore,
    InvalidText,
    NotPlain,
    SecretField,
    UnknownCurrency,
    UnknownField,
    UnknownRegion,
)
from elearning.errors.not_found import (
    CertificateNotFound,
    ContentNotFound,
    CourseNotFound,
    EnrollmentNotFound,
    LessonNotFound,
    NotFound,
    PaymentMethodNotFound,
    PreferencesNotFound,
    ReviewNotFound,
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
    "AccessDenied",
    "AccountNotActive",
    "AlreadyEnrolled",
    "AlreadyReviewed",
    "BinaryNotFound",
    "CategoryCycle",
    "CategoryElsewhere",
    "CategoryNotFound",
    "CategoryTaken",
    "CertificateNotFound",
    "CertificateRevoked",
    "ClaimReleased",
    "ClaimTooOld",
    "ClusterError",
    "Conflict",
    "ContentExists",
    "ContentNotFound",
    "ContentOfOtherType",
    "CopiedRow",
    "CourseCodeTaken",
    "CourseEmpty",
    "CourseFull",
    "CourseLessonNotFound",
    "CourseNotCopied",
    "CourseNotFound",
    "CourseNotOpen",
    "CourseTooLong",
    "CrossShardRead",
    "CrossShardWrite",
    "Deadlock",
    "ElearningError",
    "EmailTaken",
    "EnrollmentClosed",
    "EnrollmentNotActive",
    "EnrollmentNotCompleted",
    "EnrollmentNotFound",
    "FieldNotLoaded",
    "FixedColumn",
    "ForeignDatabase",
    "ForeignModule",
    "GatewayFault",
    "GatewayIdTaken",
    "IllegalStep",
    "InvalidAmount",
    "InvalidCertificateCode",
    "InvalidCredentials",
    "InvalidDocument",
    "InvalidEmail",
    "InvalidId",
    "InvalidInput",
    "InvalidPage",
    "InvalidPassword",
    "InvalidPaymentMethod",
    "InvalidPeriod",
    "InvalidPosition",
    "InvalidRating",
    "InvalidScore",
    "InvalidText",
    "InvalidUserToken",
    "InvoiceMissing",
    "IsolationTooHigh",
    "LessonArchived",
    "LessonNotFound",
    "LessonNotScored",
    "LessonRuleNotMet",
    "MalformedFile",
    "MalformedRow",
    "MeshError",
    "MigrationError",
    "MigrationLocked",
    "MisroutedRow",
    "ModuleNotFound",
    "NodeUnavailable",
    "NotAPayment",
    "NotAnInstructor",
    "NotFound",
    "NotMergeable",
    "NotPermitted",
    "NotPlain",
    "NotTheInstructor",
    "OwnReview",
    "PaymentDeclined",
    "PaymentMethodNotFound",
    "PoolExhausted",
    "PreferencesExist",
    "PreferencesNotFound",
    "PrerequisiteCycle",
    "PrerequisitesLocked",
    "PrerequisitesMissing",
    "ReadOnlySession",
    "RefundRefused",
    "RegionRequired",
    "ReviewNotFound",
    "RightsMissing",
    "RoutingError",
    "SchemaMismatch",
    "SeatNotClaimed",
    "SeatsFree",
    "SecretField",
    "ServerStartError",
    "SettingsError",
    "ShardAhead",
    "SlugTaken",
    "StaleEdit",
    "TooManyPaymentMethods",
    "TransactionNotFound",
    "TransactionNotPending",
    "UnknownCurrency",
    "UnknownField",
    "UnknownRegion",
    "UserHasPayments",
    "UserNotFound",
    "WishlistFull",
    "WrongOrder",
]
