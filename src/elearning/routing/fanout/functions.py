"""The functions of PostgreSQL that are known to give the same on every shard."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql.functions import FunctionElement

from elearning.errors import NotMergeable

__all__ = ["AGGREGATES", "CLOCKS", "check_function", "name_of"]

AGGREGATES = frozenset(
    """
    array_agg avg bit_and bit_or bool_and bool_or count every json_agg jsonb_agg
    jsonb_object_agg max min mode percentile_cont percentile_disc stddev stddev_pop
    stddev_samp string_agg sum var_pop var_samp variance
    """.split()  # noqa: SIM905 - many words read better without quotes
)
"""Functions over the rows of a group."""

_BY_ROW = frozenset(
    """
    abs btrim ceil char_length coalesce concat date_trunc floor get_byte greatest jsonb_build_object
    least left length lower ltrim mod nullif replace right round rtrim split_part strpos
    substr substring timezone trim trunc upper uuid_send
    """.split()  # noqa: SIM905
)
"""Functions of one row's values alone."""

_WINDOWS = frozenset(
    """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
    """.split()  # noqa: SIM905
)

CLOCKS = frozenset(
    [
        "clock_timestamp",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "statement_timestamp",
        "sysdate",
        "transaction_timestamp",
    ]
)


def name_of(function: FunctionElement[Any]) -> str:
    """Return the name of a function, with its package, in small letters."""
    return ".".join(str(name) for name in (*function.packagenames, function.name)).lower()


def check_function(function: FunctionElement[Any]) -> None:
    """Check that a function gives the same on every shard.

    Raises:
        NotMergeable: it tells the time, or it is not known.
    """
    name = name_of(function)
    if name in CLOCKS:
        raise NotMergeable(
            reason=f"each server has a clock of its own, so {name}() differs; pass the time"
        )
    if name not in _BY_ROW | AGGREGATES | _WINDOWS:
        raise NotMergeable(
            reason=f"the function {name}() is not known to give the same on every shard"
        )
