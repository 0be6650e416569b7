"""Reads what each revision does to a database, and asks squawk whether that is safe.

Part of ``make lint``; what is excepted, and why, stands in `.squawk.toml`.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from elearning.cluster.migrations import alembic_config
from elearning.config import Settings
from elearning.regions import Region

ROOT = Path(__file__).resolve().parents[2]
# Nothing is connected to: the statements are printed.
SETTINGS = Settings.from_mapping(
    {
        "ELEARNING_SHARDS": "one",
        "ELEARNING_SHARD_ONE_REGIONS": " ".join(Region),
        "ELEARNING_SHARD_ONE_PRIMARY": "postgresql+psycopg://nobody@127.0.0.1/nothing",
        "ELEARNING_MONGODB_URL": "mongodb://127.0.0.1/nothing",
    }
)


def main() -> int:
    """Return squawk's exit code."""
    squawk = Path(sys.executable).with_name("squawk")
    scripts = ScriptDirectory.from_config(alembic_config(SETTINGS))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for script in scripts.walk_revisions():
            file = Path(folder, f"{Path(script.path).stem}.sql")
            file.write_text(statements(script.down_revision, script.revision), "utf-8")
            files.append(str(file))
        done = subprocess.run(
            [squawk, "--config", ROOT / ".squawk.toml", *sorted(files)], check=False
        )
    return done.returncode


def statements(before: object, revision: str) -> str:
    """Return what `alembic upgrade` runs for one revision."""
    config = alembic_config(SETTINGS)
    config.output_buffer = buffer = io.StringIO()
    command.upgrade(config, f"{before or 'base'}:{revision}", sql=True)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
