"""Proxies before the PostgreSQL nodes of some settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from sqlalchemy import URL

from elearning.cluster.embedded.ports import LOOPBACK
from elearning.config import Settings, Shard
from elearning.errors import ClusterError
from elearning.testing.proxy import TcpProxy

__all__ = ["Proxies"]


class Proxies:
    """A `TcpProxy` before each chosen node, for the time of a ``with`` block.

    By the names of nodes: ``proxies["eu-primary"].latency = 0.04``.

    Args:
        settings: where the nodes are.
        nodes: names such as "eu-replica-1"; default: every PostgreSQL node.

    Raises:
        ClusterError: there is no such node, or a URL names several hosts.
    """

    def __init__(self, settings: Settings, nodes: Collection[str] | None = None) -> None:
        urls = {name: url for shard in settings.shards for name, url in shard.nodes}
        for name in urls if nodes is None else nodes:
            if name not in urls:
                message = f"no node {name!r}: there are {', '.join(urls)}"
                raise ClusterError(message)
        self._direct = settings
        self._settings: Settings | None = None
        self._proxies = {
            name: _proxy(name, url) for name, url in urls.items() if nodes is None or name in nodes
        }
        self._stack = ExitStack()

    @property
    def settings(self) -> Settings:
        """The settings that lead through the proxies.

        Raises:
            ClusterError: the proxies do not run.
        """
        if self._settings is None:
            message = "the proxies do not run: enter them by `with` first"
            raise ClusterError(message)
        return self._settings

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for proxy in self._proxies.values():
                stack.enter_context(proxy)
            self._stack = stack.pop_all()
        shards = tuple(self._lead(shard) for shard in self._direct.shards)
        self._settings = replace(self._direct, shards=shards)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._settings = None
        self._stack.close()

    def __getitem__(self, name: str) -> TcpProxy:
        try:
            return self._proxies[name]
        except KeyError:
            message = f"no proxy is before {name!r}: there are {', '.join(self._proxies)}"
            raise ClusterError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._proxies)

    def __len__(self) -> int:
        return len(self._proxies)

    def values(self) -> Collection[TcpProxy]:
        """Return all proxies."""
        return self._proxies.values()

    def _lead(self, shard: Shard) -> Shard:
        urls = {name: self._through(name, url) for name, url in shard.nodes}
        primary, *replicas = urls.values()
        owner = shard.owner
        if owner and _address(owner) == _address(shard.primary):
            owner = self._through(next(iter(urls)), owner)
        return replace(shard, primary=primary, replicas=tuple(replicas), owner=owner)

    def _through(self, name: str, url: URL) -> URL:
        proxy = self._proxies.get(name)
        return url.set(host=LOOPBACK, port=proxy.port) if proxy else url


def _proxy(name: str, url: URL) -> TcpProxy:
    if "host" in url.query or url.host is None:
        message = f"the URL of {name} names several hosts, or none: a proxy leads to one"
        raise ClusterError(message)
    return TcpProxy(_address(url)[1], host=url.host)


def _address(url: URL) -> tuple[str | None, int]:
    return url.host, url.port or 5432
