"""How long things take, compared fairly: in turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import median
from time import perf_counter

from rich.table import Table

Contenders = Mapping[str, Callable[[], object]]
Times = Mapping[str, list[float]]
"""Seconds, by the name of the contender."""


def measure(
    contenders: Contenders,
    rounds: int,
    *,
    warm_up: int = 0,
    before: Callable[[str], object] | None = None,
    after: Callable[[str], object] | None = None,
) -> dict[str, list[float]]:
    """Run each contender once a round, and return the times of each.

    Args:
        contenders: by name.
        rounds: how often each one runs.
        warm_up: rounds before those, which do not count.
        before: is told whose turn it is, and what it does is not timed.
        after: the same, at the end of the turn.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(warm_up + rounds):
        # Each one comes first in its turn: nobody always runs after the slowest.
        names = [*names[1:], names[0]]
        for name in names:
            if before:
                before(name)
            start = perf_counter()
            contenders[name]()
            seconds = perf_counter() - start
            if after:
                after(name)
            if number >= warm_up:
                times[name].append(seconds)
    return times


def compare(title: str, contenders: Contenders, rounds: int) -> Table:
    """Run each contender once a round and return a table of medians and speeds.

    Args:
        title: of the table.
        contenders: by name; the first is what the others are compared with.
        rounds: how often each one runs; a tenth of it more to warm up.
    """
    times = measure(contenders, rounds, warm_up=rounds // 10)
    base = median(next(iter(times.values())))
    table = Table("", "median µs", "p95 µs", "speed, of the first", title=title)
    for name, measured in times.items():
        p95 = sorted(measured)[int(len(measured) * 0.95)]
        middle = median(measured)
        table.add_row(name, f"{middle * 1e6:,.0f}", f"{p95 * 1e6:,.0f}", f"{base / middle:.2f}")
    return table


def ratios(title: str, groups: Iterable[Times], targets: Mapping[str, str] | None = None) -> Table:
    """Return a table of medians, each with its ratio to the first one of its group.

    Args:
        title: of the table.
        groups: what belongs together.
        targets: what a ratio is to be, by the name of the contender.
    """
    table = Table("", "median", "ratio", "target", title=title)
    for times in groups:
        base = median(next(iter(times.values())))
        for name, measured in times.items():
            middle = median(measured)
            target = (targets or {}).get(name, "")
            table.add_row(name, _duration(middle), f"{middle / base:.2f}", target)
        table.add_section()
    return table


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:,.2f} {unit}"
    return f"{seconds * 1e6:,.1f} µs"
