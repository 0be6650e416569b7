"""Settings: which shards there are, where their nodes are, and MongoDB.

============================  =======================================================
variable                      meaning
============================  =======================================================
ELEARNING_SHARDS              names of all shards, separated by spaces or commas
ELEARNING_SHARD_<N>_REGIONS   the regions that shard <N> hosts (may be empty)
ELEARNING_SHARD_<N>_PRIMARY   URL of its primary, as the application's role
ELEARNING_SHARD_<N>_REPLICAS  URLs of its replicas, separated by spaces (may be empty)
ELEARNING_SHARD_<N>_OWNER     URL of its primary, as the role that migrates
                              (default: PRIMARY)
ELEARNING_SHARD_<N>_REPLICATION
                              URL of its primary, as other shards' servers reach it, with
                              the role that replicates (needed where there are several)
ELEARNING_EMAIL_KEYS          secrets that email addresses are hashed with (docs/claims.md),
                              separated by spaces; the first one is looked up
ELEARNING_MONGODB_URL         URL of MongoDB, with the database's name as its path
ELEARNING_CLUSTER_DIR         folder of the embedded cluster (default: .elearning)
ELEARNING_<LIMIT>             a limit of `Limits`, such as ELEARNING_MAX_LAG_SECONDS
============================  =======================================================

The environment comes first, then `.env`; where neither has ELEARNING_SHARDS, a
running embedded cluster supplies what is missing (``elearning up``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from math import inf, nan
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from elearning.errors import SettingsError, UnknownRegion
from elearning.regions import Region

__all__ = [
    "Limits",
    "MongoSettings",
    "Settings",
    "Shard",
    "address_of",
    "cluster_folder",
    "connect_options",
]

DRIVER = "postgresql+psycopg"
CLUSTER_ENV = "cluster.env"
_UNENCODED = "has more than one @: write one in the user or the password as %40"
_LEAST_KEY = 16
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True, slots=True)
class Shard:
    """One primary with its replicas, hosting some regions (or none)."""

    name: str
    regions: tuple[Region, ...]
    primary: URL
    replicas: tuple[URL, ...] = ()
    owner: URL | None = None
    replication: URL | None = None
    """As other shards' servers reach its primary, to copy its catalog."""

    @property
    def nodes(self) -> tuple[tuple[str, URL], ...]:
        """The names and URLs of its nodes, the primary first."""
        replicas = enumerate(self.replicas, start=1)
        return (
            (f"{self.name}-primary", self.primary),
            *((f"{self.name}-replica-{number}", url) for number, url in replicas),
        )

    @property
    def owner_url(self) -> URL:
        """Where migrations connect."""
        return self.owner or self.primary


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """Where MongoDB is; the URL holds a password and is left out of ``repr``."""

    url: str = field(repr=False)
    database: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited, and when a node is left out; seconds unless named otherwise.

    A replica is fit while its lag is at most ``max_lag_seconds`` or at most
    ``max_lag_bytes``, as at GitLab: seconds mean nothing where nothing is written.
    """

    _OVER_0: ClassVar = frozenset({"check_interval", "max_silence", "claim_age"})

    max_wait: float = 0.5
    """A read waits so long for a replica to have what it must see; then the primary reads."""
    max_lag_seconds: float = 60.0
    max_lag_bytes: float = 8 * 1024 * 1024
    check_interval: float = 1.0
    """Between two looks at a node; each is up to a quarter earlier or later."""
    max_silence: float = 1.5
    """A node that does not answer a look for so long is left out, and its connections end."""
    claim_age: float = 60.0
    """A claim that has been pending for so long is settled by recovery (docs/claims.md)."""
    max_copy_wait: float = 5.0
    """`enroll` waits so long for the copy of a course that was published elsewhere just now."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Limits:
        """Read the limits that are set.

        Raises:
            SettingsError: one is no number, or too small.
        """
        found: dict[str, float] = {}
        for each in fields(cls):
            variable = f"ELEARNING_{each.name.upper()}"
            if text := values.get(variable, "").strip():
                found[each.name] = _number(variable, text, over_0=each.name in cls._OVER_0)
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked: every region has exactly one home."""

    shards: tuple[Shard, ...]
    mongodb: MongoSettings
    limits: Limits = Limits()
    email_keys: tuple[str, ...] = field(default=(), repr=False)
    """What email addresses are hashed with; the first one is looked up."""

    @classmethod
    def load(
        cls, folder: Path | str | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Read the environment, then `.env` and the embedded cluster in ``folder``.

        Args:
            folder: where `.env` and `.elearning` are; default: the current folder.
            environ: used in place of ``os.environ``.

        Raises:
            SettingsError: a variable is missing or wrong; the message names it.
        """
        root = Path(folder) if folder is not None else Path.cwd()
        values = _dotenv(root / ".env") | dict(os.environ if environ is None else environ)
        if not values.get("ELEARNING_SHARDS", "").strip():
            values = _dotenv(cluster_folder(root, values) / CLUSTER_ENV) | {
                name: value for name, value in values.items() if name != "ELEARNING_SHARDS"
            }
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, str]) -> Settings:
        """Build settings from variables; reads no file and no environment.

        Raises:
            SettingsError: a variable is missing or wrong; the message names it.
        """
        names = _words(values.get("ELEARNING_SHARDS", ""))
        if not names:
            raise SettingsError(
                variable="ELEARNING_SHARDS",
                problem="names no shard: set it, or start databases with 'elearning up'",
            )
        for name in names:
            if not _NAME.fullmatch(name):
                raise SettingsError(
                    variable="ELEARNING_SHARDS",
                    problem=f"{name!r} is no shard name: use a-z, 0-9 and _, a letter first",
                )
            if names.count(name) > 1:
                raise SettingsError(
                    variable="ELEARNING_SHARDS", problem=f"names the shard {name!r} twice"
                )
        shards = tuple(_shard(name, values) for name in names)
        _check_homes(shards)
        return cls(shards, _mongodb(values), Limits.from_mapping(values), _email_keys(values))

    def shard(self, name: str) -> Shard:
        """Return the shard of this name.

        Raises:
            SettingsError: no shard has this name.
        """
        for shard in self.shards:
            if shard.name == name:
                return shard
        known = ", ".join(shard.name for shard in self.shards)
        raise SettingsError(
            variable="ELEARNING_SHARDS", problem=f"has no shard {name!r}, only {known}"
        )

    def home(self, region: Region | str) -> Shard:
        """Return the shard that hosts a region.

        Raises:
            UnknownRegion: no region has this name.
        """
        wanted = Region.parse(region)
        return next(shard for shard in self.shards if wanted in shard.regions)


def address_of(url: URL) -> str:
    """Return host and port of a URL, without user and password."""
    hosts: Iterable[str] = url.normalized_query.get("host", ())
    return ",".join(hosts) or f"{url.host}:{url.port or 5432}"


def connect_options(url: URL) -> dict[str, Any]:
    """Return the arguments with which psycopg connects to a URL."""
    options: dict[str, Any] = PGDialect_psycopg().create_connect_args(url)[1]
    return options


def cluster_folder(root: Path, values: Mapping[str, str]) -> Path:
    """Return where the embedded cluster of a project folder is kept."""
    return root / (values.get("ELEARNING_CLUSTER_DIR") or ".elearning")


def _dotenv(path: Path) -> dict[str, str]:
    """Read a file of variables; one that is not there has none."""
    values: dict[str, str] = {}
    try:
        # The parser alone, without interpolation: a "$" in a password is a "$".
        with path.open(encoding="utf-8") as file:
            for binding in parse_stream(file):
                if binding.error:
                    raise SettingsError(
                        variable=f"{path}, line {binding.original.line}",
                        problem="is not of the form NAME='value'",
                    )
                if binding.key is not None and binding.value is not None:
                    values[binding.key] = binding.value
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(variable=str(path), problem=f"cannot be read: {error}") from None
    return values


def _number(variable: str, text: str, *, over_0: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not 0 <= number < inf or (over_0 and not number):
        least = "above 0" if over_0 else "0 or more"
        raise SettingsError(variable=variable, problem=f"is {text!r}, expected a number, {least}")
    return number


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _shard(name: str, values: Mapping[str, str]) -> Shard:
    prefix = f"ELEARNING_SHARD_{name.upper()}_"
    if not values.get(prefix + "PRIMARY", "").strip():
        raise SettingsError(
            variable=prefix + "PRIMARY", problem=f"is not set: shard {name!r} needs a primary"
        )
    # A comma may stand inside a URL (several hosts), so only spaces separate URLs.
    return Shard(
        name=name,
        regions=tuple(_regions(prefix + "REGIONS", values)),
        primary=_url(prefix + "PRIMARY", values[prefix + "PRIMARY"].strip(), "primary"),
        replicas=tuple(
            _url(prefix + "REPLICAS", url, "standby")
            for url in values.get(prefix + "REPLICAS", "").split()
        ),
        owner=_url(prefix + "OWNER", owner, "primary")
        if (owner := values.get(prefix + "OWNER", "").strip())
        else None,
        replication=_url(prefix + "REPLICATION", replication, "primary")
        if (replication := values.get(prefix + "REPLICATION", "").strip())
        else None,
    )


def _regions(variable: str, values: Mapping[str, str]) -> Iterator[Region]:
    for name in _words(values.get(variable, "")):
        try:
            yield Region.parse(name)
        except UnknownRegion as error:
            raise SettingsError(variable=variable, problem=str(error)) from None


def _url(variable: str, text: str, wanted: str) -> URL:
    # No message quotes the text: it may hold a password.
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError(
            variable=variable, problem=f"is no URL of the form {DRIVER}://user:password@host/name"
        ) from None
    if url.drivername != DRIVER:
        raise SettingsError(
            variable=variable,
            problem=f"starts with {url.drivername}://, expected {DRIVER}:// (name the driver)",
        )
    if not url.database:
        raise SettingsError(variable=variable, problem="names no database at the end of the URL")
    if "@" in (url.host or ""):
        raise SettingsError(variable=variable, problem=_UNENCODED)
    if "," in address_of(url) and "target_session_attrs" not in url.query:
        # Of several hosts, the one in this role: a promoted replica is followed.
        url = url.update_query_dict({"target_session_attrs": wanted})
    return url


def _check_homes(shards: tuple[Shard, ...]) -> None:
    homes: dict[Region, str] = {}
    places: dict[tuple[str, str | None], str] = {}
    for shard in shards:
        place = address_of(shard.primary), shard.primary.database
        if other := places.get(place):
            raise SettingsError(
                variable=f"ELEARNING_SHARD_{shard.name.upper()}_PRIMARY",
                problem=f"leads to the database of shard {other!r}: each shard has its own",
            )
        places[place] = shard.name
        variable = f"ELEARNING_SHARD_{shard.name.upper()}_REGIONS"
        for region in shard.regions:
            if region in homes:
                other = homes[region]
                where = "twice" if other == shard.name else f"by shard {other!r} too"
                raise SettingsError(variable=variable, problem=f"{region} is hosted {where}")
            homes[region] = shard.name
    missing = [region for region in Region if region not in homes]
    if missing:
        raise SettingsError(
            variable="ELEARNING_SHARD_<name>_REGIONS",
            problem=f"no shard hosts {', '.join(missing)}: add it to one of "
            + ", ".join(f"ELEARNING_SHARD_{shard.name.upper()}_REGIONS" for shard in shards),
        )


def _email_keys(values: Mapping[str, str]) -> tuple[str, ...]:
    # No message quotes a key.
    variable = "ELEARNING_EMAIL_KEYS"
    keys = tuple(values.get(variable, "").split())
    if any(len(key) < _LEAST_KEY for key in keys):
        raise SettingsError(
            variable=variable, problem=f"holds a key of less than {_LEAST_KEY} characters"
        )
    if len(set(keys)) < len(keys):
        raise SettingsError(variable=variable, problem="holds a key twice")
    return keys


def _mongodb(values: Mapping[str, str]) -> MongoSettings:
    variable = "ELEARNING_MONGODB_URL"
    url = values.get(variable, "").strip()
    if not url:
        raise SettingsError(variable=variable, problem="is not set")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"mongodb", "mongodb+srv"} or not parts.netloc:
        raise SettingsError(
            variable=variable, problem="is no URL of the form mongodb://user:password@host/name"
        )
    if parts.netloc.count("@") > 1:
        raise SettingsError(variable=variable, problem=_UNENCODED)
    database = parts.path.strip("/")
    if not database or "/" in database:
        raise SettingsError(variable=variable, problem="names no database at the end of the URL")
    return MongoSettings(url, database)
