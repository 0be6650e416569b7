"""How long things take, compared fairly: in turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

from rich.table import Table


def compare(title: str, contenders: dict[str, Callable[[], object]], rounds: int) -> Table:
    """Run each contender once a round and return a table of medians and ratios.

    Args:
        title: of the table.
        contenders: by name; the first is what the others are compared with.
        rounds: how often each one runs; a tenth of it more to warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + rounds // 10):
        for name, run in contenders.items():
            start = perf_counter()
            run()
            if number >= rounds // 10:
                times[name].append(perf_counter() - start)
    base = median(next(iter(times.values())))
    table = Table("", "median µs", "p95 µs", "speed, of the first", title=title)
    for name, measured in times.items():
        p95 = sorted(measured)[int(len(measured) * 0.95)]
        middle = median(measured)
        table.add_row(name, f"{middle * 1e6:,.0f}", f"{p95 * 1e6:,.0f}", f"{base / middle:.2f}")
    return table
