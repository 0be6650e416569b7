"""What a shard's schema consists of, and what it should.

``catalog.json`` is the schema at head, as PostgreSQL tells it; ``make docs`` writes
it from the models. It serves every supported release of PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import unified_diff
from importlib.resources import files

from sqlalchemy import Connection, text

__all__ = ["differences", "expected_catalog", "read_catalog"]

_READ = text(files(__package__).joinpath("catalog.sql").read_text("utf-8").replace(":", r"\:"))
_ROLES = text("SELECT rolname FROM pg_roles")
_TO = " to "


def read_catalog(connection: Connection) -> dict[str, str]:
    """Return the definition of everything in the schema, by name, in order."""
    return dict(sorted(map(tuple, connection.execute(_READ))))


def expected_catalog(connection: Connection) -> dict[str, str]:
    """Return what `read_catalog` finds on a shard at head, given the server's roles."""
    catalog: dict[str, str] = json.loads(
        files(__package__).joinpath("catalog.json").read_text("utf-8")
    )
    roles = {*connection.scalars(_ROLES), "PUBLIC"}
    return {
        name: definition
        for name, definition in catalog.items()
        if not name.startswith("grant ") or name.rpartition(_TO)[2] in roles
    }


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a text for each thing that is missing, not ours, or not as it should be.

    Under it the lines that should be there, after a minus, and those that are, after a plus.
    """
    return [
        "\n".join([f"{name} {_verdict(expected, found, name)}:", *_lines(expected, found, name)])
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]


def _verdict(expected: Mapping[str, str], found: Mapping[str, str], name: str) -> str:
    if name not in found:
        return "is missing"
    return "differs" if name in expected else "is not ours"


def _lines(expected: Mapping[str, str], found: Mapping[str, str], name: str) -> list[str]:
    before, after = expected.get(name, "").splitlines(), found.get(name, "").splitlines()
    changed = list(unified_diff(before, after, n=0, lineterm=""))[2:]
    return [f"  {line}" for line in changed if not line.startswith("@@")]
