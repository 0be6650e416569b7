"""What the settings must say for the shards to copy from each other."""

from __future__ import annotations

from elearning.config import Settings
from elearning.errors import SettingsError

__all__ = ["why_no_mesh"]


def why_no_mesh(settings: Settings) -> str | None:
    """Return why nothing is to be copied; None: all is there that is needed; empty: no need.

    Raises:
        SettingsError: some shards can be reached by the others, and some cannot.
    """
    publishers = [shard for shard in settings.shards if shard.regions]
    if len(settings.shards) == 1:
        return ""
    missing = [shard for shard in publishers if shard.replication is None]
    if not missing:
        return None
    variables = [f"ELEARNING_SHARD_{shard.name.upper()}_REPLICATION" for shard in missing]
    if len(missing) == len(publishers):
        return f"courses are not copied between the shards: {', '.join(variables)} are not set"
    raise SettingsError(
        variable=variables[0], problem="is not set, so no other shard can copy its courses"
    )
