"""The commands and their options."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from elearning.cli.migrating import migrate_command
from elearning.cli.output import console, errors
from elearning.cli.reconciling import print_mesh, reconcile_command
from elearning.cli.recovering import recover_command

if TYPE_CHECKING:
    from elearning.cluster.embedded import EmbeddedCluster
    from elearning.config import Settings

__all__ = ["app"]

app = typer.Typer(
    help="The data layer of an e-learning platform in six world regions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
importing = typer.Typer(help="Load data sets.", no_args_is_help=True)
app.add_typer(importing, name="import")
app.command("migrate")(migrate_command)
app.command("reconcile")(reconcile_command)
app.command("recover")(recover_command)

Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of the embedded cluster (default: .elearning)."),
]


def _cluster(folder: Path | None) -> EmbeddedCluster:
    from elearning.cluster.embedded import EmbeddedCluster

    return EmbeddedCluster(
        _folder(folder),
        report=lambda line: console.print(line, markup=False, soft_wrap=True),
    )


def _folder(folder: Path | None) -> Path:
    from elearning.config import cluster_folder

    return folder or cluster_folder(Path.cwd(), os.environ)


@app.command()
def up(folder: Folder = None) -> None:
    """Start three primaries, three replicas and MongoDB on this machine."""
    cluster = _cluster(folder)
    report = cluster.up()
    if report.started:
        console.print(
            f"started {', '.join(report.started)} in {report.seconds:.1f} s "
            f"(PostgreSQL {report.postgres_version}, MongoDB {report.mongod_version})",
            soft_wrap=True,
        )
    console.print(f"settings: {cluster.env_file}", soft_wrap=True)
    _lead_copies(cluster)
    console.print("next: elearning migrate, elearning health, elearning down")


def _lead_copies(cluster: EmbeddedCluster) -> None:
    """Ports may have changed: let migrated shards find each other again."""
    from elearning.cluster.mesh import reconcile_mesh
    from elearning.config import Settings

    report = reconcile_mesh(Settings.from_mapping(cluster.environment()))
    if report.changed or not report.ok:
        print_mesh(report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def down(
    *,
    folder: Folder = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the data, too.")] = False,
) -> None:
    """Stop the embedded cluster; its data stays."""
    cluster = _cluster(folder)
    stopped = cluster.down()
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if delete:
        cluster.remove()
        console.print("its data is deleted")


@app.command()
def status(folder: Folder = None) -> None:
    """Tell which servers of the embedded cluster run; exit code 1 when one does not."""
    from elearning.cli.output import print_status

    nodes = _cluster(folder).status()
    if not nodes:
        console.print("no embedded cluster here: 'elearning up' starts one")
        raise typer.Exit(1)
    print_status(nodes)
    if not all(node.running for node in nodes):
        console.print("'elearning up' starts what does not run")
        raise typer.Exit(1)


@app.command()
def health(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check every node and count what there is; exit code 1 when a node is down."""
    from elearning.cli.output import print_health
    from elearning.cluster.health import check_health
    from elearning.config import Settings

    report = check_health(Settings.load())
    if as_json:
        # Not through rich, which would wrap it.
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        print_health(report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def deliver() -> None:
    """Bring out what the outboxes hold, to MongoDB and other shards; exit code 1 if some stays."""
    from elearning.config import Settings

    _deliver(Settings.load())


@app.command()
def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers running.")] = False,
    folder: Folder = None,
    fixtures: Annotated[
        Path | None, typer.Option(help="Folder of the sample data (default: fixtures/).")
    ] = None,
) -> None:
    """Show the platform at work on databases of its own."""
    from elearning.cli.demo import run_demo
    from elearning.importing.catalog import fixtures_folder

    run_demo(_folder(folder), fixtures or fixtures_folder(), keep=keep)


@importing.command()
def oulad(directory: Path) -> None:
    """Load a data set of the Open University (OULAD) into the region europe."""
    from elearning.config import Settings
    from elearning.importing.oulad import import_oulad
    from elearning.regions import Region
    from elearning.routing import Engines

    settings = Settings.load()
    with Engines(settings) as engines:
        primary = engines.primary(engines.home(Region.EUROPE))
        counts = import_oulad(
            primary.engine,
            directory,
            report=lambda line: console.print(line, markup=False, soft_wrap=True),
        )
    for name, number in counts.to_dict().items():
        console.print(f"{name}: {number}")
    _deliver(settings)


def _deliver(settings: Settings) -> None:
    from elearning.errors import NodeUnavailable
    from elearning.flows import Platform, deliver_all

    async def run() -> int:
        async with Platform(settings) as platform:
            return await deliver_all(platform)

    try:
        console.print(f"messages delivered: {asyncio.run(run())}")
    except NodeUnavailable as error:
        errors.print(
            f"the outbox keeps the rest, 'elearning deliver' goes on: {escape(str(error))}",
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
