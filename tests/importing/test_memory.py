"""Rows stream: memory does not grow with a file."""

from __future__ import annotations

import tracemalloc

import pytest
from sqlalchemy import Engine

from elearning.importing.oulad import import_oulad
from tests.importing.dataset import FILES, Dataset

pytestmark = pytest.mark.unmeasured
ROWS = 40_000  # kept in memory, they take 16 MB
MEGABYTE = 2**20


def test_memory_is_bounded(shard_engine: Engine, dataset: Dataset) -> None:
    # Once without measuring: caches of statements and of the driver fill.
    import_oulad(shard_engine, dataset.folder)
    header = FILES["studentVle"][0]
    with (dataset.folder / "studentVle.csv").open("w") as file:
        file.write(f"{header}\n")
        file.writelines(f"AAA,2013J,11,501,{number % 250},1\n" for number in range(ROWS))
    tracemalloc.start()
    try:
        counts = import_oulad(shard_engine, dataset.folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts.clicks == ROWS - 6
    assert peak < 2 * MEGABYTE
