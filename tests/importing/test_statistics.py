"""What the server believes of a table that was empty does not slow an import down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text

from elearning.config import Settings
from elearning.importing.oulad import import_oulad
from elearning.routing import Engines
from tests.importing.dataset import FILES, TOTALS, Dataset
from tests.snapshots import connect

STUDENTS = range(1000, 1100)
SITES = range(2000, 2040)
SUMS = [(student, site) for student in STUDENTS for site in SITES if (student + site) % 2]


@pytest.fixture
def owner(settings: Settings, engines: Engines) -> Iterator[psycopg.Connection[Any]]:
    with connect(settings.shard(engines.home("europe")).owner_url) as connection:
        yield connection


@pytest.fixture
def believed_empty(
    owner: psycopg.Connection[Any], shard_engine: Engine, dataset: Dataset
) -> Iterator[None]:
    """Let lesson_progress count as empty, however large its file is, until the test ends."""
    owner.execute("ALTER TABLE lesson_progress SET (autovacuum_enabled = off)")
    try:
        import_oulad(shard_engine, dataset.folder)
        owner.execute("DELETE FROM lesson_progress")
        owner.execute("ANALYZE lesson_progress")
        query = "SELECT reltuples, relpages > 0 FROM pg_class WHERE relname = 'lesson_progress'"
        assert owner.execute(query).fetchone() == (0, True)
        yield
    finally:
        owner.execute("ALTER TABLE lesson_progress RESET (autovacuum_enabled)")
        owner.execute("ANALYZE lesson_progress")


@pytest.mark.usefixtures("believed_empty")
def test_progress_is_not_read_once_for_each_sum(shard_engine: Engine, dataset: Dataset) -> None:
    course = "AAA,2013J"
    info = (f"{course},{each},M,Wales,HE Qualification,0-10%,0-35,0,60,N,Pass" for each in STUDENTS)
    dataset.write("vle", (*FILES["vle"], *(f"{each},{course},quiz,," for each in SITES)))
    dataset.write("studentInfo", (*FILES["studentInfo"], *info))
    registered = (f"{course},{each},0," for each in STUDENTS)
    dataset.write("studentRegistration", (*FILES["studentRegistration"], *registered))
    clicks = (f"{course},{student},{site},1,1" for student, site in SUMS)
    dataset.write("studentVle", (*FILES["studentVle"], *clicks))
    # One connection: it is the one that has counted what it read.
    engine = create_engine(shard_engine.url, pool_size=1, max_overflow=0)
    try:
        before = rows_read(engine)
        counts = import_oulad(engine, dataset.folder)
        read = rows_read(engine) - before
    finally:
        engine.dispose()
    assert counts.clicks == TOTALS["clicks"] + len(SUMS)
    # Each step reads all of it a time or two; once for each sum are 2,000 times.
    assert counts.progress < read < 10 * counts.progress


def rows_read(engine: Engine) -> int:
    """Return how many rows of lesson_progress were read so far, by this connection's account."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    with engine.connect() as connection:
        query = """
            SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables
            WHERE relname = 'lesson_progress'
        """
        return int(connection.execute(text(query)).scalar_one())
