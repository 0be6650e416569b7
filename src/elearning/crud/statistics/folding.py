"""Counters that are added up from time to time."""

from __future__ import annotations

from sqlalchemy import func, select

from elearning.crud.statements import Executor

__all__ = ["fold_platform_counters"]


def fold_platform_counters(executor: Executor) -> int:
    """Add the changes of a shard's counters up, and return how many rows that saved.

    Nobody waits for it, and it waits for nobody; what anybody reads stays the same.
    """
    return int(executor.execute(select(func.fold_platform_counters())).scalar_one())
