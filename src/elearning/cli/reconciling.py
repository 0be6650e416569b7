"""The command ``elearning reconcile``, and the same after a migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from elearning.cli.output import console, errors, mark

if TYPE_CHECKING:
    from elearning.cluster.mesh import MeshReport
    from elearning.config import Settings

__all__ = ["print_mesh", "reconcile_after", "reconcile_command"]


def reconcile_command() -> None:
    """Let every shard copy the courses of all others, and mend what is wrong; exit code 1."""
    from elearning.cluster.mesh import reconcile_mesh
    from elearning.config import Settings

    report = reconcile_mesh(Settings.load())
    print_mesh(report)
    if report.skipped is None and not report.pairs:
        console.print("one shard copies from nobody")
    if report.skipped is not None or not report.ok:
        raise typer.Exit(1)


def reconcile_after(settings: Settings) -> bool:
    """Do so after a migration; tell whether all is well, or why it is not done yet."""
    from elearning.cluster.mesh import reconcile_mesh

    report = reconcile_mesh(settings)
    if report.changed or not report.ok or report.skipped is not None:
        print_mesh(report)
    return report.ok


def print_mesh(report: MeshReport) -> None:
    """Print a line for each pair of shards."""
    if report.skipped is not None:
        errors.print(escape(report.skipped), soft_wrap=True)
    for pair in report.pairs:
        told = escape(pair.told)
        console.print(
            f"{mark(ok=pair.problem is None)} {pair.publisher} → {pair.subscriber}: "
            + (told if pair.problem is None else f"[red]{told}[/]"),
            soft_wrap=True,
        )
