"""What the commands print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from elearning.cluster.embedded import NodeStatus
    from elearning.cluster.health import HealthReport
    from elearning.cluster.migrations import Drift, Migrated

__all__ = [
    "console",
    "errors",
    "print_drift",
    "print_health",
    "print_migrated",
    "print_migrated_header",
    "print_status",
]

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def mark(*, ok: bool) -> str:
    """Return the seed's check mark or cross."""
    return "[green]✓[/]" if ok else "[red]✗[/]"


def print_health(report: HealthReport) -> None:
    """Print the health report."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "node", "role", "address", "latency", ""):
        table.add_column(title)
    for node in report.nodes:
        latency = "" if node.latency_ms is None else f"{node.latency_ms:.2f} ms"
        problem = "" if node.problem is None else f"[red]{escape(node.problem)}[/]"
        table.add_row(
            mark(ok=node.ok), node.name, node.role, escape(node.address), latency, problem
        )
    console.print(table)
    for copy in report.copies:
        lag = "lag not known" if copy.lag_bytes is None else f"{copy.lag_bytes} bytes behind"
        since = f", {copy.lag_seconds:.1f} s" if copy.lag_seconds else ""
        failed = f", {copy.errors} error(s)" if copy.errors else ""
        problem = "" if copy.problem is None else f"  [red]{escape(copy.problem)}[/]"
        console.print(
            f"{mark(ok=copy.ok)} copies {copy.publisher} → {copy.subscriber}: "
            f"{lag}{since}{failed}{problem}",
            soft_wrap=True,
        )
    totals = report.totals
    revenue = ", ".join(f"{amount} {code}" for code, amount in sorted(totals.revenue.items()))
    console.print(f"total users:        {totals.users}")
    console.print(f"total courses:      {totals.courses}")
    console.print(f"total enrollments:  {totals.enrollments}")
    console.print(f"total revenue:      {revenue or '0'}")
    console.print(f"MongoDB documents:  {totals.documents}")
    if totals.missing:
        console.print(f"[red]not counted: {', '.join(totals.missing)}[/]")


def print_migrated_header(width: int) -> None:
    """Print the titles over the lines of `print_migrated`; a name has this width at most."""
    console.print(f"  {'shard':<{max(width, 5)}}  {'from':<12}  {'to':<12}  {'time':>7}")


def print_migrated(result: Migrated, width: int) -> None:
    """Print the line of one shard."""
    if result.error is None:
        told = f"{result.applied} revision(s) run" if result.applied else "nothing to do"
    else:
        told = f"[red]{escape(result.error)}[/]"
    console.print(
        f"{mark(ok=result.error is None)} {result.shard:<{max(width, 5)}}  "
        f"{result.before or '-':<12}  {result.after or '-':<12}  {result.seconds:>5.1f} s  {told}",
        soft_wrap=True,
    )


def print_drift(drift: Drift) -> None:
    """Print how one shard differs from head."""
    if drift.error is not None:
        console.print(f"{mark(ok=False)} {escape(drift.error)}", soft_wrap=True)
        return
    number = len(drift.differences)
    console.print(
        f"{mark(ok=drift.ok)} shard {drift.shard}: {number or 'no'} difference(s) from "
        f"{drift.revision}"
    )
    for difference in drift.differences:
        console.print(
            "\n".join(f"    {line}" for line in difference.splitlines()),
            markup=False,
            soft_wrap=True,
        )


def print_status(nodes: list[NodeStatus]) -> None:
    """Print which servers of the embedded cluster run."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "node", "role", "port", "pid"):
        table.add_column(title)
    for node in nodes:
        pid = "not running" if node.pid is None else str(node.pid)
        table.add_row(mark(ok=node.running), node.name, node.role, str(node.port), pid)
    console.print(table)
