"""How long things take, compared fairly: in turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
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
    repeat: int = 1,
    before: Callable[[str], object] | None = None,
    after: Callable[[str], object] | None = None,
) -> dict[str, list[float]]:
    """Give each contender a turn in each round, and return its times.

    Args:
        contenders: by name.
        rounds: how many turns each one has.
        warm_up: rounds before those, which do not count.
        repeat: how often one runs in its turn, each time timed for itself.
        before: is told whose turn it is, and what it does is not timed.
        after: the same, at the end of the turn.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for name, counts in _turns(contenders, rounds, warm_up):
        if before:
            before(name)
        taken = [_seconds(contenders[name]) for _ in range(repeat)]
        if after:
            after(name)
        if counts:
            times[name] += taken
    return times


async def measure_async(
    contenders: Mapping[str, Callable[[], Awaitable[object]]],
    rounds: int,
    *,
    warm_up: int = 0,
    repeat: int = 1,
) -> dict[str, list[float]]:
    """Do as `measure` in the running event loop."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for name, counts in _turns(contenders, rounds, warm_up):
        taken = [await _seconds_async(contenders[name]) for _ in range(repeat)]
        if counts:
            times[name] += taken
    return times


def _turns(names: Iterable[str], rounds: int, warm_up: int) -> Iterator[tuple[str, bool]]:
    """Yield whose turn it is, and whether it counts."""
    names = list(names)
    order = Random(rounds)  # noqa: S311 - no secret
    for number in range(warm_up + rounds):
        # In another order each round: whoever always followed the same one would be marked by it.
        order.shuffle(names)
        for name in names:
            yield name, number >= warm_up


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
    """Return a table of medians, and how many times the first of its group each one takes.

    That is the median of the ratios in each round: a load that comes and goes meets both in
    a round alike, and moves the ratio of two medians far more.

    Args:
        title: of the table.
        groups: what belongs together.
        targets: what a ratio is to be, by the name of the contender.
    """
    table = Table("", "median", "ratio", "target", title=title)
    for times in groups:
        first = next(iter(times.values()))
        for name, measured in times.items():
            ratio = median(one / base for one, base in zip(measured, first, strict=True))
            target = (targets or {}).get(name, "")
            table.add_row(name, duration(median(measured)), f"{ratio:.2f}", target)
        table.add_section()
    return table


def differences(
    title: str,
    pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    targets: Mapping[str, str] | None = None,
) -> Table:
    """Return a table of what the second of each pair takes more than the first.

    That is the median of the differences in each round.

    Args:
        title: of the table.
        pairs: what is compared, each with its times without something and with it.
        targets: what a difference is to be, by the name of the pair.
    """
    table = Table("", "without", "with", "added", "target", title=title)
    for name, (without, with_it) in pairs.items():
        added = median(more - base for base, more in zip(without, with_it, strict=True))
        middles = (duration(median(times)) for times in (without, with_it))
        table.add_row(name, *middles, duration(added), (targets or {}).get(name, ""))
    return table


def speeds(title: str, times: Times, targets: Mapping[str, str], *, of: str) -> Table:
    """Return a table of medians, and of how many times as fast one is as each other.

    That is the median of the ratios in each round.

    Args:
        title: of the table.
        times: by contender.
        targets: what its speed is to be, by the other's name.
        of: the one whose speed is told.
    """
    table = Table("", "median", "p95", "times as fast", "target", title=title)
    for name, measured in times.items():
        p95 = sorted(measured)[int(len(measured) * 0.95)]
        speed = median(other / own for own, other in zip(times[of], measured, strict=True))
        told = "" if name == of else f"{speed:.2f}"
        table.add_row(name, duration(median(measured)), duration(p95), told, targets.get(name, ""))
    return table


async def _seconds_async(run: Callable[[], Awaitable[object]]) -> float:
    start = perf_counter()
    await run()
    return perf_counter() - start


def _seconds(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def duration(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= size:
            return f"{seconds / size:,.2f} {unit}"
    return f"{seconds * 1e6:,.1f} µs"
