"""The command ``elearning``."""

from __future__ import annotations

import sys

from rich.markup import escape

from elearning.cli.app import app
from elearning.cli.output import errors
from elearning.errors import ElearningError

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error of ours is one line and exit code 1."""
    try:
        app()
    except ElearningError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
