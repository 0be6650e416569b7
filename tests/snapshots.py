"""The whole content of all databases, to show that nothing was written."""

from __future__ import annotations

from typing import Any

import psycopg
from pymongo import MongoClient
from sqlalchemy import URL

from elearning.config import Settings
from elearning.models import Base


def connect(url: URL) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect by the driver alone, past all of our own code."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


class Snapshot:
    """Call it before and after: equal results mean that nothing was written."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for shard in self._settings.shards:
            with connect(shard.primary) as connection:
                for table in Base.metadata.sorted_tables:
                    rows = connection.execute(
                        f"SELECT t::text FROM {table.name} AS t ORDER BY 1"
                    ).fetchall()
                    found[f"{shard.name}.{table.name}"] = rows
        with MongoClient[dict[str, Any]](self._settings.mongodb.url) as client:
            database = client[self._settings.mongodb.database]
            for name in ("course_content", "user_preferences"):
                found[name] = sorted(map(str, database[name].find()))
        return found
