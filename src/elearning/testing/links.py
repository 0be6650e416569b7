"""A connection through a proxy: two sockets, and what is on its way between them."""

from __future__ import annotations

import socket
import struct
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Link", "Weather"]

# Each way of each connection. What is on its way takes this much memory at most, so at a latency
# of 40 ms no more than 400 MB/s get through.
MOST_BYTES = 16 << 20
READ_BYTES = 256 << 10
# What a small message takes beside its bytes.
OVERHEAD_BYTES = 256
LINGER_NOT = struct.pack("ii", 1, 0)


class End(Enum):
    """How one side of a connection ended."""

    CLOSED = "closed"
    RESET = "reset"


@dataclass(slots=True)
class Weather:
    """What a proxy does to all its connections now."""

    latency: float = 0.0
    silent: bool = False
    # One for all: whatever is read is copied out of it at once.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ_BYTES)))


class Link:
    """A client's connection and its continuation to the server.

    Args:
        loop: that runs all of it.
        weather: of the proxy; what changes there holds at once.
        client: the accepted connection.
        address: of the server.
        on_end: is called when both sides are closed.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        weather: Weather,
        client: socket.socket,
        address: tuple[str, int],
        on_end: Callable[[Link], None],
    ) -> None:
        self.loop = loop
        self.weather = weather
        self._address = address
        self._on_end = on_end
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sockets = (client, server)
        for one in self._sockets:
            one.setblocking(False)  # noqa: FBT003 - so Python calls it
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pipes = (Pipe(self, client, server), Pipe(self, server, client))
        self._is_due = self._is_connecting = self._is_over = False
        # A connection takes a round trip before its first byte; here, the system has accepted it
        # already.
        self._timer: TimerHandle | None = loop.call_later(2 * weather.latency, self._connect)

    def go_on(self) -> None:
        """Do what silence has kept from being done."""
        if self._is_due:
            self._connect()
        for pipe in self._pipes:
            pipe.flow()

    def abort(self) -> None:
        """Reset both sides now, with all that is on its way."""
        self._end(End.RESET)

    def pipe_ended(self) -> None:
        """Close both sides if nothing more can come from either."""
        if all(pipe.is_done for pipe in self._pipes):
            self._end(End.CLOSED)

    def target_broke(self, pipe: Pipe) -> None:
        """Tell the other side that the one which this pipe writes to is gone."""
        back = self._pipes[0] if pipe is self._pipes[1] else self._pipes[1]
        back.finish(End.RESET)

    def _connect(self) -> None:
        self._timer = None
        self._is_due = self.weather.silent
        if self._is_due or self._is_connecting:
            return
        self._is_connecting = True
        server = self._sockets[1]
        with suppress(BlockingIOError):
            server.connect(self._address)
        self.loop.add_writer(server, self._connected)

    def _connected(self) -> None:
        server = self._sockets[1]
        self.loop.remove_writer(server)
        if server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.abort()
            return
        for pipe in self._pipes:
            pipe.read_on()

    def _end(self, end: End) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._timer:
            self._timer.cancel()
        for pipe in self._pipes:
            pipe.close()
        for one in self._sockets:
            self.loop.remove_reader(one)
            self.loop.remove_writer(one)
            if end is End.RESET:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            one.close()
        self._on_end(self)


class Pipe:
    """One way of a link: what is read comes out later, in order."""

    def __init__(self, link: Link, source: socket.socket, target: socket.socket) -> None:
        self.is_done = False
        self._link = link
        self._loop = link.loop
        self._weather = link.weather
        self._source = source
        self._target = target
        self._line: deque[tuple[float, memoryview | End]] = deque()
        self._held = 0
        self._is_reading = self._is_blocked = False
        self._ended: End | None = None
        self._timer: TimerHandle | None = None

    def read_on(self) -> None:
        """Read, unless the source has ended or too much is on its way."""
        if not (self._is_reading or self._ended) and self._held < MOST_BYTES:
            self._is_reading = True
            self._loop.add_reader(self._source, self._read)

    def finish(self, end: End) -> None:
        """Let the target see the end, after all that was read."""
        # A side that has closed may still be found to be gone, by writing to it.
        if self._ended in (None, End.CLOSED) and end is not self._ended:
            self._ended = end
            self._stop_reading()
            self._put(end)
            self.flow()

    def flow(self) -> None:
        """Write what is due, as far as the target takes it.

        What was read first goes first, also where the latency has been lowered since.
        """
        while self._line and not (self._weather.silent or self._is_blocked):
            due, what = self._line[0]
            if due > self._loop.time():
                if self._timer is None:
                    self._timer = self._loop.call_at(due, self._wake)
                return
            if isinstance(what, End):
                self._finish_target(what)
                return
            self._write(due, what)

    def close(self) -> None:
        """Forget what is on its way."""
        self.is_done = True
        self._line.clear()
        if self._timer:
            self._timer.cancel()

    def _read(self) -> None:
        buffer = self._weather.buffer
        try:
            size = self._source.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self.finish(End.RESET)
            return
        if not size:
            self.finish(End.CLOSED)
            return
        self._put(memoryview(bytes(buffer[:size])))
        if self._held >= MOST_BYTES:
            self._stop_reading()
        self.flow()

    def _put(self, what: memoryview | End) -> None:
        self._line.append((self._loop.time() + self._weather.latency, what))
        if not isinstance(what, End):
            self._held += len(what) + OVERHEAD_BYTES

    def _write(self, due: float, what: memoryview) -> None:
        try:
            sent = self._target.send(what)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(what):
            self._line[0] = (due, what[sent:])
            self._held -= sent
            self._is_blocked = True
            self._loop.add_writer(self._target, self._unblock)
            return
        self._line.popleft()
        self._held -= sent + OVERHEAD_BYTES
        if self._held < MOST_BYTES // 2:
            self.read_on()

    def _finish_target(self, end: End) -> None:
        self._line.clear()
        if end is End.RESET:
            self._link.abort()
            return
        try:
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            self._break()
            return
        self.is_done = True
        self._link.pipe_ended()

    def _break(self) -> None:
        """Nothing can be written any more."""
        self._ended = End.RESET
        self._stop_reading()
        self.close()
        self._link.target_broke(self)

    def _stop_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._source)

    def _unblock(self) -> None:
        self._loop.remove_writer(self._target)
        self._is_blocked = False
        self.flow()

    def _wake(self) -> None:
        self._timer = None
        self.flow()
