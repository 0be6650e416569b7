"""Writes what follows from the code: ``make docs``.

That is docs/reference.md, docs/operations.md, and the catalog that ``elearning migrate --check``
compares shards with, read from a database of its own. With ``--check`` it writes nothing and fails
where a page is not up to date; for the catalog, a test does so.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path

import operations  # beside this script
from sqlalchemy import Table

from elearning import config, errors
from elearning.models import Base, States

ROOT = Path(__file__).resolve().parents[1]
CATALOG = ROOT / "src" / "elearning" / "cluster" / "migrations" / "catalog.json"
REFERENCE = Path(__file__).with_name("reference.md")
MODULES = (
    "elearning.regions",
    "elearning.certificate_code",
    "elearning.email_hash",
    "elearning.ids",
    "elearning.money",
    "elearning.passwords",
    "elearning.text",
    "elearning.plain",
    "elearning.config",
    "elearning.models",
    "elearning.documents",
    "elearning.routing",
    "elearning.crud",
    "elearning.flows",
    "elearning.cluster.embedded",
    "elearning.cluster.migrations",
    "elearning.cluster.health",
    "elearning.importing.catalog",
    "elearning.importing.oulad",
    "elearning.testing.plugin",
    "elearning.testing.factories",
    "elearning.testing.switches",
    "elearning.testing.proxies",
    "elearning.testing.proxy",
)


def first_line(thing: object) -> str:
    """Return the first line of a docstring, for a cell of a table."""
    own = inspect.isclass(thing) or callable(thing)
    text = inspect.getdoc(thing) if own else None
    return text.splitlines()[0].replace("|", "\\|") if text else ""


def module_section(name: str) -> list[str]:
    """List the public names of a module."""
    module = importlib.import_module(name)
    lines = [f"## {name}", "", first_module_line(module.__doc__), "", "| name | |", "|---|---|"]
    lines += [f"| `{each}` | {first_line(getattr(module, each))} |" for each in module.__all__]
    return [*lines, ""]


def first_module_line(text: str | None) -> str:
    """Return the first line of a module's docstring."""
    return text.splitlines()[0] if text else ""


def table_section(table: Table) -> list[str]:
    """Describe a table."""
    lines = [
        f"### {table.name}",
        "",
        f"{table.comment}.",
        "",
        "| column | type | |",
        "|---|---|---|",
    ]
    for column in table.columns:
        if column.system:
            continue
        # A set, in no order of its own.
        notes = sorted(f"→ {key.target_fullname}" for key in column.foreign_keys)
        notes += [] if column.nullable else ["not null"]
        notes += [column.comment] if column.comment else []
        lines.append(f"| {column.name} | {column.type} | {'; '.join(notes)} |")
    states: States | None = table.info.get("states")
    if states is not None:
        lines += ["", "Its states:", "", "```mermaid", states.diagram(), "```"]
    return [*lines, ""]


def reference() -> str:
    """Return the whole page."""
    lines = ["# Reference", "", "Written by `make docs` from the code.", ""]
    lines += ["## Settings", "", "```", inspect.cleandoc(config.__doc__ or ""), "```", ""]
    lines += ["## Errors", "", "```", inspect.cleandoc(errors.__doc__ or ""), "```", ""]
    for name in MODULES:
        lines += module_section(name)
    lines += ["## Tables", ""]
    for table in Base.metadata.sorted_tables:
        lines += table_section(table)
    return "\n".join(lines)


def catalog() -> dict[str, str]:
    """Return what a shard at head consists of."""
    # The servers' packages are needed for this alone.
    from elearning.cluster.embedded import Topology  # noqa: PLC0415
    from elearning.cluster.migrations.access import owner_connection  # noqa: PLC0415
    from elearning.cluster.migrations.catalog import read_catalog  # noqa: PLC0415
    from elearning.regions import Region  # noqa: PLC0415
    from elearning.testing.databases import migrated_cluster  # noqa: PLC0415

    topology = Topology(shards={"one": tuple(Region)}, replicas=0)
    with (
        migrated_cluster(topology=topology) as (_, settings),
        owner_connection(settings.shards[0]) as connection,
    ):
        return read_catalog(connection)


def main() -> int:
    """Write the pages, or check them."""
    pages = {REFERENCE: reference(), operations.TARGET: operations.operations_page()}
    if "--check" in sys.argv:
        old = [
            target.name
            for target, text in pages.items()
            if not target.exists() or target.read_text("utf-8") != text
        ]
        if old:
            print(f"{' and '.join(old)} not up to date: run 'make docs'")
        return 1 if old else 0
    for target, text in pages.items():
        target.write_text(text, "utf-8")
    CATALOG.write_text(json.dumps(catalog(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {', '.join(map(str, pages))} and {CATALOG}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
