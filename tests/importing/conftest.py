"""An empty home shard of europe, and a data set to import into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, insert, make_url, text

from elearning.models import Base, HostedRegion
from tests.importing.dataset import FILES, Dataset

APP = "elearning_import_app"
OPEN_APP = (
    f"DO $$ BEGIN CREATE ROLE {APP} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APP}",
)


@pytest.fixture(scope="session")
def scratch_database() -> Iterator[Engine]:
    if "SCRATCH_PG" not in os.environ:
        pytest.skip("SCRATCH_PG has no URL of a throw-away server's superuser")
    url = make_url(os.environ["SCRATCH_PG"])
    name = f"elearning_import_{uuid4().hex[:12]}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    owner = create_engine(url.set(database=name))
    Base.metadata.create_all(owner)
    with owner.begin() as connection:
        connection.execute(insert(HostedRegion), [{"region_code": 3}, {"region_code": 4}])
        for statement in OPEN_APP:
            connection.execute(text(statement))
    yield owner
    owner.dispose()
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def shard_engine(scratch_database: Engine) -> Iterator[Engine]:
    with scratch_database.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table is not HostedRegion.__table__:
                connection.execute(table.delete())
    engine = create_engine(scratch_database.url.set(username=APP))
    yield engine
    engine.dispose()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "oulad")
    made.folder.mkdir()
    for stem, lines in FILES.items():
        made.write(stem, lines)
    return made
