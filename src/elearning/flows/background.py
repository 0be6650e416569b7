"""What goes on after a flow has answered: what it left to do can also be done later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

__all__ = ["Background"]

logger = logging.getLogger("elearning.flows")


class Background:
    """Tasks that nobody waits for. Whatever fails here, `recover` does again."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[str] = set()
        self._again: set[str] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin a piece of work, and go on."""
        task = asyncio.create_task(_quietly(work))
        # The loop itself keeps no strong reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start_once(self, key: str, work: Callable[[], Awaitable[object]]) -> None:
        """Begin a piece of work unless it is going on; then it is done once more after that.

        Args:
            key: which work it is.
            work: does it.
        """
        if key in self._running:
            self._again.add(key)
            return
        self._running.add(key)
        self.start(self._repeat(key, work))

    async def finish(self) -> None:
        """Wait until there is nothing left to do."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _repeat(self, key: str, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
            while key in self._again:
                self._again.discard(key)
                await work()
        finally:
            self._running.discard(key)
            self._again.discard(key)


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - nobody waits for it, and recovery does it again
        logger.warning("left for recovery: %s: %s", type(error).__name__, error)
