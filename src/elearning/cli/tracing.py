"""Notes which node served each statement, for the demo to show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from sqlalchemy import event

from elearning.routing import Engines

__all__ = ["Trace"]

_COMMANDS = frozenset({"find", "update", "insert", "delete", "aggregate"})


class Trace(CommandListener):
    """The nodes that served statements since the last `taken`, in order."""

    def __init__(self) -> None:
        self._served: list[str] = []

    def watch(self, engines: Engines) -> None:
        """Listen to every node's engine."""
        for node in engines.nodes:
            for engine in node.engines:
                event.listen(engine, "before_cursor_execute", self._noter(node.name))

    def _noter(self, name: str) -> Any:
        def note(*_: object) -> None:
            self._note(name)

        return note

    def _note(self, name: str) -> None:
        if not self._served or self._served[-1] != name:
            self._served.append(name)

    def started(self, event: CommandStartedEvent) -> None:
        """Note a command that MongoDB was sent."""
        if event.command_name in _COMMANDS:
            self._note("mongodb")

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Do nothing: the start was noted."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Do nothing: the start was noted."""

    @contextmanager
    def step(self) -> Iterator[list[str]]:
        """Fill a list with who served the block, and its time in milliseconds."""
        self._served.clear()
        told: list[str] = []
        start = perf_counter()
        yield told
        told += [" → ".join(self._served), f"{(perf_counter() - start) * 1000:.1f} ms"]
