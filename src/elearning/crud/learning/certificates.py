"""Certificates: issued once, frozen, revoked with a reason, verified by their code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import String, bindparam, func, select, update
from sqlalchemy.orm import Session

from elearning.certificate_code import new_code, parse_code, region_of_code
from elearning.errors import (
    CertificateNotFound,
    CertificateRevoked,
    EnrollmentNotCompleted,
    EnrollmentNotFound,
)
from elearning.ids import new_id, region_of
from elearning.models import (
    Certificate,
    Course,
    Enrollment,
    EnrollmentStatus,
    LessonProgress,
    User,
)
from elearning.models.counters import expire_counted
from elearning.routing import Reader
from elearning.text import checked_text

__all__ = [
    "CertificateState",
    "VerifiedCertificate",
    "issue_certificate",
    "revoke_certificate",
    "verify_certificate",
]

_MOST_REASON = 2_000


class CertificateState(StrEnum):
    """What a code stands for."""

    VALID = "valid"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """What anybody may know who has the code; an unknown one has nothing but that.

    Attributes:
        code: as it is written on the certificate.
        state: whether it is good.
        grade: mean of the best scores, 0 to 100; None: nothing was scored.
        revoked_at: since when it is not; why is not public.
    """

    code: str
    state: CertificateState
    recipient_name: str | None = None
    course_title: str | None = None
    instructor_name: str | None = None
    grade: Decimal | None = None
    completion_date: datetime | None = None
    issued_at: datetime | None = None
    revoked_at: datetime | None = None


def issue_certificate(session: Session, enrollment_id: UUID) -> Certificate:
    """Return the certificate of a completed enrollment; it is made where there is none.

    Names, title and grade are written down as they are now. As long as a certificate is not
    revoked, it is the enrollment's only one, and this returns it, even if a lesson was opened
    again since.

    Args:
        session: a session of the enrollment's region.
        enrollment_id: the enrollment.

    Raises:
        EnrollmentNotFound: there is none.
        EnrollmentNotCompleted: lessons are open, or it is over.
    """
    # Whoever else issues one waits here, and finds this one then.
    found = session.execute(
        select(
            Enrollment.status,
            Enrollment.completion_date,
            User.first_name,
            User.last_name,
            Course.title,
            Course.instructor_name,
        )
        .join_from(Enrollment, User, User.id == Enrollment.user_id)
        .join(Course, Course.id == Enrollment.course_id)
        .where(Enrollment.id == enrollment_id)
        .with_for_update(of=Enrollment, key_share=True)
    ).one_or_none()
    if found is None:
        raise EnrollmentNotFound(enrollment_id=enrollment_id)
    there = session.scalars(
        select(Certificate).where(
            Certificate.enrollment_id == enrollment_id, Certificate.revoked_at.is_(None)
        )
    ).one_or_none()
    if there is not None:
        return there
    if found.status is not EnrollmentStatus.COMPLETED:
        raise EnrollmentNotCompleted(enrollment_id=enrollment_id, status=found.status.value)
    region = region_of(enrollment_id)
    certificate = Certificate(
        id=new_id(region),
        enrollment_id=enrollment_id,
        code=new_code(region),
        recipient_name=f"{found.first_name} {found.last_name}",
        course_title=found.title,
        instructor_name=found.instructor_name,
        completion_date=found.completion_date,
    )
    certificate.grade = (
        select(func.round(func.avg(LessonProgress.best_score), 2))
        .where(LessonProgress.enrollment_id == enrollment_id, ~LessonProgress.archived)
        .scalar_subquery()
    )
    session.add(certificate)
    session.flush()
    _note(session, enrollment_id, issued=True)
    return certificate


def revoke_certificate(session: Session, certificate_id: UUID, reason: str) -> Certificate:
    """Revoke a certificate; its code says so from then on, and a new one can be issued.

    Args:
        session: a session of the certificate's region.
        certificate_id: which.
        reason: why, in 1 to 2,000 characters; it is not shown to who verifies the code.

    Raises:
        InvalidText: there is no reason, or it is too long.
        CertificateNotFound: there is no such certificate.
        CertificateRevoked: it was revoked before.
    """
    reason = checked_text("reason", reason, most=_MOST_REASON)
    # As everywhere: an enrollment before what belongs to it.
    enrollment_id = session.scalar(
        select(Enrollment.id)
        .join_from(Certificate, Enrollment, Enrollment.id == Certificate.enrollment_id)
        .where(Certificate.id == certificate_id)
        .with_for_update(of=Enrollment, key_share=True)
    )
    if enrollment_id is None:
        raise CertificateNotFound(certificate_id=certificate_id)
    revoked = session.scalar(
        update(Certificate)
        .where(Certificate.id == certificate_id, Certificate.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp(), revocation_reason=reason)
        .returning(Certificate.id)
        .execution_options(synchronize_session=False)
    )
    if revoked is None:
        raise CertificateRevoked(certificate_id=certificate_id)
    expire_counted(session, Certificate, certificate_id)
    _note(session, enrollment_id, issued=False)
    return session.get_one(Certificate, certificate_id)


_BY_CODE = select(
    Certificate.recipient_name,
    Certificate.course_title,
    Certificate.instructor_name,
    Certificate.grade,
    Certificate.completion_date,
    Certificate.issued_at,
    Certificate.revoked_at,
).where(Certificate.code == bindparam("code", type_=String))


def verify_certificate(session: Reader, code: str) -> VerifiedCertificate:
    """Tell what a code stands for, in one statement on the shard that the code names.

    Args:
        session: a session of any region.
        code: in upper or lower case, with or without separators.

    Raises:
        InvalidCertificateCode: a sign is wrong or missing.
    """
    code = parse_code(code)
    row = session.execute(
        _BY_CODE, {"code": code}, execution_options={"region": region_of_code(code)}
    ).one_or_none()
    if row is None:
        return VerifiedCertificate(code, CertificateState.UNKNOWN)
    state = CertificateState.VALID if row.revoked_at is None else CertificateState.REVOKED
    return VerifiedCertificate(code, state, *row)


def _note(session: Session, enrollment_id: UUID, *, issued: bool) -> None:
    session.execute(
        update(Enrollment)
        .where(Enrollment.id == enrollment_id)
        .values(certificate_issued=issued)
        .execution_options(synchronize_session=False)
    )
    expire_counted(session, Enrollment, enrollment_id)
