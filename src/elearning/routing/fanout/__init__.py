"""Several shards at once, with the answer of one database, or a refusal."""

from elearning.routing.fanout.ask import OnShardError
from elearning.routing.fanout.page import Page, fan_out_page, fan_out_page_async, page_of
from elearning.routing.fanout.result import FanOutResult
from elearning.routing.fanout.run import (
    fan_out,
    fan_out_all,
    fan_out_all_async,
    fan_out_async,
)

__all__ = [
    "FanOutResult",
    "OnShardError",
    "Page",
    "fan_out",
    "fan_out_all",
    "fan_out_all_async",
    "fan_out_async",
    "fan_out_page",
    "fan_out_page_async",
    "page_of",
]
