"""Where statements run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from elearning.routing import Engines

__all__ = ["served"]


@contextmanager
def served(engines: Engines, *, but: str | None = None) -> Iterator[list[str]]:
    """Note the node of each statement, past the session's own words, and those with a text.

    ::

        with served(engines) as nodes:
            get_user(session, user_id)
        assert nodes == ["eu-replica-1"]
    """
    nodes: list[str] = []
    listeners: list[tuple[Any, Callable[..., None]]] = []
    for node in engines.nodes:

        def note(_c: object, _cu: object, sql: str, *_: object, name: str = node.name) -> None:
            # What the session asks a node about its log is not the application's.
            own = "pg_last_wal_replay_lsn" in sql or "pg_current_wal" in sql
            if not own and (but is None or but not in sql):
                nodes.append(name)

        for engine in node.engines:
            event.listen(engine, "before_cursor_execute", note)
            listeners.append((engine, note))
    yield nodes
    for engine, listener in listeners:
        event.remove(engine, "before_cursor_execute", listener)
