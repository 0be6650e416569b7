"""The five files of OULAD that are imported: their columns, types and ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elearning.errors import InvalidText
from elearning.importing.fields import Parser, Value, label, matching, one_of, optional, whole

__all__ = ["CLICKS", "COURSES", "FILES", "REGISTRATIONS", "SITES", "STUDENTS", "Column", "File"]

MAX_ID = 2**31 - 1
MAX_DAYS = 3_650
"""Ten years either way; OULAD's own days are -365 to 444."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column; one without an SQL type is checked and not kept."""

    name: str
    parse: Parser
    sql_type: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file's name and its columns, in order."""

    stem: str
    columns: tuple[Column, ...]

    @property
    def header(self) -> list[str]:
        """The names of all columns."""
        return [column.name for column in self.columns]

    @property
    def kept(self) -> tuple[Column, ...]:
        """The columns that are staged."""
        return tuple(column for column in self.columns if column.sql_type is not None)

    def parse(self, row: Sequence[str]) -> list[Value]:
        """Return the values of the kept columns.

        Raises:
            InvalidText: a field is not what its column promises.
        """
        values = []
        for column, text in zip(self.columns, row, strict=True):
            try:
                value = column.parse(text)
            except InvalidText as error:
                raise InvalidText(field=column.name, problem=error.values["problem"]) from None
            if column.sql_type is not None:
                values.append(value)
        return values


_MODULE = Column("code_module", matching("[A-Z0-9]{1,20}", "a code such as AAA"), "text")
_PRESENTATION = Column(
    "code_presentation",
    matching("[12][0-9]{3}[BJ]", "a year with B (February) or J (October)"),
    "text",
)
_STUDENT = Column("id_student", whole(1, MAX_ID), "integer")
_DAY = whole(-MAX_DAYS, MAX_DAYS)
_WEEK = optional(whole(0, MAX_DAYS // 7))

COURSES = File(
    "courses",
    (
        _MODULE,
        _PRESENTATION,
        Column("module_presentation_length", whole(1, MAX_DAYS), "integer"),
    ),
)
SITES = File(
    "vle",
    (
        Column("id_site", whole(1, MAX_ID), "integer"),
        _MODULE,
        _PRESENTATION,
        Column("activity_type", matching("[a-z0-9_]{1,40}", "a word such as quiz"), "text"),
        Column("week_from", _WEEK),
        Column("week_to", _WEEK),
    ),
)
STUDENTS = File(
    "studentInfo",
    (
        _MODULE,
        _PRESENTATION,
        _STUDENT,
        Column("gender", one_of("F", "M")),
        Column("region", label(100), "text"),
        Column("highest_education", label(100)),
        # One band of the data set, 10-20, is written without its sign.
        Column("imd_band", optional(matching("[0-9]{1,2}-[0-9]{2,3}%?", "a band such as 10-20%"))),
        Column("age_band", one_of("0-35", "35-55", "55<=")),
        Column("num_of_prev_attempts", whole(0, 1_000)),
        Column("studied_credits", whole(0, 100_000)),
        Column("disability", one_of("N", "Y")),
        Column("final_result", one_of("Pass", "Distinction", "Fail", "Withdrawn"), "text"),
    ),
)
REGISTRATIONS = File(
    "studentRegistration",
    (
        _MODULE,
        _PRESENTATION,
        _STUDENT,
        Column("date_registration", optional(_DAY), "integer"),
        Column("date_unregistration", optional(_DAY), "integer"),
    ),
)
CLICKS = File(
    "studentVle",
    (
        _MODULE,
        _PRESENTATION,
        _STUDENT,
        Column("id_site", whole(1, MAX_ID), "integer"),
        Column("date", _DAY),
        Column("sum_click", whole(0, 1_000_000), "integer"),
    ),
)
FILES = (COURSES, SITES, STUDENTS, REGISTRATIONS, CLICKS)
"""In the order of their dependencies."""
