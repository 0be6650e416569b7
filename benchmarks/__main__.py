"""All benchmarks, side by side in one run on the same servers: ``make bench``.

Figures of one run compare with each other and with nothing else: machines are
noisy, so a table tells ratios.
"""

from __future__ import annotations

import logging

from rich.console import Console

from benchmarks import (
    catalog,
    crowd,
    fan_out,
    figures,
    guard,
    lists,
    migrations,
    progress,
    reads,
    routing,
    tokens,
    worldwide,
    writes,
)
from elearning.routing import Engines
from elearning.testing.databases import migrated_cluster


def main() -> None:
    """Run all benchmarks and print a table for each."""
    console = Console(highlight=False)
    # What a benchmark breaks need not be told.
    logging.getLogger("elearning.routing").setLevel(logging.ERROR)
    console.print("starting three primaries, three replicas and MongoDB …")
    # Durable, for a commit that waits for no disk would flatter all that commits.
    with migrated_cluster(durable=True) as (cluster, settings):
        with Engines(settings) as engines:
            for benchmark in (
                reads.point_reads,
                reads.async_point_reads,
                routing.decisions,
                routing.reads,
                tokens.write_then_read,
                fan_out.three_shards,
                writes.enrollments,
                worldwide.enrollments,
                worldwide.registrations,
                worldwide.copies,
                progress.one_lesson,
                progress.many_lessons,
                guard.row_guard,
                catalog.searches,
                figures.statistics,
                lists.lists,
            ):
                console.print(benchmark(engines))
            console.print(crowd.crowd(engines, cluster))
        console.print(migrations.many_shards(cluster, settings))


main()
