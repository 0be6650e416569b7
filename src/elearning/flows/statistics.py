"""What the platform holds, the documents too."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from elearning import crud
from elearning.crud import PlatformStatistics
from elearning.documents import CourseContent, UserPreferences, mongo_errors
from elearning.errors import NodeUnavailable
from elearning.flows.platform import Platform
from elearning.routing import Consistency, OnShardError, Token

__all__ = ["platform_statistics"]

_MONGODB = "mongodb"
_COLLECTIONS = (CourseContent.Settings.name, UserPreferences.Settings.name)


async def platform_statistics(
    platform: Platform,
    *,
    consistency: Consistency | str = Consistency.SESSION,
    token: Token | str | None = None,
    on_shard_error: OnShardError = "raise",
) -> PlatformStatistics:
    """Return the figures of the platform, with the number of documents.

    Documents are counted as MongoDB knows it without looking through them: after a crash of its
    server that number may be off until ``validate`` has been run on the collections.

    Args:
        platform: the databases.
        consistency: see `fan_out`.
        token: see `fan_out`.
        on_shard_error: "partial" leaves out shards that do not answer, and MongoDB; `missing`
            tells which, and why.

    Raises:
        NodeUnavailable: a shard or MongoDB does not answer.
    """
    found, documents = await asyncio.gather(
        crud.platform_statistics().everywhere_async(
            platform.engines, consistency=consistency, token=token, on_shard_error=on_shard_error
        ),
        _documents(platform),
        return_exceptions=True,
    )
    if isinstance(found, BaseException):
        raise found
    if isinstance(documents, int):
        return replace(found, documents=documents)
    if on_shard_error == "raise" or not isinstance(documents, NodeUnavailable):
        raise documents
    return replace(found, missing={**found.missing, _MONGODB: documents})


async def _documents(platform: Platform) -> int:
    with mongo_errors():
        numbers = await asyncio.gather(
            *(platform.documents.database[name].estimated_document_count() for name in _COLLECTIONS)
        )
    return sum(map(int, numbers))
