"""Engines, sessions and consistency tokens: which statement runs on which node."""

from elearning.routing.async_read_session import AsyncReadSession
from elearning.routing.async_session import AsyncRoutingSession
from elearning.routing.consistency import Consistency
from elearning.routing.engines import Engines
from elearning.routing.fanout import (
    FanOutResult,
    OnShardError,
    Page,
    fan_out,
    fan_out_all,
    fan_out_all_async,
    fan_out_async,
    fan_out_page,
    fan_out_page_async,
    page_of,
)
from elearning.routing.node import Node, Role
from elearning.routing.read_session import Reader, ReadSession
from elearning.routing.session import RoutingSession
from elearning.routing.token import Position, Token

__all__ = [
    "AsyncReadSession",
    "AsyncRoutingSession",
    "Consistency",
    "Engines",
    "FanOutResult",
    "Node",
    "OnShardError",
    "Page",
    "Position",
    "ReadSession",
    "Reader",
    "Role",
    "RoutingSession",
    "Token",
    "fan_out",
    "fan_out_all",
    "fan_out_all_async",
    "fan_out_async",
    "fan_out_page",
    "fan_out_page_async",
    "page_of",
]
