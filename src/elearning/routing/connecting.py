"""What happens when a connection to a node is opened, and when it leaves its pool.

A connection is handed out only if the server has not ended it and is in its role. Both
are known without a round trip.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from elearning.errors import ElearningError
from elearning.routing.failures import failure_handler
from elearning.routing.node import Node, Role
from elearning.routing.schema import schema_checker
from elearning.routing.token import Position
from elearning.routing.wire import Wire

__all__ = ["IS_PRIMARY", "IS_REPLICA", "former_primary", "listen", "order_hosts"]

IS_PRIMARY = "is a primary, expected a replica"
IS_REPLICA = "is a replica, expected a primary: promote it, or name the primary in the settings"

_TIMELINE = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() "
    "THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END"
)


def former_primary(node: Node, timeline: int) -> str:
    """Return what is said of a primary whose shard has gone on without it."""
    return (
        f"is a former primary, of timeline {timeline}; the shard is at "
        f"{node.state.written.timeline}: end it, or make it a replica"
    )


def listen(node: Node) -> None:
    """Watch over the connections of a node's engines."""
    check_schema = schema_checker(node.shard)
    for engine in node.engines:
        event.listen(engine, "do_connect", _director(node))
        event.listen(engine, "connect", _opener(node))
        if node.role is Role.PRIMARY:
            event.listen(engine, "connect", check_schema)
        event.listen(engine, "checkout", _checker(node))
        event.listen(engine, "handle_error", failure_handler(node, engine.url.username or "?"))
    if node.role is Role.PRIMARY:
        event.listen(node.reader, "connect", _let_read_only)


def _let_read_only(connection: DBAPIConnection, _: object) -> None:
    """Let the server refuse what was taken for a read, as a replica does."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def _director(node: Node) -> Callable[..., None]:
    def direct(_dialect: object, _record: object, _arguments: object, options: Any) -> None:
        if node.is_closed:
            # Those who waited for a place in the pool come here when the node is known to hang.
            raise node.unavailable(node.problem or "it is left out")
        order_hosts(node, options)

    return direct


def order_hosts(node: Node, options: dict[str, Any]) -> None:
    """Put the host that answered last first, and those of former primaries last."""
    hosts = str(options.get("host", "")).split(",")
    ports = str(options.get("port", "")).split(",")
    if len(hosts) > 1:
        places = list(zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True))
        places.sort(key=lambda place: (place in node.former, place != node.last_address))
        options["host"] = ",".join(host for host, _ in places)
        options["port"] = ",".join(port for _, port in places)


def _opener(node: Node) -> Callable[[DBAPIConnection, ConnectionPoolEntry], None]:
    def opened(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        wire = Wire(connection)
        try:
            _check_role(node, wire, connection)
        except ElearningError:
            connection.close()
            raise
        node.forget_replay()
        node.take_back()
        node.last_address = wire.address
        node.wires.add(wire)
        record.info["wire"] = wire

    return opened


def _checker(node: Node) -> Callable[[DBAPIConnection, ConnectionPoolEntry, object], None]:
    unexpected = node.role is Role.PRIMARY

    def leaves(_: DBAPIConnection, record: ConnectionPoolEntry, __: object) -> None:
        wire: Wire = record.info["wire"]
        if not wire.is_alive() or wire.is_replica() is unexpected:
            # The pool opens another one in its place.
            raise DisconnectionError

    return leaves


def _check_role(node: Node, wire: Wire, connection: DBAPIConnection) -> None:
    """Refuse a server that is not what the node is for.

    Raises:
        NodeUnavailable: it is in the other role, or was replaced as primary.
    """
    if node.role is Role.REPLICA:
        if wire.is_replica() is False:
            raise node.unavailable(IS_PRIMARY)
        return
    with closing(connection.cursor()) as cursor:
        cursor.execute(_TIMELINE)
        (timeline,) = cursor.fetchone() or (None,)
    connection.rollback()
    if timeline is None:
        raise node.unavailable(IS_REPLICA)
    if timeline < node.state.written.timeline:
        node.former.add(wire.address)
        raise node.unavailable(former_primary(node, timeline))
    node.state.written = max(node.state.written, Position(timeline, 0))
