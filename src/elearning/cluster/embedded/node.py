"""A handle on one server of a running cluster, for tests of what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable

from elearning.cluster.embedded.server import Server

__all__ = ["EmbeddedNode"]


class EmbeddedNode:
    """One server; each method waits until what it asks for is so."""

    def __init__(self, server: Server, start: Callable[[], None]) -> None:
        self._server = server
        self._start = start
        self.name = server.node.name

    @property
    def pid(self) -> int | None:
        """The pid of the running server."""
        return self._server.pid()

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it takes connections."""
        self._start()

    def stop(self) -> None:
        """Shut the server down as its operator would; its data is on disk."""
        self._server.stop()

    def kill(self) -> None:
        """Kill the server with all its processes, as a failing machine would."""
        self._server.kill()

    def pause(self) -> None:
        """Stop all processes of the server in their tracks: it is there, and silent."""
        self._server.pause()

    def resume(self) -> None:
        """Let a paused server run again."""
        self._server.resume()
