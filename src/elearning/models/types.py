"""Column types and small column helpers that the tables share."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Enum, Index, Text, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

__all__ = [
    "HOME_CODE",
    "Secret",
    "SecretText",
    "Xid",
    "currency_check",
    "enum_type",
    "home_unique",
    "not_blank",
    "same_home",
]

HOME_CODE = "get_byte(uuid_send(id), 7)"
"""SQL for the region code in a row's id; the form that publications accept."""


class Xid(UserDefinedType[str]):
    """PostgreSQL's transaction id, the type of the system column ``xmin``."""

    cache_ok = True
    # Without the cast psycopg would send a text, and text = xid does not exist.
    render_bind_cast = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the SQL name of the type."""
        return "xid"

    def bind_processor(self, dialect: Dialect) -> None:  # noqa: ARG002 - the hook's signature
        """Send the value as it is: psycopg returns an xid as a text."""
        return


class Secret(str):
    """A text that its repr does not show: rows are logged by it, and variables in tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretText(TypeDecorator[str]):
    """A text that comes back as a `Secret`."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Secret | None:  # noqa: ARG002 - the hook's signature
        """Hide what was read."""
        return None if value is None else Secret(value)


def enum_type(cls: type[StrEnum]) -> TypeEngine[Any]:
    """Return VARCHAR with a CHECK that holds an enumeration's values.

    Not a native ENUM: a publication's row filter refuses those, and changing
    one takes an ``ALTER TYPE`` on every shard.
    """
    name = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).lstrip("_")
    return Enum(
        cls,
        name=name,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def currency_check(column: str = "currency") -> CheckConstraint:
    """Return the CHECK that a currency is three capitals (ISO 4217's form)."""
    return CheckConstraint(f"{column} ~ '^[A-Z]{{3}}$'", name=column)


def not_blank(column: str) -> CheckConstraint:
    """Return the CHECK that a text holds more than white space."""
    return CheckConstraint(f"{column} ~ '[^[:space:]]'", name=column)


def same_home(owner: str) -> CheckConstraint:
    """Return the CHECK that a row's id carries the region of the row that it belongs to.

    It tells by the row alone, so it holds for every copy too, and stops no replication.

    Args:
        owner: the column with the owner's id.
    """
    return CheckConstraint(f"{HOME_CODE} = get_byte(uuid_send({owner}), 7)", name="home")


def home_unique(name: str, *columns: str) -> Index:
    """Return a unique index of a global table, one name space per home region.

    A duplicate that arrived from another shard would stop its subscription, so
    uniqueness of a copied table always includes the home region.
    """
    return Index(name, text(f"({HOME_CODE})"), *columns, unique=True)
