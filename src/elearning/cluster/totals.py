"""How much the platform holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from psycopg import Connection

from elearning.money import from_minor

__all__ = ["Totals", "count_rows", "sum_up"]


@dataclass(slots=True)
class Totals:
    """What the platform holds; ``missing`` names what could not be counted."""

    users: int = 0
    courses: int = 0
    enrollments: int = 0
    revenue: dict[str, Decimal] = field(default_factory=dict)
    documents: int = 0
    missing: list[str] = field(default_factory=list)


def count_rows(connection: Connection[tuple[Any, ...]]) -> Totals:
    """Count what one shard is the home of."""
    users, courses, enrollments = connection.execute(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM courses "
        "WHERE get_byte(uuid_send(id), 7) IN (SELECT region_code FROM hosted_regions)), "
        "(SELECT count(*) FROM enrollments)"
    ).fetchone() or (0, 0, 0)
    revenue = connection.execute(
        "SELECT currency, sum(CASE transaction_type WHEN 'refund' THEN -amount ELSE amount END) "
        "FROM transactions WHERE status = 'completed' GROUP BY currency"
    ).fetchall()
    return Totals(
        users,
        courses,
        enrollments,
        {currency: from_minor(int(amount), currency) for currency, amount in revenue},
    )


def sum_up(counted: dict[str, Totals], expected: Iterable[str]) -> Totals:
    """Add up what was counted; what was expected and is not there is named."""
    total = Totals(missing=[name for name in expected if name not in counted])
    for each in counted.values():
        total.users += each.users
        total.courses += each.courses
        total.enrollments += each.enrollments
        total.documents += each.documents
        for currency, amount in each.revenue.items():
            total.revenue[currency] = total.revenue.get(currency, Decimal(0)) + amount
    return total
