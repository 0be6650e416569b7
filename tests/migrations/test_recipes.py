"""Every recipe of docs/migrations.md, executed as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from elearning.cluster.embedded import EmbeddedCluster
from elearning.config import Settings
from elearning.models import HEAD, REVISIONS
from tests.migrations.support import (
    ROOT,
    Done,
    alembic,
    environment,
    execute,
    rows,
    superuser,
    until,
)
from tests.snapshots import connect

pytestmark = pytest.mark.unmeasured

FENCE = re.compile(r"^```(\w+) (\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("alembic", "alembic.ini", "docs", "src")
SHIPPED = """
CREATE OR REPLACE FUNCTION free_seats(p_course_id uuid)
RETURNS bigint
LANGUAGE sql STABLE
RETURN (SELECT max_enrollments FROM courses WHERE id = p_course_id);
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of the page: its language, and the recipe and the files it belongs to."""

    language: str
    recipe: str
    files: tuple[str, ...]
    text: str


def blocks(recipe: str, language: str) -> list[Block]:
    page = (ROOT / "docs" / "migrations.md").read_text("utf-8")
    found = [
        Block(fence[1], fence[2], tuple((fence[3] or "").split()), fence[4])
        for fence in FENCE.finditer(page)
    ]
    chosen = [each for each in found if (each.recipe, each.language) == (recipe, language)]
    assert chosen
    return chosen


@dataclass(frozen=True)
class Checkout:
    """A copy of the project, for a recipe to change."""

    folder: Path
    settings: Settings

    def write(self, recipe: str, *languages: str) -> None:
        for language in languages:
            for block in blocks(recipe, language):
                for name in block.files:
                    self.put(name, block.text)

    def put(self, name: str, text: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def replace(self, name: str, before: str, after: str) -> None:
        file = self.folder / name
        text = file.read_text("utf-8")
        assert text.count(before) == 1, f"{before!r} in {name}"
        file.write_text(text.replace(before, after), "utf-8")

    def patch(self, recipe: str) -> None:
        """Apply the differences, each of which begins with the name of its file."""
        for block in blocks(recipe, "diff"):
            for part in block.text.split("--- ")[1:]:
                name, *lines = part.splitlines()
                before = "\n".join(line[1:] for line in lines if line[0] != "+")
                after = "\n".join(line[1:] for line in lines if line[0] != "-")
                self.replace(name, before, after)

    def run(self, text: str) -> Done:
        """Run lines of a shell, with this copy as the package."""
        own = {"PYTHONPATH": str(self.folder / "src")}
        return shell(text, self.folder, environment(self.settings) | own)

    def shell(self, recipe: str) -> str:
        """Run a recipe's commands, and return what they print."""
        printed = ""
        for block in blocks(recipe, "sh"):
            done = self.run(f"set -e\n{block.text}")
            assert done.code == 0, done.out + done.err
            printed += done.out
        return printed


def shell(text: str, folder: Path, variables: dict[str, str]) -> Done:
    """Run lines of a shell that finds the commands of this environment first."""
    done = subprocess.run(
        ["/bin/sh", "-u"],
        input=text,
        cwd=folder,
        env=variables | {"PATH": f"{Path(sys.executable).parent}:{variables['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def checkout(blank: Settings, tmp_path: Path) -> Checkout:
    assert alembic(blank, "upgrade", "head").code == 0
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return Checkout(tmp_path, blank)


def columns(settings: Settings) -> set[tuple[object, ...]]:
    statement = (
        "SELECT data_type, character_maximum_length FROM information_schema.columns "
        "WHERE table_name = 'users' AND column_name = 'nickname'"
    )
    return {row for shard in settings.shards for row in rows(shard.owner_url, statement)}


def test_add_a_column_then_change_routines(checkout: Checkout, cluster: EmbeddedCluster) -> None:
    settings = checkout.settings
    checkout.patch("column")
    printed = checkout.shell("column")
    assert columns(settings) == {("character varying", 50)}
    assert printed.count("no difference(s) from 0010") == len(settings.shards)

    checkout.write("body", "sql", "python")
    # What an earlier release has shipped.
    checkout.put("alembic/routines/0012/free_seats.sql", SHIPPED)
    later = blocks("beside", "python")[0].text.replace("free_seats_v2", "free_seats")
    shipped = later.replace("0012", "0011").replace("0013", "0012")
    checkout.put("alembic/versions/0012_free_seats.py", shipped)
    migrated(checkout, "0012")
    assert source(settings, "update_modified_timestamp").count("GREATEST") == 1
    execute(settings.shards[0].owner_url, "SELECT free_seats(NULL)")

    checkout.write("beside", "sql", "python")
    migrated(checkout, "0013")
    # The old release and the new one, side by side.
    execute(
        settings.shards[0].owner_url, "SELECT free_seats(NULL)", "SELECT free_seats_v2(NULL, 1)"
    )

    checkout.write("after", "python")
    migrated(checkout, "0014")
    assert source(settings, "free_seats") == ""
    # The models follow, and who may call it.
    checkout.replace(
        "src/elearning/models/routines.py",
        '    "enroll_user",',
        '    "enroll_user",\n    "free_seats_v2",',
    )
    checkout.replace(
        "src/elearning/models/grants.py",
        '    "enroll_user",',
        '    "enroll_user",\n    "free_seats_v2",',
    )
    checkout.replace(
        "src/elearning/models/revisions.py", '"0010")', '"0010", "0011", "0012", "0013", "0014")'
    )
    done = checkout.run("elearning migrate")
    assert done.code == 0, done.out + done.err
    execute(settings.shards[0].primary, "SELECT free_seats_v2(NULL, 1)")

    done = checkout.run("alembic downgrade 0010")
    assert done.code == 0, done.err
    assert "GREATEST" not in source(settings, "update_modified_timestamp")


def migrated(checkout: Checkout, revision: str) -> None:
    done = checkout.run("alembic upgrade head")
    assert done.code == 0, done.err
    assert done.out.count(f"at {revision}, ") == len(checkout.settings.shards)


def source(settings: Settings, name: str) -> str:
    """Return the texts of a function on all shards, which must be the same."""
    found = {
        row
        for shard in settings.shards
        for row in rows(
            shard.owner_url,
            f"SELECT coalesce(max(prosrc), '') FROM pg_proc WHERE proname = '{name}'",
        )
    }
    ((text,),) = found
    return str(text)


VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('idx_users_last_login')"


def test_build_an_index_where_one_was_cut_off(checkout: Checkout, cluster: EmbeddedCluster) -> None:
    settings = checkout.settings
    checkout.write("index", "python")
    shard = settings.shards[1]
    with connect(shard.owner_url) as writer:
        writer.execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")
        command = subprocess.Popen(
            [sys.executable, "-m", "alembic", "-x", f"shard={shard.name}", "upgrade", "head"],
            cwd=checkout.folder,
            env=environment(settings) | {"PYTHONPATH": str(checkout.folder / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # It waits for the writer; end its session in the middle, as a crash would.
        until(lambda: rows(shard.owner_url, VALID) == [(False,)])
        execute(
            superuser(cluster, shard.name, "blank"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'elearning migrate'",
        )
        command.communicate(timeout=60)
        assert command.returncode != 0
    assert rows(shard.owner_url, VALID) == [(False,)]
    checkout.shell("index")
    assert [rows(each.owner_url, VALID) for each in settings.shards] == [[(True,)], [(True,)]]


def test_one_shard_failed(filled: Settings) -> None:
    filled_checkout = Checkout(ROOT, filled)
    assert alembic(filled, "downgrade", REVISIONS[-2]).code == 0
    failed = filled.shards[1]
    with connect(failed.owner_url) as open_transaction:
        open_transaction.execute("BEGIN; LOCK TABLE enrollments")
        done = filled_checkout.run("elearning migrate")
    assert done.code == 1
    (text,) = blocks("failure", "text")
    told = {line.split()[1]: line for line in text.text.splitlines()[1:4]}
    here = {line.split()[1]: line for line in done.out.splitlines()[1:]}
    for name, line in here.items():
        shown = told[name]
        # But for the time that it took.
        assert re.sub(r"\d+\.\d s", "", line) == re.sub(r"\d+\.\d s", "", shown)
    assert "it goes on where it stopped" in done.err
    filled_checkout.shell("failure")
    assert [rows(shard.owner_url, "TABLE alembic_version") for shard in filled.shards] == [
        [(HEAD,)],
        [(HEAD,)],
    ]


def test_the_demonstration_of_drift(tmp_path: Path) -> None:
    (typed,) = blocks("demonstration", "sh")
    (expected,) = blocks("demonstration", "text")
    hidden = ("ELEARNING", "COVERAGE")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = shell(typed.text, tmp_path, plain)
    assert done.code == 0, done.out + done.err
    assert expected.text in done.out
