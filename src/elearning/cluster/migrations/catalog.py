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
    """Return a text for each thing that is missing, not ours, or not as it should be."""
    texts = []
    for name in sorted(expected.keys() | found.keys()):
        before, after = expected.get(name), found.get(name)
        if before == after:
            continue
        if after is None:
            texts.append(f"{name} is missing")
        elif before is None:
            texts.append(f"{name} is not ours: {after.splitlines()[0] if after else ''}".rstrip())
        elif "\n" in before or "\n" in after:
            changed = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
            lines = [f"  {line}" for line in list(changed)[2:] if not line.startswith("@@")]
            texts.append("\n".join([f"{name} differs:", *lines]))
        else:
            texts.append(f"{name} differs:\n  -{before}\n  +{after}")
    return texts
