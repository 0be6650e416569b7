"""Proxies before the nodes of the shared cluster."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from elearning.config import Settings
from elearning.errors import ClusterError
from elearning.testing.proxies import Proxies

NODES = {f"{shard}-{place}" for shard in ("na", "eu", "asia") for place in ("primary", "replica-1")}


def ask(url: URL, statement: str = "SELECT current_setting('cluster_name')") -> str:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return str(connection.scalar(text(statement)))


def test_each_node_is_behind_a_proxy_of_its_own(settings: Settings, proxies: Proxies) -> None:
    assert set(proxies) == NODES
    assert len(proxies) == len(proxies.values()) == len(NODES)
    assert proxies.settings.mongodb == settings.mongodb
    for shard, direct in zip(proxies.settings.shards, settings.shards, strict=True):
        assert (shard.name, shard.regions) == (direct.name, direct.regions)
        for name, url in (
            (f"{shard.name}-primary", shard.primary),
            (f"{shard.name}-replica-1", shard.replicas[0]),
        ):
            seen = proxies[name].seen
            assert ask(url) == name
            assert proxies[name].seen == seen + 1
        owner = ask(shard.owner_url, "SELECT current_user")
        assert owner == "elearning_owner"
        assert proxies[f"{shard.name}-primary"].seen == 2


def test_the_latency_of_one_node_is_its_own(proxies: Proxies) -> None:
    proxies["eu-replica-1"].latency = 0.03
    shard = proxies.settings.shard("eu")
    taken: dict[str, float] = {}
    for name, url in (("primary", shard.primary), ("replica", shard.replicas[0])):
        with create_engine(url, poolclass=NullPool).connect() as connection:
            start = monotonic()
            connection.exec_driver_sql("SELECT 1")
            taken[name] = monotonic() - start
    # A transaction begins with a message of its own.
    assert 0.06 <= taken["replica"] < 0.2
    assert taken["primary"] < 0.03


def test_a_node_that_refuses_is_refused_to_libpq(proxies: Proxies) -> None:
    url = proxies.settings.shard("na").primary
    proxies["na-primary"].refuse()
    with pytest.raises(OperationalError, match="Connection refused"):
        ask(url)
    proxies["na-primary"].accept()
    assert ask(url) == "na-primary"


def test_a_big_result_comes_through(proxies: Proxies) -> None:
    length = 100 << 20
    url = proxies.settings.shard("asia").primary
    start = monotonic()
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT repeat('x', :length)"), {"length": length})
    assert found is not None
    assert len(found) == length
    # Under 1 s where nothing else runs.
    assert monotonic() - start < 10


def test_no_password_is_shown(settings: Settings, proxies: Proxies) -> None:
    url = proxies.settings.shard("eu").primary
    assert url.password == settings.shard("eu").primary.password
    assert url.password
    for shown in (proxies.settings, proxies, proxies["eu-primary"]):
        assert url.password not in f"{shown!r} {shown}"


def test_chosen_nodes_alone(settings: Settings) -> None:
    proxies = Proxies(settings, nodes=["eu-replica-1"])
    with pytest.raises(ClusterError, match="the proxies do not run"):
        _ = proxies.settings
    with proxies:
        assert [*proxies] == ["eu-replica-1"]
        shard, direct = proxies.settings.shard("eu"), settings.shard("eu")
        assert (shard.primary, shard.owner) == (direct.primary, direct.owner)
        assert ask(shard.replicas[0]) == "eu-replica-1"
        assert proxies["eu-replica-1"].seen == 1
        assert proxies.settings.shard("na") == settings.shard("na")
        with pytest.raises(ClusterError, match="no proxy is before 'eu-primary': there are eu-rep"):
            _ = proxies["eu-primary"]
    with pytest.raises(ClusterError, match="the proxies do not run"):
        _ = proxies.settings


def test_an_owner_at_another_address_is_left_alone(settings: Settings) -> None:
    shards = tuple(
        replace(shard, owner=shard.owner_url.set(port=1) if shard.name == "eu" else None)
        for shard in settings.shards
    )
    with Proxies(replace(settings, shards=shards)) as proxies:
        assert proxies.settings.shard("eu").owner_url.port == 1
        assert proxies.settings.shard("na").owner is None


def test_what_cannot_be_proxied_is_refused(settings: Settings) -> None:
    with pytest.raises(ClusterError, match="no node 'eu-replica-2': there are na-primary, na-rep"):
        Proxies(settings, nodes=["eu-primary", "eu-replica-2"])
    first, *others = settings.shards
    several = first.primary.update_query_dict({"host": ["one:5432", "two:5432"]})
    first = replace(first, primary=several)
    with pytest.raises(ClusterError, match="the URL of na-primary names several hosts"):
        Proxies(replace(settings, shards=(first, *others)))
