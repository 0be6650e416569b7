"""Random units of work against a model of where each statement goes and what it sees.

The replicas stand still, so they show what there was before, for ever: a read that a session's
own writes do not keep from a replica sees that, and every other sees the primary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.orm.exc import StaleDataError

from elearning.errors import CrossShardWrite
from elearning.models import User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from elearning.testing.switches import Switches
from tests.served import served

pytestmark = pytest.mark.unmeasured

USERS = len(Region) * 2

some_user = st.integers(0, USERS - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["select", "get", "get", "update", "change"]), some_user),
        st.tuples(
            st.sampled_from(
                ["count", "commit", "rollback", "savepoint", "savepoint", "release", "undo"]
            ),
            st.just(0),
        ),
    ),
    max_size=14,
)


@dataclass
class World:
    """Users two by two of each region, and what the databases hold."""

    engines: Engines
    ids: list[UUID]
    shards: list[str]
    old: list[str]
    """What the replicas show."""
    committed: list[str]
    changed: set[int] = field(default_factory=set)
    serial: int = 0


@pytest.fixture
def world(engines: Engines, empty_databases: None, switches: Switches) -> Iterator[World]:
    ids: list[UUID] = []
    shards: list[str] = []
    with ExitStack() as stack:
        for region in Region:
            with RoutingSession(engines=engines, region=region) as session, bound(session):
                for _ in range(2):
                    ids.append(UserFactory.create(region=region, first_name="old").id)
                    shards.append(engines.home(region))
                session.commit()
        for shard in engines.shards:
            switches.catch_up(f"{shard}-replica-1")
            stack.enter_context(switches.replay_paused(f"{shard}-replica-1"))
        yield World(engines, ids, shards, ["old"] * USERS, ["old"] * USERS)


@dataclass
class Model:
    """What a session must do."""

    world: World
    home: str
    """The shard of the session's region."""
    token: set[str] = field(default_factory=set)
    """The shards that it has written on and committed."""
    written: str | None = None
    primaries: set[str] = field(default_factory=set)
    pending: list[dict[int, str]] = field(default_factory=lambda: [{}])
    """What was written, by savepoint."""
    held: dict[int, str] = field(default_factory=dict)
    """What the rows in the session say."""
    old: set[int] = field(default_factory=set)
    """Those of them that others have changed since."""
    touched: set[int] = field(default_factory=set)
    """Those of them that a statement of the session's own has changed since."""
    own: dict[int, str] = field(default_factory=dict)
    """What it has committed itself."""

    def node(self, shard: str) -> str:
        """Return where a read goes, and stay there."""
        if shard not in self.primaries and len(self.pending) > 1:
            self.primaries.add(shard)
        on_primary = shard in self.primaries or shard in self.token
        return f"{shard}-{'primary' if on_primary else 'replica-1'}"

    def seen(self, user: int) -> tuple[str, str]:
        """Return where a user is read, and what is read."""
        node = self.node(self.world.shards[user])
        if node.endswith("replica-1"):
            assert not any(user in layer for layer in self.pending)
            assert user not in self.own
            return node, self.world.old[user]
        for layer in reversed(self.pending):
            if user in layer:
                return node, layer[user]
        return node, self.world.committed[user]

    def writes(self, user: int) -> bool:
        """Pin the user's shard; False: that is refused."""
        shard = self.world.shards[user]
        if self.written not in {None, shard}:
            return False
        self.written = shard
        self.primaries.add(shard)
        return True

    def end(self, *, commits: bool) -> None:
        if commits:
            for layer in self.pending:
                for user, name in layer.items():
                    self.world.committed[user] = self.own[user] = name
                    self.world.changed.add(user)
            if self.written is not None and self.written in self.primaries:
                self.token.add(self.written)
        self.written, self.primaries, self.pending = None, set(), [{}]
        self.held.clear()
        self.old.clear()
        self.touched.clear()


def play(world: World, region: Region, todo: list[tuple[str, int]]) -> None:  # noqa: C901, PLR0912, PLR0915 - a case each
    model = Model(world, world.engines.home(region))
    rows: list[User] = []
    with RoutingSession(engines=world.engines, region=region, max_wait=0) as session:
        for what, user in todo:
            user_id = world.ids[user]
            with served(world.engines) as nodes:
                match what:
                    case "select":
                        node, name = model.seen(user)
                        one = select(User.first_name).where(User.id == user_id)
                        assert session.scalars(one).one() == name
                        assert set(nodes) == {node}
                    case "get":
                        if user in model.held:
                            assert session.get_one(User, user_id).first_name == model.held[user]
                            assert nodes == []
                        else:
                            node, name = model.seen(user)
                            rows.append(session.get_one(User, user_id))
                            assert rows[-1].first_name == name
                            assert set(nodes) == {node}
                            model.held[user] = name
                            if node.endswith("replica-1") and user in world.changed:
                                model.old.add(user)
                    case "count":
                        node = model.node(model.written or model.home)
                        session.scalar(select(func.count()).select_from(User))
                        assert set(nodes) == {node}
                    case "update" | "change":
                        world.serial += 1
                        name = f"new {world.serial}"
                        try:
                            if what == "update":
                                change = update(User).where(User.id == user_id)
                                session.execute(change.values(first_name=name))
                            else:
                                # Read as it is now, and locked: so no version is an old one.
                                rows.append(
                                    session.get_one(
                                        User, user_id, populate_existing=True, with_for_update=True
                                    )
                                )
                                rows[-1].first_name = name
                                session.flush()
                        except StaleDataError:
                            # It was read before somebody, or a statement of ours, changed it.
                            assert what == "change"
                            assert user in model.old | model.touched
                            assert model.writes(user)
                            session.rollback()
                            model.end(commits=False)
                        except CrossShardWrite:
                            assert not model.writes(user)
                            assert nodes == []
                            session.rollback()
                            model.end(commits=False)
                        else:
                            assert model.writes(user)
                            assert set(nodes) == {f"{world.shards[user]}-primary"}
                            model.pending[-1][user] = name
                            assert what == "update" or user not in model.old
                            if what == "update" and user in model.held:
                                model.touched.add(user)
                            if what == "change" or user in model.held:
                                model.held[user] = name
                    case "commit":
                        session.commit()
                        model.end(commits=True)
                    case "rollback":
                        session.rollback()
                        model.end(commits=False)
                    case "savepoint":
                        session.begin_nested()
                        model.pending.append({})
                    case "release" | "undo" if len(model.pending) > 1:
                        savepoint = session.get_nested_transaction()
                        assert savepoint is not None
                        layer = model.pending.pop()
                        if what == "release":
                            savepoint.commit()
                            model.pending[-1] |= layer
                        else:
                            savepoint.rollback()
                            for changed in layer:
                                model.held.pop(changed, None)
                                model.old.discard(changed)
                                model.touched.discard(changed)
            assert set(session.token) == model.token
            # Own writes are always seen.
            for layer in (model.own, *model.pending):
                for changed in layer:
                    assert model.seen(changed)[0].endswith("primary")
        # And so they are by whoever is given the token.
        session.rollback()
        with RoutingSession(engines=world.engines, token=str(session.token), max_wait=0) as other:
            for changed, name in model.own.items():
                assert other.get_one(User, world.ids[changed]).first_name == name


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(region=st.sampled_from(list(Region)), todo=steps)
def test_random_units_of_work(world: World, region: Region, todo: list[tuple[str, int]]) -> None:
    play(world, region, todo)
