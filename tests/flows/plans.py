"""The plans of all statements that run, those inside functions and triggers too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg.errors import Diagnostic
from sqlalchemy import event

from elearning.routing import Engines

Node = dict[str, Any]


class Plan(NamedTuple):
    """What auto_explain tells of a statement."""

    query: str
    root: Node


@dataclass
class Plans:
    """Collects the plans of statements that engines run, from the notices of the server."""

    seen: list[Plan] = field(default_factory=list)

    def watch(self, engines: Engines) -> None:
        for node in engines.nodes:
            event.listen(node.engine, "connect", self._listen)

    def _listen(self, connection: Any, _: object) -> None:
        driver = getattr(connection, "driver_connection", connection)
        driver.add_notice_handler(self._note)

    def _note(self, notice: Diagnostic) -> None:
        text = notice.message_primary or ""
        if " plan:\n" in text:
            found = json.loads(text.split(" plan:\n", 1)[1])
            self.seen.append(Plan(found["Query Text"], found["Plan"]))

    def tables(self) -> set[str]:
        return {
            node["Relation Name"]
            for plan in self.seen
            for node, _ in nodes(plan.root)
            if "Relation Name" in node
        }

    def read_whole(self, tables: set[str]) -> set[str]:
        """Return the statements that read one of these tables from end to end."""
        return {
            f"{node['Node Type']} on {node['Relation Name']}: {' '.join(plan.query.split())}"
            for plan in self.seen
            for node, limited in nodes(plan.root)
            if node.get("Relation Name") in tables and reads_whole(node, limited=limited)
        }


def reads_whole(node: Node, *, limited: bool) -> bool:
    match node["Node Type"]:
        case "Seq Scan":
            return True
        case "Index Scan" | "Index Only Scan":
            # In the order of an index, until enough is found.
            return "Index Cond" not in node and not limited
    return False


def nodes(node: Node, *, limited: bool = False) -> Iterator[tuple[Node, bool]]:
    """Yield each node of a plan, and whether it stands below a LIMIT."""
    limited = limited or node["Node Type"] == "Limit"
    yield node, limited
    for child in node.get("Plans", ()):
        yield from nodes(child, limited=limited)
