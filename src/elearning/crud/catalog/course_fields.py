"""What of a course is given when it is created or changed, and how that is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID

from elearning.crud.checks import (
    MOST_INTEGER,
    Check,
    checked,
    checked_slug,
    hours,
    moment,
    one_of,
    one_uuid,
    text_of,
    whole,
)
from elearning.errors import InvalidText
from elearning.ids import region_of
from elearning.models import CourseLevel
from elearning.money import minor_digits, to_minor

__all__ = ["CHECKS", "LONGEST_SLUG", "CourseChanges", "NewCourse", "check_window"]

LONGEST_SLUG = 150
# RFC 5646, as far as its form goes: subtags of 1 to 8 letters and digits.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def _language(field: str, value: Any) -> str:
    text: str = text_of(35)(field, value)
    if not _LANGUAGE.fullmatch(text):
        raise InvalidText(
            field=field, problem="is no language tag (BCP 47) such as 'en' or 'pt-BR'"
        )
    return text


def _currency(_: str, value: Any) -> str:
    minor_digits(value)
    currency: str = value
    return currency


def _owner(field: str, value: Any) -> UUID:
    one = one_uuid(field, value)
    if one is None:
        raise InvalidText(field=field, problem="is None, expected a UUID")
    region_of(one)
    return one


CHECKS: Mapping[str, Check] = {
    "instructor_id": _owner,
    "course_code": text_of(50),
    "slug": checked_slug(LONGEST_SLUG),
    "title": text_of(300),
    "description": text_of(50_000, least=0),
    "category_id": one_uuid,
    "level": one_of(CourseLevel),
    "price": lambda _, value: value,  # together with its currency
    "currency": _currency,
    "duration_hours": hours,
    "language": _language,
    "max_enrollments": whole(1, MOST_INTEGER),
    "enrollment_opens_at": moment,
    "enrollment_closes_at": moment,
    "access_days": whole(1, 36_500),
}


class CourseChanges(TypedDict, total=False):
    """What of a course can be changed."""

    instructor_id: UUID
    course_code: str
    slug: str
    title: str
    description: str
    category_id: UUID | None
    level: CourseLevel | str
    price: Decimal | int | str
    currency: str
    duration_hours: Decimal | int | None
    language: str
    max_enrollments: int | None
    enrollment_opens_at: datetime | None
    enrollment_closes_at: datetime | None
    access_days: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCourse:
    """A course that is created, as a draft. Checked when made.

    Attributes:
        instructor_id: who teaches it; the course is at home in the same region.
        slug: the title as a part of a URL; None: it is made of the title.

    Raises:
        InvalidId, InvalidText, InvalidAmount, UnknownCurrency: what was wrong.
    """

    instructor_id: UUID
    course_code: str
    title: str
    currency: str
    language: str
    slug: str | None = None
    description: str = ""
    category_id: UUID | None = None
    level: CourseLevel | str = CourseLevel.BEGINNER
    price: Decimal | int | str = 0
    duration_hours: Decimal | int | None = None
    max_enrollments: int | None = None
    enrollment_opens_at: datetime | None = None
    enrollment_closes_at: datetime | None = None
    access_days: int | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in CHECKS}
        if self.slug is None:
            del given["slug"]
        values = checked("course", CHECKS, given)
        to_minor(self.price, values["currency"])
        check_window(values["enrollment_opens_at"], values["enrollment_closes_at"])
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def values(self) -> dict[str, Any]:
        """Return what is stored, but for the slug, by the names of the model."""
        values = {name: getattr(self, name) for name in CHECKS if name not in {"slug", "price"}}
        return values | {"price_minor": to_minor(self.price, self.currency)}


def check_window(opens: datetime | None, closes: datetime | None) -> None:
    """Refuse a window for enrollment that closes before it opens.

    Raises:
        InvalidText: it does.
    """
    if opens is not None and closes is not None and closes <= opens:
        raise InvalidText(field="enrollment_closes_at", problem="is not after enrollment_opens_at")
