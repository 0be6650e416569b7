from __future__ import annotations

import json
from importlib.resources import files

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, pool

from elearning.cluster.embedded import EmbeddedCluster
from elearning.cluster.migrations import alembic_config, migrate
from elearning.config import Settings
from elearning.models import HEAD, REVISIONS, Base, grants
from tests.migrations.support import (
    Known,
    catalog,
    drifts,
    execute,
    hosted,
    revision,
    rows,
    schema,
    superuser,
)

pytestmark = pytest.mark.unmeasured

on_both = pytest.mark.parametrize("fresh", ["asia", "oldest"], indirect=True)


def shipped() -> dict[str, str]:
    file = files("elearning.cluster.migrations").joinpath("catalog.json")
    found: dict[str, str] = json.loads(file.read_text("utf-8"))
    return found


def without_record(found: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in found.items() if "alembic_version" not in name}


def without_doubt(found: dict[str, str]) -> dict[str, str]:
    return {name: text.removesuffix(" NOT VALID") for name, text in found.items()}


def test_the_revisions_are_those_of_the_folder(settings: Settings) -> None:
    script = ScriptDirectory.from_config(alembic_config(settings))
    found = [(each.revision, each.down_revision) for each in script.walk_revisions()]
    assert [revision for revision, _ in reversed(found)] == list(REVISIONS)
    assert [below for _, below in reversed(found)] == [None, *REVISIONS[:-1]]
    assert script.get_heads() == [HEAD]


@pytest.mark.parametrize(("fresh", "version"), [("asia", 18), ("oldest", 16)], indirect=["fresh"])
def test_head_is_what_the_release_ships(fresh: Settings, version: int) -> None:
    (shard,) = fresh.shards
    number = "SELECT current_setting('server_version_num')::int / 10000"
    assert rows(shard.owner_url, number) == [(version,)]
    assert [each.error for each in migrate(fresh)] == [None]
    assert catalog(shard) == shipped()
    assert hosted(shard) == [region.code for region in shard.regions]
    assert drifts(fresh) == []


@on_both
def test_the_models_make_the_same(fresh: Settings) -> None:
    (shard,) = fresh.shards
    Base.metadata.create_all(create_engine(shard.owner_url, poolclass=pool.NullPool))
    assert catalog(shard) == without_record(shipped())


@on_both
def test_down_to_base_and_up_again(fresh: Settings) -> None:
    (shard,) = fresh.shards
    assert [each.error for each in migrate(fresh)] == [None]
    command.downgrade(alembic_config(fresh), "base")
    assert revision(shard) is None
    left = rows(
        shard.owner_url,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace",
    )
    assert {name for (name,) in left} <= {
        "alembic_version",
        "_alembic_version",
        "alembic_version_pkc",
    }
    assert [each.error for each in migrate(fresh)] == [None]
    assert catalog(shard) == shipped()


@on_both
def test_each_downgrade_brings_back_what_was(fresh: Settings, known: Known) -> None:
    (shard,) = fresh.shards
    config = alembic_config(fresh)
    for below, above in zip(("base", *REVISIONS), REVISIONS, strict=False):
        command.upgrade(config, above)
        assert schema(shard) == known[above] != known[below]
        command.downgrade(config, below)
        assert revision(shard) == (None if below == "base" else below)
        # Constraints that 0004 has looked at stay so.
        assert schema(shard) == known[above if above == "0004" else below]
        command.upgrade(config, above)
    assert without_doubt(known["0004"]) == without_doubt(known["0003"])
    assert drifts(fresh) == []


@pytest.mark.parametrize("fresh", ["oldest"], indirect=True)
def test_a_role_that_is_made_later_is_granted_its_rights(
    oldest: EmbeddedCluster, fresh: Settings
) -> None:
    server = superuser(oldest, "oldest")
    execute(server, "ALTER ROLE elearning_reader RENAME TO somebody")
    try:
        assert [each.error for each in migrate(fresh)] == [None]
        assert drifts(fresh) == []
    finally:
        execute(server, "ALTER ROLE somebody RENAME TO elearning_reader")
    ((_, found, _),) = drifts(fresh)
    # It reads the tables and the record of revisions, uses the schema, and calls what searches.
    assert len(found) == len(Base.metadata.tables) + 2 + len(grants._SEARCH_CALLS)
    assert all(" to elearning_reader is missing:" in line for line in found)
    assert [each.error for each in migrate(fresh)] == [None]
    assert drifts(fresh) == []
