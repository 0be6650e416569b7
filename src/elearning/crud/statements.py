"""What the operations' statements share."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, literal
from sqlalchemy.orm import InstrumentedAttribute, Session

__all__ = ["FIRST", "Executor", "constant"]

FIRST = UUID(int=0)
"""Before all ids."""

Executor = Connection | Session
"""What runs a statement: also by itself, without a transaction around it."""


def constant(value: StrEnum, column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """Return a value that stands in the SQL itself: a partial index is not used for a parameter."""
    return literal(value, column.type, literal_execute=True)
