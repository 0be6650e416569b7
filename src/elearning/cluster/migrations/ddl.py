"""What revisions are written with."""

from __future__ import annotations

from pathlib import Path

from alembic import context, op
from sqlalchemy import text

__all__ = ["create_routine", "run"]


def run(statement: str) -> None:
    """Run a statement as it stands: a colon in it starts no parameter."""
    op.execute(text(statement.replace(":", r"\:")))


def create_routine(revision: str, name: str) -> None:
    """Give a function the text that it has had since a revision.

    Args:
        revision: whose text; a downgrade names the one before its own.
        name: of the function, and of its file in ``alembic/routines/<revision>``.
    """
    file = Path(context.script.dir) / "routines" / revision / f"{name}.sql"
    run(file.read_text("utf-8"))
