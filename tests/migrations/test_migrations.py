from __future__ import annotations

import re
from dataclasses import replace

import psycopg
import pytest

from elearning.cluster.mesh.settings import why_no_mesh
from elearning.cluster.migrations import alembic_config, migrate
from elearning.config import Settings
from elearning.errors import MisroutedRow
from elearning.models import HEAD, REVISIONS
from elearning.models.routines import FUNCTIONS, function_text
from elearning.regions import Region
from tests.migrations.support import Elearning, alembic, catalog, drifts, hosted, revision, rows

ALL = len(REVISIONS)


def test_alembic_does_the_same_as_migrate(blank: Settings, filled: Settings) -> None:
    done = alembic(blank, "upgrade", "head")
    assert (done.code, done.err) == (0, f"WARNI [elearning.migrations] {why_no_mesh(blank)}\n")
    assert done.out.splitlines() == [
        f"na: at {HEAD}, {ALL} revision(s) run",
        f"eu: at {HEAD}, {ALL} revision(s) run",
    ]
    for shard, migrated in zip(blank.shards, filled.shards, strict=True):
        assert revision(shard) == HEAD
        assert hosted(shard) == hosted(migrated) == [region.code for region in shard.regions]
        assert catalog(shard) == catalog(migrated)
    assert [(each.applied, each.error) for each in migrate(blank)] == [(0, None), (0, None)]


def test_shards_come_one_after_the_other(blank: Settings) -> None:
    na, eu = blank.shards
    results = migrate(blank)
    first = next(results)
    assert (first.shard, first.before, first.after, first.applied) == ("na", None, HEAD, ALL)
    assert (revision(na), revision(eu)) == (HEAD, None)
    second = next(results)
    assert (second.shard, second.before, second.after, second.applied) == ("eu", None, HEAD, ALL)
    assert (first.error, second.error, next(results, None)) == (None, None, None)
    assert first.seconds > 0
    assert second.seconds > 0


def test_every_shard_goes_on_from_its_own_revision(blank: Settings) -> None:
    assert [each.after for each in migrate(blank, "0002", shards=["na"])] == ["0002"]
    assert [each.after for each in migrate(blank, "0004", shards=["eu"])] == ["0004"]
    assert [(each.before, each.after, each.applied) for each in migrate(blank)] == [
        ("0002", HEAD, ALL - 2),
        ("0004", HEAD, ALL - 4),
    ]
    assert drifts(blank) == []


def test_two_processes_do_the_same_as_one(
    blank: Settings, filled: Settings, elearning: Elearning
) -> None:
    done = elearning(blank, "migrate", "--jobs", "2")
    header, *lines = done.out.splitlines()
    assert (done.code, done.err) == (0, f"{why_no_mesh(blank)}\n")
    assert header.split() == ["shard", "from", "to", "time"]
    line = rf"✓ (\w+) +- +{HEAD} +\d+\.\d s  {ALL} revision\(s\) run"
    assert sorted(re.findall(line, "\n".join(lines))) == ["eu", "na"]
    for shard, alone in zip(blank.shards, filled.shards, strict=True):
        assert catalog(shard) == catalog(alone)
        assert hosted(shard) == hosted(alone)


def test_the_command_for_one_shard_and_revision(blank: Settings, elearning: Elearning) -> None:
    na, eu = blank.shards
    done = elearning(blank, "migrate", "--region", "oceania", "--to", "0003")
    assert re.findall(r"✓ (\w+) +- +(\w+)", done.out) == [("eu", "0003")]
    assert (revision(na), revision(eu)) == (None, "0003")
    done = elearning(blank, "migrate", "--shard", "eu")
    assert re.findall(r"✓ (\w+) +(\w+) +(\w+)", done.out) == [("eu", "0003", HEAD)]
    assert (revision(na), revision(eu)) == (None, HEAD)


def test_settings_that_move_a_region_are_brought_to_the_shards(filled: Settings) -> None:
    na, eu = filled.shards
    more = replace(na, regions=(*na.regions, Region.ASIA))
    moved = replace(filled, shards=(more, replace(eu, regions=(Region.OCEANIA,))))
    assert [each.error for each in migrate(moved)] == [None, None]
    assert (hosted(na), hosted(eu)) == ([1, 2, 3, 4, 5], [6])
    empty = replace(moved, shards=(more, replace(eu, regions=())))
    assert [each.error for each in migrate(empty)] == [None, None]
    assert hosted(eu) == []


def test_a_new_empty_shard_joins_with_one_command(
    settings: Settings, grown: Settings, elearning: Elearning
) -> None:
    # How courses are copied to it is told by the tests of the mesh.
    grown = replace(grown, shards=tuple(replace(shard, replication=None) for shard in grown.shards))
    done = elearning(grown, "migrate")
    told = re.findall(r"✓ (\w+) +(\S+) +(\w+) +\d+\.\d s  (.*)", done.out)
    assert (done.code, done.err) == (0, f"{why_no_mesh(grown)}\n")
    assert told == [
        *((shard.name, HEAD, HEAD, "nothing to do") for shard in settings.shards),
        ("new", "-", HEAD, f"{ALL} revision(s) run"),
    ]
    assert drifts(grown) == []
    new = grown.shard("new")
    user = rows(new.primary, "SELECT current_user, (SELECT count(*) FROM users)")
    assert user == [("elearning_app", 0)]
    register = (
        "SELECT create_user_with_profile('oceania', 'ada@example.com', '$x', 'Ada', 'Obi') "
        "IS NOT NULL"
    )
    # It hosts no region yet.
    with pytest.raises(psycopg.Error) as refused:
        rows(new.primary, register)
    assert refused.value.sqlstate == MisroutedRow.sqlstate
    alone = replace(grown, shards=(replace(new, regions=(Region.OCEANIA,)),))
    assert [each.error for each in migrate(alone)] == [None]
    assert rows(new.primary, register) == [(True,)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_one_file_that_names_it(name: str) -> None:
    text = function_text(name)
    assert f"CREATE OR REPLACE FUNCTION {name}(" in text
    assert text.startswith("-- ")


def test_the_configuration_of_all_shards(settings: Settings) -> None:
    config = alembic_config(settings)
    assert config.get_main_option("script_location")
    assert config.attributes["settings"] is settings
