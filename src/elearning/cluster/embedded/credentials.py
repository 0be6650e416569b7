"""The passwords of a cluster, made once and kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from elearning.cluster.embedded.files import write_private
from elearning.errors import ClusterError

__all__ = ["APP", "OWNER", "READER", "REPLICATOR", "SECRETS_FILE", "SUPERUSER", "Credentials"]

SUPERUSER = "postgres"
OWNER = "elearning_owner"
APP = "elearning_app"
READER = "elearning_reader"
REPLICATOR = "elearning_replicator"

SECRETS_FILE = "secrets.json"


def _password() -> str:
    # URL-safe, so that it stands in a URL as it is.
    return secrets.token_urlsafe(24)


def _secret() -> str:
    return field(default_factory=_password, repr=False)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(96)).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """One password for each role, the same in every shard; none is shown by repr."""

    postgres: str = _secret()
    elearning_owner: str = _secret()
    elearning_app: str = _secret()
    elearning_reader: str = _secret()
    elearning_replicator: str = _secret()
    mongodb_root: str = _secret()
    mongodb_app: str = _secret()
    mongodb_key: str = field(default_factory=_key, repr=False)
    email_key: str = _secret()
    """What email addresses are hashed with."""

    def of(self, role: str) -> str:
        """Return the password of a PostgreSQL role."""
        return str(getattr(self, role))

    def roles(self) -> dict[str, str]:
        """Return the passwords of the roles that elearning itself uses."""
        return {role: self.of(role) for role in (OWNER, APP, READER, REPLICATOR)}

    @classmethod
    def keep(cls, folder: Path, data: Path | None) -> Credentials:
        """Read the folder's credentials, or make them where no data depends on them yet.

        Args:
            folder: of the cluster.
            data: where there are servers that know these passwords; None if there are none.

        Raises:
            ClusterError: they are gone, or cannot be read.
        """
        path = folder / SECRETS_FILE
        if path.exists():
            return cls.load(folder)
        if data:
            message = (
                f"{path} is gone, and with it the passwords of the servers in {data}: "
                "bring it back, or remove that folder to begin anew"
            )
            raise ClusterError(message)
        made = cls()
        write_private(path, json.dumps(asdict(made), indent=1))
        return made

    @classmethod
    def load(cls, folder: Path) -> Credentials:
        """Read the credentials of a cluster that was started before."""
        path = folder / SECRETS_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            # Made by an earlier release, which did not know it.
            missing = {"email_key": _password()} if "email_key" not in values else {}
            values |= missing
            found = cls(**{item.name: str(values[item.name]) for item in fields(cls)})
            if missing:
                write_private(path, json.dumps(asdict(found), indent=1))
        except (OSError, ValueError, KeyError, TypeError) as error:
            # The text of a ValueError could quote the file.
            message = f"{path} cannot be read: {type(error).__name__}"
            raise ClusterError(message) from None
        return found
