"""A TCP proxy on loopback, as the bad network between an application and a server."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from elearning.cluster.embedded.ports import LOOPBACK
from elearning.cluster.embedded.processes import wait_until
from elearning.errors import ClusterError, InvalidInput
from elearning.testing.links import Link, Weather

__all__ = ["TcpProxy"]

ANSWER_SECONDS = 10
BACKLOG = 512

T = TypeVar("T")


class TcpProxy:
    """Passes connections on to a server, as slowly or as badly as it is told.

    It runs in a thread of its own from the start of a ``with`` block to its end. Each method
    returns when what it asks for is so.

    A server that is down shows as a connection that is accepted and reset: only `refuse` makes
    connecting itself fail.

    Args:
        port: of the server.
        host: of the server.
    """

    def __init__(self, port: int, *, host: str = LOOPBACK) -> None:
        self._address = (host, port)
        self._weather = Weather()
        self._links: set[Link] = set()
        self._seen = 0
        self._listener: socket.socket | None = None
        self._holder: socket.socket | None = None
        self._loop: asyncio.SelectorEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None
        #: Where to connect to, on 127.0.0.1; the same for as long as the proxy runs.
        self.port = 0

    def __repr__(self) -> str:
        host, port = self._address
        return f"<TcpProxy {LOOPBACK}:{self.port} to {host}:{port}>"

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            self._address = (socket.gethostbyname(host), port)
        except OSError as error:
            message = f"{host} has no address: {error}"
            raise ClusterError(message) from None
        self._loop = asyncio.SelectorEventLoop()
        self._loop.set_exception_handler(self._note_problem)
        self._thread = threading.Thread(
            target=_run, args=(self._loop,), name=repr(self), daemon=True
        )
        self._thread.start()
        self._do(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def latency(self) -> float:
        """Seconds that each byte takes on its way, in either direction: a round trip takes two.

        It holds for what is sent from then on. A timer is up to 1 ms late.
        """
        return self._weather.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            message = f"a latency is a number of seconds from 0 on, not {seconds}"
            raise InvalidInput(message)
        self._weather.latency = seconds

    @property
    def seen(self) -> int:
        """How many connections were accepted so far."""
        return self._do(lambda: self._seen)

    @property
    def open(self) -> int:
        """How many of them are open."""
        return self._do(lambda: len(self._links))

    def wait_open(self, number: int, *, seconds: float = 10) -> None:
        """Wait until so many connections are open.

        Raises:
            ClusterError: they are not by then.
        """
        if not wait_until(lambda: self.open == number, seconds):
            message = f"{self!r} has {self.open} open connections after {seconds} s, not {number}"
            raise ClusterError(message)

    def silence(self) -> None:
        """Let nothing through, not even the end of a connection; new ones are accepted.

        As in a network that is split, what is sent meanwhile comes through after `speak`.
        """
        self._do(lambda: self._set_silent(is_silent=True))

    def speak(self) -> None:
        """End the silence."""
        self._do(lambda: self._set_silent(is_silent=False))

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones; the port is kept."""
        self._do(self._refuse)

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._do(self._accept)

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        self._do(self._cut)

    def reset(self) -> None:
        """Be a good network again: no latency, no silence, no refusal."""
        self.latency = 0
        self.accept()
        self.speak()

    def close(self) -> None:
        """Reset all connections and end; once closed, it stays so.

        Raises:
            ClusterError: something went wrong in the proxy itself.
        """
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._do(self._close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(ANSWER_SECONDS)
        self._loop = self._thread = None
        if self._problem:
            message = f"{self!r} failed: {self._problem!r}"
            raise ClusterError(message) from self._problem

    def _note_problem(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problem = self._problem or context.get("exception")

    def _do(self, action: Callable[[], T]) -> T:
        """Run something in the proxy's thread."""
        if self._loop is None:
            message = f"{self!r} does not run"
            raise ClusterError(message)
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(ANSWER_SECONDS)

    def _set_silent(self, *, is_silent: bool) -> None:
        self._weather.silent = is_silent
        if not is_silent:
            for link in tuple(self._links):
                link.go_on()

    def _accept(self) -> None:
        if self._listener is None and self._loop:
            self._listener = _bound(self.port)
            self._listener.listen(BACKLOG)
            self.port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._take, self._loop, self._listener)
            if self._holder:
                self._holder.close()
                self._holder = None

    def _refuse(self) -> None:
        if self._listener and self._loop:
            # Else another program could take the port meanwhile.
            self._holder = _bound(self.port)
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._cut()

    def _cut(self) -> None:
        for link in tuple(self._links):
            link.abort()

    def _close(self) -> None:
        self._refuse()
        if self._holder:
            self._holder.close()
            self._holder = None

    def _take(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        # The client may have gone again by now.
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, _ = listener.accept()
            self._seen += 1
            self._links.add(Link(loop, self._weather, client, self._address, self._links.discard))


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _bound(port: int) -> socket.socket:
    """Return a socket with this port, which another one of the proxy may have; 0: a free one."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)  # noqa: FBT003 - so Python calls it
        # Not by SO_REUSEADDR: that would give the port to any server that asks for it so.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((LOOPBACK, port))
    except OSError:
        made.close()
        raise
    return made
