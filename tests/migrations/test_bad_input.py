from __future__ import annotations

from math import inf

import pytest
from alembic import command
from alembic.util import CommandError

from elearning.cluster.migrations import alembic_config, check_drift, migrate
from elearning.config import Settings
from elearning.errors import InvalidInput, SettingsError
from elearning.models import HEAD
from tests.migrations.support import (
    Elearning,
    drifts,
    error_of,
    execute,
    passwords,
    unchanged,
    with_owner,
)

REPAIRED = [None, None]


def test_an_unknown_shard(filled: Settings, elearning: Elearning) -> None:
    with unchanged(filled):
        for run in (migrate, check_drift):
            with pytest.raises(SettingsError, match="has no shard 'mars', only na, eu"):
                list(run(filled, shards=["eu", "mars"]))
        for words in (("--shard", "mars"), ("--region", "mars"), ("--check", "--shard", "mars")):
            done = elearning(filled, "migrate", *words)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
            assert "'mars'" in done.err


def test_an_unknown_revision(blank: Settings, elearning: Elearning) -> None:
    unknown = "Can't locate revision identified by '9999'"
    with unchanged(blank):
        assert [each.error for each in migrate(blank, "9999")] == [unknown, unknown]
        done = elearning(blank, "migrate", "--to", "9999")
    assert done.code == 1
    assert done.out.count(unknown) == 2


def test_a_shard_that_does_not_answer(filled: Settings, elearning: Elearning) -> None:
    eu = filled.shard("eu")
    for change, problem in (
        ({"port": 1}, "eu-primary at 127.0.0.1:1 is not available: "),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"password": "wr0ng"}, "password authentication failed"),
        ({"username": "nobody"}, "nobody"),
    ):
        there = with_owner(filled, eu.owner_url.set(**change))
        assert problem in error_of(there)
        done = elearning(there, "migrate", "--check")
        assert done.code == 1
        assert problem in done.out
        assert not any(word in done.out for word in passwords(there))


def test_a_shard_that_a_newer_release_has_migrated(filled: Settings, elearning: Elearning) -> None:
    execute(filled.shard("eu").owner_url, "UPDATE alembic_version SET version_num = '0099'")
    ahead = (
        "shard eu: is at revision 0099, which this release does not know "
        f"(its newest is {HEAD}): migrate with the newer release"
    ).replace("eu: is", "eu is")
    with unchanged(filled):
        assert error_of(filled) == ahead
        assert drifts(filled) == [("eu", (), ahead)]
        for what, revision in ((command.upgrade, "head"), (command.downgrade, "base")):
            config = alembic_config(filled, "eu")
            with pytest.raises(CommandError) as refused:
                what(config, revision)
            assert str(refused.value) == ahead
        done = elearning(filled, "migrate")
    assert (done.code, done.out.count(ahead), done.out.count("nothing to do")) == (1, 1, 1)


def test_a_url_in_the_configuration(blank: Settings) -> None:
    config = alembic_config(blank)
    url = blank.shard("eu").owner_url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", url)
    with unchanged(blank), pytest.raises(CommandError) as refused:
        command.upgrade(config, "head")
    assert str(refused.value) == (
        "shard all: sqlalchemy.url is not read, the settings name the shards: see .env.example"
    )


def test_numbers_that_cannot_be(blank: Settings, elearning: Elearning) -> None:
    with unchanged(blank):
        for options in ({"jobs": 0}, {"jobs": -1}, {"lock_wait": -0.5}, {"lock_wait": inf}):
            with pytest.raises(InvalidInput, match="expected at least 1 and 0"):
                list(migrate(blank, **options))
        with pytest.raises(InvalidInput, match="the revision is empty"):
            list(migrate(blank, ""))
        done = elearning(blank, "migrate", "--check", "--to", "0001")
        assert (done.code, done.out) == (2, "")
        assert "leave out --to" in done.err
        for words in (("--jobs", "0"), ("--lock-wait", "-1"), ("--jobs", "two")):
            done = elearning(blank, "migrate", *words)
            assert (done.code, done.out) == (2, "")
            assert f"Invalid value for '{words[0]}'" in done.err
