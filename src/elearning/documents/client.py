"""The connection to MongoDB, on PyMongo's async API (Beanie 2) or Motor (Beanie 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import beanie
from beanie import Document, init_beanie
from beanie.exceptions import CollectionWasNotInitialized
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidOperation,
    InvalidURI,
    OperationFailure,
)
from pymongo.monitoring import CommandListener

from elearning.config import MongoSettings
from elearning.documents.course_content import CourseContent
from elearning.documents.user_preferences import UserPreferences
from elearning.errors import NodeUnavailable, SettingsError

__all__ = ["DOCUMENTS", "Documents", "insert_once", "mongo_errors"]

DOCUMENTS: tuple[type[Document], ...] = (CourseContent, UserPreferences)
ON_MOTOR = beanie.__version__.startswith("1.")
_AUTHENTICATION_FAILED = 18  # MongoDB's error codes, AuthenticationFailed


class Documents:
    """An open connection; Beanie binds the documents to it for the whole process.

    Args:
        settings: where MongoDB is.
        timeout: seconds to look for a server before an operation fails.
        answer_timeout: seconds that a server may take to answer.
        listeners: are told of every command (`pymongo.monitoring`).
    """

    _latest: ClassVar[Documents | None] = None

    def __init__(
        self,
        settings: MongoSettings,
        *,
        timeout: float = 2.0,
        answer_timeout: float = 5.0,
        listeners: Sequence[CommandListener] = (),
    ) -> None:
        options: dict[str, Any] = {
            "uuidRepresentation": "standard",
            "tz_aware": True,
            "appname": "elearning",
            "event_listeners": list(listeners),
            "serverSelectionTimeoutMS": int(timeout * 1000),
            "connectTimeoutMS": int(timeout * 1000),
            # A server that hangs must not hold up a flow for ever.
            "socketTimeoutMS": int(answer_timeout * 1000),
        }
        try:
            self.client: Any = _client_class()(settings.url, **options)
        except (ConfigurationError, InvalidURI, ValueError) as error:
            raise SettingsError(variable="ELEARNING_MONGODB_URL", problem=str(error)) from None
        self.database: Any = self.client[settings.database]

    async def open(self) -> None:
        """Bind the documents and create their indexes.

        Raises:
            NodeUnavailable: MongoDB does not answer, or refuses the password.
        """
        with mongo_errors():
            await init_beanie(database=self.database, document_models=list(DOCUMENTS))
        Documents._latest = self

    @property
    def is_bound(self) -> bool:
        """Whether the documents are bound here: the latest to be opened in a process has them."""
        return Documents._latest is self

    async def close(self) -> None:
        """Close all connections."""
        closed = self.client.close()
        if not ON_MOTOR:
            await closed


def _client_class() -> Any:
    if ON_MOTOR:
        from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 - only with the extra

        return AsyncIOMotorClient
    from pymongo import AsyncMongoClient  # noqa: PLC0415

    return AsyncMongoClient


@contextmanager
def mongo_errors() -> Iterator[None]:
    """Raise the driver's connection errors as `NodeUnavailable`."""
    try:
        yield
    except CollectionWasNotInitialized as error:
        problem = "it was not opened, open a Platform first"
        raise NodeUnavailable(node="mongodb", address="its URL", problem=problem) from error
    except (ConnectionFailure, InvalidOperation) as error:
        problem = str(error).split(",", 1)[0]
        raise NodeUnavailable(node="mongodb", address="its URL", problem=problem) from error
    except OperationFailure as error:
        if error.code != _AUTHENTICATION_FAILED:
            raise
        raise NodeUnavailable(
            node="mongodb", address="its URL", problem="it refuses user or password"
        ) from error


async def insert_once(document: Document, **key: Any) -> None:
    """Insert a document unless one with this unique key is there; safe to repeat."""
    values = document.model_dump(exclude={"id", "revision_id"} | set(key))
    with mongo_errors():
        await type(document).find_one(key).update({"$setOnInsert": values}, upsert=True)
