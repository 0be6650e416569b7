"""Engines, sessions and consistency tokens: which statement runs on which node."""

from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.node import Node, Role
from elearning.routing.session import RoutingSession
from elearning.routing.token import Position, Token

__all__ = ["Consistency", "Engines", "Node", "Position", "Role", "RoutingSession", "Token"]
