"""What meets an operator: settings, files, schemas, migrations, servers."""

from __future__ import annotations

from elearning.errors.base import ElearningError

__all__ = [
    "BinaryNotFound",
    "ClusterError",
    "ForeignDatabase",
    "MalformedFile",
    "MalformedRow",
    "MeshError",
    "MigrationError",
    "MigrationLocked",
    "RightsMissing",
    "SchemaMismatch",
    "ServerStartError",
    "SettingsError",
    "ShardAhead",
]


class SettingsError(ElearningError):
    """A setting is missing or wrong."""

    template = "{variable}: {problem}"


class MalformedFile(ElearningError):
    """An imported file is not what its format promises."""

    template = "{file}: {problem}"


class MalformedRow(MalformedFile):
    """A row of an imported file is not what its format promises."""

    template = "{file}, line {line}: {problem}"


class SchemaMismatch(ElearningError):
    """The schema of a shard is not the one that this release is written for."""

    template = (
        "shard {shard} is at revision {found}, this release needs {expected}: "
        "run 'elearning migrate' of this release first"
    )


class MigrationError(ElearningError):
    """A shard could not be migrated."""

    template = "shard {shard}: {problem}"


class ShardAhead(MigrationError):
    """A newer release has migrated the shard."""

    template = (
        "shard {shard} is at revision {found}, which this release does not know (its newest is "
        "{head}): migrate with the newer release"
    )


class ForeignDatabase(MigrationError):
    """The database holds something else than a shard."""

    template = (
        "shard {shard}: the database {database} at {address} is not one of ours, it holds {found}: "
        "correct the URL, or name an empty database"
    )


class RightsMissing(MigrationError):
    """The role that migrates may not do so."""

    template = (
        "shard {shard}: the role {role} may not {action} in {database} at {address}: "
        "set {variable} to the URL of the database's owner"
    )


class MigrationLocked(MigrationError):
    """Another migration holds the shard."""

    template = (
        "shard {shard}: another migration (process {pid} of the server) still runs after "
        "{seconds} s: wait for it, or give more time with --lock-wait"
    )


class MeshError(ElearningError):
    """The copies of the catalog could not be brought in order."""

    template = "copies of courses: {problem}"


class ClusterError(ElearningError):
    """The embedded cluster cannot do what was asked."""


class BinaryNotFound(ClusterError):
    """There is no server binary that can run here."""


class ServerStartError(ClusterError):
    """A server was started and did not become ready."""
