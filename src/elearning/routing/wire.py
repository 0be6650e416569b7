"""One open connection to a node, below SQLAlchemy and psycopg: is it alive, and end it.

Everything here works for synchronous and asynchronous connections alike, from any
thread, and costs no round trip.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Any

from psycopg import OperationalError
from psycopg.pq import ConnStatus
from psycopg.pq.abc import PGconn

__all__ = ["Wire"]

_UNASKED = 8  # times that something is read; whoever has more to say is no idle connection


class Wire:
    """The socket of a connection, and what libpq knows about the server at its other end.

    Args:
        connection: psycopg's, or SQLAlchemy's adapter of an asynchronous one.
    """

    __slots__ = ("__weakref__", "_own_address", "_pgconn", "_poller", "address")

    def __init__(self, connection: object) -> None:
        driver: Any = getattr(connection, "driver_connection", connection)
        self._pgconn: PGconn = driver.pgconn
        #: Host and port of the server.
        self.address = (self._pgconn.host.decode(), self._pgconn.port.decode())
        self._poller = select.poll()
        self._poller.register(self._pgconn.socket, select.POLLIN)
        self._own_address = self._name(self._pgconn.socket)

    def is_alive(self) -> bool:
        """Tell whether the server has not ended this idle connection; a silent one is alive."""
        try:
            for _ in range(_UNASKED):
                if not self._poller.poll(0):
                    return bool(self._pgconn.status == ConnStatus.OK)
                # The server says something unasked: good-bye, a new setting, or nothing more.
                self._pgconn.consume_input()
                self._pgconn.is_busy()
        except OperationalError:
            pass
        return False

    def is_replica(self) -> bool | None:
        """Tell what the server said last about itself; None: it does not say (a pooler)."""
        says = self._pgconn.parameter_status(b"in_hot_standby")
        return None if says is None else says == b"on"

    def cut(self) -> None:
        """End the connection under whoever waits for an answer on it: it fails at once."""
        with (
            suppress(OSError, OperationalError),
            socket.socket(fileno=os.dup(self._pgconn.socket)) as copy,
        ):
            # The number may belong to another socket by now.
            if copy.getsockname() == self._own_address:
                copy.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Take leave of the server, and close the connection."""
        with suppress(OperationalError):
            self._pgconn.finish()

    def abandon(self) -> None:
        """Close this process's copy of a connection that belongs to the process it was forked from.

        Nothing is said to the server: the other process would hear the answer.
        """
        with suppress(OSError, OperationalError):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                os.dup2(ours.fileno(), self._pgconn.socket)
        self.finish()

    @staticmethod
    def _name(number: int) -> object:
        with socket.socket(fileno=os.dup(number)) as copy:
            return copy.getsockname()
