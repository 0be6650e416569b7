"""The revisions of the schema that this release knows, oldest first."""

from __future__ import annotations

__all__ = ["HEAD", "REVISIONS"]

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Those of `alembic/versions`: an application has them without Alembic."""

HEAD = REVISIONS[-1]
"""What the models here are written for."""
