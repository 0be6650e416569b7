"""The command ``elearning recover``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from elearning.cli.output import console, errors

if TYPE_CHECKING:
    from elearning.config import Settings
    from elearning.flows import Recovered

__all__ = ["recover_command"]


def recover_command(
    *,
    age: Annotated[
        float | None,
        typer.Option(min=0, help="Settle claims that are pending for more seconds (default: 60)."),
    ] = None,
    forget_old_email_keys: Annotated[
        bool,
        typer.Option(
            "--forget-old-email-keys",
            help="Give back claims of addresses under keys that are not in the settings any more.",
        ),
    ] = False,
) -> None:
    """End what was cut off: claims, messages, expired enrollments; exit code 1 if some is left."""
    from elearning.config import Settings

    done, forgotten = asyncio.run(_recover(Settings.load(), age, forget=forget_old_email_keys))
    console.print(
        f"claims settled: {done.settled}, made for rows without one: {done.adopted}, "
        f"forgotten: {done.pruned + forgotten}\n"
        f"messages delivered: {done.delivered}\nenrollments expired: {done.expired}\n"
        f"counters added up: {done.folded} rows"
    )
    for problem in done.problems:
        errors.print(problem, markup=False, soft_wrap=True)
    if done.problems:
        raise typer.Exit(1)


async def _recover(settings: Settings, age: float | None, *, forget: bool) -> tuple[Recovered, int]:
    from elearning.errors import NodeUnavailable
    from elearning.flows import Platform, forget_old_email_keys, recover

    platform = Platform(settings)
    try:
        # Without MongoDB, its messages stay, and all else is done.
        with suppress(NodeUnavailable):
            await platform.open()
        done = await recover(platform, age=age)
        # Only when every address is claimed under the keys that stay.
        forgotten = await forget_old_email_keys(platform) if forget and not done.problems else 0
    finally:
        await platform.close()
    return done, forgotten
