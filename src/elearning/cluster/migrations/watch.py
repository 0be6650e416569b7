"""Ends a connection whose server has stopped answering.

The kernel goes on acknowledging for a process that hangs, so no time limit of TCP's
notices, and a migration may rightly take hours: what tells is that nobody gets in.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.errors import ConnectionTimeout
from sqlalchemy import URL, Connection

from elearning.config import connect_options

__all__ = ["watched"]

INTERVAL = 5.0  # seconds between two attempts to get in
CONNECT_TIMEOUT = 5  # seconds
TRIES = 3
"""In a row without an answer, before the connection is given up."""


@contextmanager
def watched(connection: Connection, url: URL) -> Iterator[threading.Event]:
    """Look again and again whether the server lets anybody in, and yield whether it does not.

    Args:
        connection: to be ended then; whatever it waits for fails at once.
        url: of its server.
    """
    over, silent = threading.Event(), threading.Event()
    raw: Any = connection.connection.driver_connection
    # A descriptor of our own: the connection's may be closed, and mean something else then.
    own = os.dup(raw.fileno())
    thread = threading.Thread(target=_watch, args=(own, url, over, silent), daemon=True)
    thread.start()
    try:
        yield silent
    finally:
        over.set()


def _watch(own: int, url: URL, over: threading.Event, silent: threading.Event) -> None:
    with socket.socket(fileno=own) as ours:
        tries = 0
        while not over.wait(INTERVAL):
            tries = 0 if _answers(url) else tries + 1
            if tries == TRIES and not over.is_set():
                silent.set()
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)
                return


def _answers(url: URL) -> bool:
    options = connect_options(url)
    options |= {"connect_timeout": CONNECT_TIMEOUT, "application_name": "elearning watch"}
    try:
        psycopg.connect(**options).close()
    except ConnectionTimeout:
        return False
    except psycopg.Error:
        return True  # whatever it said, it said something
    return True
