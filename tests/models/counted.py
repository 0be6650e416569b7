"""What statistics count, by plain SQL over the tables and by the counters that triggers keep."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

__all__ = ["counters", "differences"]

Figures = dict[tuple[Any, ...], tuple[int, ...]]

# The last columns are numbers, as many as the name says; the others tell what they are of.
_PAIRS: dict[tuple[str, int], tuple[str, str]] = {
    ("course_months", 4): (
        """
        SELECT course_id::text, region_code_of(id),
            date_trunc('month', enrollment_date AT TIME ZONE 'UTC')::date, count(*),
            count(*) FILTER (WHERE completed_lessons > 0 OR status = 'completed'),
            count(*) FILTER (WHERE status = 'completed'),
            count(*) FILTER (WHERE status IN ('dropped', 'expired'))
        FROM enrollments GROUP BY 1, 2, 3
        """,
        """
        SELECT course_id::text, region_code, month, enrolled, started, completed, ended
        FROM course_months
        """,
    ),
    ("course_revenue", 4): (
        """
        SELECT course_id::text, region_code_of(id),
            date_trunc('month', completed_at AT TIME ZONE 'UTC')::date, currency,
            count(*) FILTER (WHERE transaction_type <> 'refund'),
            coalesce(sum(amount) FILTER (WHERE transaction_type <> 'refund'), 0),
            count(*) FILTER (WHERE transaction_type = 'refund'),
            coalesce(sum(amount) FILTER (WHERE transaction_type = 'refund'), 0)
        FROM transactions WHERE status = 'completed' AND course_id IS NOT NULL GROUP BY 1, 2, 3, 4
        """,
        """
        SELECT course_id::text, region_code, month, currency, payments, paid, refunds, refunded
        FROM course_revenue
        """,
    ),
    ("platform_counters", 1): (
        """
        SELECT 'users', user_type || ' ' || status, region_code_of(id),
            date_trunc('month', created_at AT TIME ZONE 'UTC')::date, '', count(*)
        FROM users GROUP BY 2, 3, 4
        UNION ALL
        SELECT 'courses', status, region_code_of(id), NULL, '', count(*)
        FROM courses WHERE region_code_of(id) IN (SELECT region_code FROM hosted_regions)
        GROUP BY 2, 3
        UNION ALL
        SELECT 'reviews', part.detail, region_code_of(id), NULL, '', sum(part.number)
        FROM course_reviews, LATERAL (VALUES ('number', 1), ('rating_sum', rating))
            AS part (detail, number)
        WHERE hidden_at IS NULL GROUP BY 2, 3
        UNION ALL
        SELECT 'enrollments', part.detail, region_code_of(id),
            date_trunc('month', enrollment_date AT TIME ZONE 'UTC')::date, '', count(*)
        FROM enrollments, LATERAL (
            VALUES ('enrolled', true), ('completed', status = 'completed'),
                ('started', completed_lessons > 0 OR status = 'completed'),
                ('ended', status IN ('dropped', 'expired'))
        ) AS part (detail, holds)
        WHERE part.holds GROUP BY 2, 3, 4
        UNION ALL
        SELECT 'revenue', part.detail, region_code_of(id),
            date_trunc('month', completed_at AT TIME ZONE 'UTC')::date, currency, sum(part.number)
        FROM transactions, LATERAL (
            VALUES (CASE transaction_type WHEN 'refund' THEN 'refunds' ELSE 'payments' END, 1),
                (CASE transaction_type WHEN 'refund' THEN 'refunded' ELSE 'paid' END, amount)
        ) AS part (detail, number)
        WHERE status = 'completed' GROUP BY 2, 3, 4, 5
        """,
        """
        SELECT name, detail, region_code, month, currency, sum(change)
        FROM platform_counters GROUP BY 1, 2, 3, 4, 5
        """,
    ),
}


def differences(executor: Connection | Session) -> list[Any]:
    """Return what the counters of a shard tell otherwise than its tables."""
    wrong: list[Any] = []
    for (name, numbers), (counted, kept) in _PAIRS.items():
        expected, found = (_figures(executor, sql, numbers) for sql in (counted, kept))
        wrong += [
            (name, key, expected.get(key), found.get(key))
            for key in expected.keys() | found.keys()
            if expected.get(key) != found.get(key)
        ]
    return wrong


def counters(executor: Connection | Session, name: str) -> dict[str, int]:
    """Return counters of the platform of one name: their sums, by detail."""
    rows = executor.execute(
        text(
            "SELECT trim(detail || ' ' || currency), sum(change) FROM platform_counters "
            "WHERE name = :name GROUP BY 1 HAVING sum(change) <> 0"
        ),
        {"name": name},
    )
    return {detail: int(change) for detail, change in rows}


def _figures(executor: Connection | Session, statement: str, numbers: int) -> Figures:
    rows = [tuple(row) for row in executor.execute(text(statement))]
    figures = {row[:-numbers]: tuple(map(int, row[-numbers:])) for row in rows}
    return {key: values for key, values in figures.items() if any(values)}
