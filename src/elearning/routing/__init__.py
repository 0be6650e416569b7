"""Engines, sessions and consistency tokens: which statement runs on which node."""

from elearning.routing.async_read_session import AsyncReadSession
from elearning.routing.async_session import AsyncRoutingSession
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.node import Node, Role
from elearning.routing.read_session import Reader, ReadSession
from elearning.routing.session import RoutingSession
from elearning.routing.token import Position, Token

__all__ = [
    "AsyncReadSession",
    "AsyncRoutingSession",
    "Consistency",
    "Engines",
    "Node",
    "Position",
    "ReadSession",
    "Reader",
    "Role",
    "RoutingSession",
    "Token",
]
