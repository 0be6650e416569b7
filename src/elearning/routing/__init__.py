"""Engines, sessions and consistency tokens: which statement runs on which node."""

from elearning.routing.engines import Engines, Node, Role
from elearning.routing.session import Consistency, RoutingSession
from elearning.routing.token import Position, Token

__all__ = ["Consistency", "Engines", "Node", "Position", "Role", "RoutingSession", "Token"]
