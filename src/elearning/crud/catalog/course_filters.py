"""What courses are filtered by, in searches and in lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select

from elearning.crud.checks import flag, one_uuid
from elearning.errors import InvalidText
from elearning.models import Course, CourseCategory, CourseLevel, CourseSearch
from elearning.money import minor_digits, to_minor
from elearning.text import checked_choice, checked_text

__all__ = ["NO_FILTERS", "CourseFilters"]

_LANGUAGE = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_LEAST, _MOST = 1, 5
Filtered = type[Course] | type[CourseSearch]


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseFilters:
    """Which courses are wanted. Checked when made.

    Attributes:
        category_id: of the category or of one below it.
        level: what the course expects.
        language: a tag as courses have it; one without a hyphen means all of that language.
        currency: of the price (ISO 4217).
        least_price: before tax, in the currency, which has to be given.
        most_price: the same.
        free: whether it costs nothing; None: either.
        least_rating: the mean of the reviews, 1 to 5; courses without reviews have none.

    Raises:
        InvalidText, InvalidAmount, UnknownCurrency: what was wrong.
    """

    category_id: UUID | None = None
    level: CourseLevel | str | None = None
    language: str | None = None
    currency: str | None = None
    least_price: Decimal | int | str | None = None
    most_price: Decimal | int | str | None = None
    free: bool | None = None
    least_rating: Decimal | int | str | None = None

    def __post_init__(self) -> None:
        one_uuid("category_id", self.category_id)
        if self.level is not None:
            self._set("level", checked_choice("level", self.level, CourseLevel))
        if self.language is not None:
            tag = checked_text("language", self.language, most=35)
            if not _LANGUAGE.fullmatch(tag):
                raise InvalidText(field="language", problem="is no language tag (BCP 47)")
            self._set("language", tag)
        if self.currency is not None:
            minor_digits(self.currency)
        elif self.least_price is not None or self.most_price is not None:
            raise InvalidText(field="currency", problem="is missing: a price is in a currency")
        for name in ("least_price", "most_price"):
            if getattr(self, name) is not None:
                to_minor(getattr(self, name), self.currency or "")
        if self.free is not None:
            flag("free", self.free)
        if self.least_rating is not None:
            self._set("least_rating", _rating(self.least_rating))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def conditions(self, of: Filtered) -> dict[str, ColumnElement[bool]]:
        """Return the conditions for the columns of a table, by what they are about."""
        found: dict[str, ColumnElement[bool]] = {}
        if self.category_id is not None:
            found["category"] = of.category_id == func.any(_branch(self.category_id))
        if self.level is not None:
            found["level"] = of.level == literal(self.level, Course.level.type)
        if self.language is not None:
            found["language"] = (
                of.language == self.language
                if "-" in self.language
                else func.split_part(of.language, "-", 1) == self.language
            )
        if self.currency is not None:
            found["currency"] = of.currency == self.currency
        if (price := self._price(of)) is not None:
            found["price"] = price
        if self.least_rating is not None:
            found["rating"] = of.rating >= self.least_rating
        return found

    def _price(self, of: Filtered) -> ColumnElement[bool] | None:
        parts: list[ColumnElement[bool]] = []
        if self.free is not None:
            parts.append(of.price_minor == 0 if self.free else of.price_minor > 0)
        if self.least_price is not None:
            parts.append(of.price_minor >= to_minor(self.least_price, self.currency or ""))
        if self.most_price is not None:
            parts.append(of.price_minor <= to_minor(self.most_price, self.currency or ""))
        condition: ColumnElement[bool] | None = None
        for part in parts:
            condition = part if condition is None else condition & part
        return condition


NO_FILTERS = CourseFilters()
"""All published courses."""


def _rating(value: Any) -> Decimal:
    try:
        rating = None if isinstance(value, bool | float) else Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        rating = None
    if rating is None or not rating.is_finite() or not _LEAST <= rating <= _MOST:
        raise InvalidText(
            field="least_rating", problem=f"{str(value)[:80]!r} is no number from 1 to 5"
        )
    return rating


def _branch(category_id: UUID) -> Any:
    """Return the ids of a category and all below it, found once for the statement."""
    branch = (select(CourseCategory.id).where(CourseCategory.id == category_id)).cte(
        "branch", recursive=True
    )
    # UNION: whoever is seen twice ends it.
    branch = branch.union(
        select(CourseCategory.id).join(branch, CourseCategory.parent_id == branch.c.id)
    )
    return func.array(select(branch.c.id).scalar_subquery())
