"""The command ``elearning migrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from elearning.cli.output import (
    errors,
    print_drift,
    print_migrated,
    print_migrated_header,
)
from elearning.cli.reconciling import reconcile_after

if TYPE_CHECKING:
    from elearning.config import Settings

__all__ = ["migrate_command"]


def migrate_command(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; tell how shards differ from head.")
    ] = False,
    shard: Annotated[
        list[str] | None, typer.Option(help="Only this shard; may be given several times.")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Only the shard that hosts this region.")
    ] = None,
    to: Annotated[str, typer.Option(metavar="REVISION", help="Upgrade to this revision.")] = "head",
    jobs: Annotated[int, typer.Option(min=1, help="Shards at a time, each in a process.")] = 1,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Leave the others untouched when one shard fails.")
    ] = False,
    lock_wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for another migration of a shard.")
    ] = 60,
) -> None:
    """Bring every shard to the newest revision; exit code 1 when one fails."""
    from elearning.cluster.migrations import migrate
    from elearning.config import Settings

    if check and to != "head":
        message = "it compares with head: leave out --to"
        raise typer.BadParameter(message, param_hint="--check")
    settings = Settings.load()
    names = _chosen(settings, shard or [], region or [])
    if check:
        _check(settings, names)
        return
    width = max(len(each.name) for each in settings.shards)
    print_migrated_header(width)
    failed = False
    for result in migrate(
        settings, to, shards=names, jobs=jobs, fail_fast=fail_fast, lock_wait=lock_wait
    ):
        print_migrated(result, width)
        failed = failed or result.error is not None
    if failed:
        # Then some shard is not at head, and copies wait until all are.
        errors.print("run it again when the cause is gone: it goes on where it stopped")
        raise typer.Exit(1)
    if not reconcile_after(settings):
        raise typer.Exit(1)


def _check(settings: Settings, names: list[str]) -> None:
    from elearning.cluster.migrations import check_drift

    drifts = list(check_drift(settings, names))
    for drift in drifts:
        print_drift(drift)
    if not all(drift.ok for drift in drifts):
        raise typer.Exit(1)


def _chosen(settings: Settings, shards: list[str], regions: list[str]) -> list[str]:
    chosen = [settings.shard(name).name for name in shards]
    chosen += [settings.home(name).name for name in regions]
    return list(dict.fromkeys(chosen)) or [each.name for each in settings.shards]
