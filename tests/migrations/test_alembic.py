from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.util import CommandError

from elearning.cluster.migrations import alembic_config
from elearning.config import Settings
from elearning.models import HEAD, REVISIONS
from tests.migrations.support import (
    ROOT,
    alembic,
    catalog,
    drifts,
    execute,
    hosted,
    passwords,
    revision,
    schema,
)

ALL = len(REVISIONS)


def run(
    settings: Settings,
    what: Callable[..., Any],
    *words: str,
    x: tuple[str, ...] = (),
    scripts: Path | None = None,
    **options: Any,
) -> str:
    """Run a command of Alembic in this process, and return what it prints."""
    config = alembic_config(settings, scripts=scripts)
    config.cmd_opts = Namespace(x=list(x))
    config.stdout = config.output_buffer = StringIO()
    what(config, *words, **options)
    return config.stdout.getvalue()


def written(scripts: Path) -> list[Path]:
    known = {path.name for path in (ROOT / "alembic" / "versions").glob("*.py")}
    return [path for path in (scripts / "versions").glob("*.py") if path.name not in known]


@pytest.mark.parametrize(
    ("x", "name"), [("shard=eu", "eu"), ("region=asia", "eu"), ("region=africa", "na")]
)
def test_one_shard_alone(blank: Settings, x: str, name: str) -> None:
    told = run(blank, command.upgrade, "0002", x=(x,))
    assert told == f"{name}: at 0002, 2 revision(s) run\n"
    assert {shard.name: revision(shard) for shard in blank.shards} == {
        "na": None,
        "eu": None,
    } | {name: "0002"}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (("shard=mars",), "has no shard 'mars', only na, eu"),
        (("region=mars",), "unknown region 'mars': expected one of north_america"),
        (("planet=mars",), "-x planet is unknown: there are -x shard= and -x region="),
        (("shard=eu", "region=asia"), "-x shard= and -x region= exclude each other"),
        (("shard",), "has no shard ''"),
    ],
)
def test_a_word_after_x_that_means_nothing(
    blank: Settings, x: tuple[str, ...], message: str
) -> None:
    for what, words in (
        (command.upgrade, ("head",)),
        (command.downgrade, ("base",)),
        (command.current, ()),
    ):
        with pytest.raises(CommandError) as refused:
            run(blank, what, *words, x=x)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)
    assert [catalog(shard) for shard in blank.shards] == [{}, {}]


def test_an_error_is_one_line(blank: Settings) -> None:
    na, eu = blank.shards
    silent = replace(na, owner=na.owner_url.set(port=1))
    done = alembic(replace(blank, shards=(silent, eu)), "upgrade", "head")
    assert done.code != 0
    (line,) = (done.out + done.err).splitlines()
    assert line.startswith("FAILED: na-primary at 127.0.0.1:1 is not available: ")
    assert not any(word in line for word in passwords(blank))


def test_statements_offline_do_the_same(blank: Settings, filled: Settings) -> None:
    done = alembic(blank, "-x", "shard=eu", "upgrade", "head", "--sql")
    assert (done.code, done.err) == (0, "")
    assert revision(blank.shard("eu")) is None
    execute(blank.shard("eu").owner_url, done.out)
    online = filled.shard("eu")
    assert revision(blank.shard("eu")) == HEAD
    assert catalog(blank.shard("eu")) == catalog(online)
    assert hosted(blank.shard("eu")) == hosted(online) == [5, 6]
    assert drifts(replace(blank, shards=(blank.shard("eu"),))) == []


def test_statements_offline_for_some_revisions(blank: Settings) -> None:
    eu = blank.shard("eu")
    for words, reached in (
        ("0003", "0003"),
        ("0003:0004", "0004"),
        ("0004:head", HEAD),
    ):
        execute(eu.owner_url, run(blank, command.upgrade, words, x=("shard=eu",), sql=True))
        assert revision(eu) == reached
    assert drifts(replace(blank, shards=(eu,))) == []
    execute(eu.owner_url, run(blank, command.downgrade, f"{HEAD}:base", x=("shard=eu",), sql=True))
    assert schema(eu) == {}


def test_statements_offline_are_those_of_one_shard(blank: Settings) -> None:
    with pytest.raises(CommandError, match="of one shard: add -x shard=NAME"):
        run(blank, command.upgrade, "head", sql=True)
    alone = replace(blank, shards=blank.shards[:1])
    assert "CREATE TABLE users" in run(alone, command.upgrade, "head", sql=True)


def test_current_and_history_tell_of_each_shard(blank: Settings) -> None:
    run(blank, command.upgrade, "0002", x=("shard=na",))
    run(blank, command.upgrade, "head", x=("shard=eu",))
    assert run(blank, command.current) == f"shard na:\n0002\nshard eu:\n{HEAD} (head)\n"
    assert len(run(blank, command.history).splitlines()) == ALL
    told = run(blank, command.history, indicate_current=True)
    _, na, eu = told.split("shard ")
    assert [line.split(",")[0] for line in na.splitlines() if "(current)" in line] == [
        "0001 -> 0002 (current)"
    ]
    assert [line.split(",")[0] for line in eu.splitlines() if "(current)" in line] == [
        f"{REVISIONS[-2]} -> {HEAD} (head) (current)"
    ]


def test_downgrade_reaches_every_shard(filled: Settings) -> None:
    assert run(filled, command.downgrade, "-1") == "".join(
        f"{shard}: at {REVISIONS[-2]}, 1 revision(s) run\n" for shard in ("na", "eu")
    )
    assert run(filled, command.downgrade, "base") == "".join(
        f"{shard}: at base, {ALL - 1} revision(s) run\n" for shard in ("na", "eu")
    )
    assert [schema(shard) for shard in filled.shards] == [{}, {}]
    run(filled, command.upgrade, "head")
    assert drifts(filled) == []


def test_stamp_writes_the_record_of_a_shard(filled: Settings) -> None:
    na, eu = filled.shards
    before = catalog(na)
    execute(na.owner_url, "DROP TABLE alembic_version")
    execute(eu.owner_url, "UPDATE alembic_version SET version_num = 'lost'")
    with pytest.raises(CommandError, match="'alembic -x shard=na stamp REVISION' writes it"):
        run(filled, command.upgrade, "head")
    run(filled, command.stamp, HEAD, x=("shard=na",))
    run(filled, command.stamp, HEAD, x=("shard=eu",), purge=True)
    assert [revision(shard) for shard in filled.shards] == [HEAD, HEAD]
    assert run(filled, command.upgrade, "head").count("nothing to do") == 2
    assert catalog(na) == catalog(eu) == before


def test_check_looks_at_every_shard(filled: Settings) -> None:
    assert run(filled, command.check) == "No new upgrade operations detected.\n"
    for shard in filled.shards:
        execute(shard.owner_url, "ALTER TABLE user_profiles DROP COLUMN bio")
    with pytest.raises(CommandError, match=r"New upgrade operations detected: .*bio") as found:
        run(filled, command.check)
    assert str(found.value).count("'add_column'") == 1
    execute(filled.shards[1].owner_url, "ALTER TABLE users DROP COLUMN last_login")
    with pytest.raises(CommandError, match="the shards differ from each other"):
        run(filled, command.check)


def test_autogenerate_finds_nothing(filled: Settings, scripts: Path) -> None:
    run(filled, command.revision, message="nothing", autogenerate=True, scripts=scripts)
    (file,) = written(scripts)
    text = file.read_text("utf-8")
    assert f"down_revision = {HEAD!r}" in text
    assert text.count("    pass\n") == 2
    assert "op.add_column" not in text


def test_autogenerate_writes_what_all_shards_lack_once(filled: Settings, scripts: Path) -> None:
    before = catalog(filled.shards[0])
    for shard in filled.shards:
        execute(
            shard.owner_url,
            "ALTER TABLE user_profiles DROP COLUMN bio",
            "DROP INDEX idx_transactions_refund_of_id",
        )
    run(filled, command.revision, message="bio", autogenerate=True, scripts=scripts)
    (file,) = written(scripts)
    text = file.read_text("utf-8")
    calls = re.findall(r"op\.(\w+_\w+)\((?:op\.f\()?'(\w+)'", text)
    assert calls == [
        ("create_index", "idx_transactions_refund_of_id"),
        ("add_column", "user_profiles"),
        ("drop_column", "user_profiles"),
        ("drop_index", "idx_transactions_refund_of_id"),
    ]
    # What it wrote can be run, and brings back what was there.
    told = run(filled, command.upgrade, "head", scripts=scripts)
    assert told.count("1 revision(s) run") == 2
    assert [catalog(shard) for shard in filled.shards] == [before, before]
    run(filled, command.check, scripts=scripts)


@pytest.mark.parametrize("first", [True, False])
def test_autogenerate_refuses_shards_that_differ(
    filled: Settings, scripts: Path, first: bool
) -> None:
    shard = filled.shards[0 if first else 1]
    execute(shard.owner_url, "ALTER TABLE user_profiles DROP COLUMN bio")
    with pytest.raises(CommandError) as refused:
        run(filled, command.revision, message="bio", autogenerate=True, scripts=scripts)
    assert str(refused.value) == (
        "shard all: the shards differ from each other: 'elearning migrate --check' tells how"
    )
    assert written(scripts) == []


def test_autogenerate_wants_shards_at_head(blank: Settings, scripts: Path) -> None:
    run(blank, command.upgrade, "0004")
    with pytest.raises(CommandError, match="Target database is not up to date"):
        run(blank, command.revision, message="x", autogenerate=True, scripts=scripts)
    assert written(scripts) == []
