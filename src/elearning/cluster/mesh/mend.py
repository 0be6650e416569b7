"""The copies of one shard's catalog on another one: made, mended and extended, all alike.

The home of the rows keeps writers waiting while its rows are read, so that the subscription begins
exactly where that ended; they are compared with their copies then. Nothing on the subscriber's
side is seen before all of it is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable

from elearning.cluster.mesh import publication, slots, subscription
from elearning.cluster.mesh.connecting import problem_of
from elearning.cluster.mesh.locking import writers_waiting
from elearning.cluster.mesh.names import slot_name, subscription_name
from elearning.cluster.mesh.needs import address_in, note_of, why_mend
from elearning.cluster.mesh.report import NOTHING, PairResult
from elearning.cluster.mesh.rescue import Rescued, bring_back
from elearning.cluster.mesh.shards import Opened
from elearning.cluster.mesh.synchronize import bring_in_line, fetch, sum_up
from elearning.errors import ElearningError, MeshError

__all__ = ["Pair"]

_TRIES = 3
_PAUSE = 0.5  # seconds between two tries
_IN_THE_WAY = (LockNotAvailable, DeadlockDetected)
_MOST_TOLD = 3

logger = logging.getLogger("elearning.mesh")


class Pair:
    """Two shards, one of which has copies of the other's rows.

    Args:
        publisher: the home of the rows.
        subscriber: where the copies are.
    """

    def __init__(self, publisher: Opened, subscriber: Opened) -> None:
        self._home = publisher
        self._away = subscriber
        self._name = subscription_name(publisher.shard)
        self._slot = slot_name(publisher.shard, subscriber.shard)
        self._codes = [region.code for region in publisher.shard.regions]
        self._why: str | None = None
        self._problem = publisher.problem or subscriber.problem

    def prepare(self) -> None:
        """Find out whether the copies are right, and end a subscription that is not."""
        if self._problem is not None:
            return
        try:
            found = subscription.steady(self._away.owner).get(self._name)
            self._why = why_mend(
                self._home.shard,
                self._away.shard,
                found,
                slots.slots(self._home.replicator),
                self._note(),
            )
            if self._why is not None and found is not None:
                subscription.drop(self._away.owner, self._name)
        except (psycopg.Error, ElearningError) as error:
            self._problem = self._told(error)

    def mend(self) -> PairResult:
        """Do what is needed, and tell what it was."""
        if self._problem is not None:
            return self._result("not done", problem=self._problem)
        try:
            return self._tend() if self._why is None else self._make_patiently(self._why)
        except (psycopg.Error, ElearningError) as error:
            return self._result("not done", problem=self._told(error))

    def _tend(self) -> PairResult:
        """Lead a subscription that is right to its publisher, and see that it runs."""
        done = []
        owner = self._away.owner
        found = subscription.subscriptions(owner)[self._name]
        note = self._note()
        if address_in(found.note) != address_in(note) or (found.enabled and not found.running):
            with owner.transaction():
                subscription.connect_to(owner, self._home.shard)
                subscription.note(owner, self._name, note)
            done.append("its connection was set")
        if not found.enabled:
            subscription.enable(owner, self._name)
            done.append("it was enabled")
        return self._checked(", ".join(done) or NOTHING)

    def _make_patiently(self, why: str) -> PairResult:
        for left in reversed(range(_TRIES)):
            try:
                return self._make(why)
            except _IN_THE_WAY as error:
                if not left:
                    raise
                logger.warning(
                    "%s to %s: tried again, for %s",
                    self._home.shard.name,
                    self._away.shard.name,
                    problem_of(error),
                )
                sleep(_PAUSE)
        raise AssertionError

    def _make(self, why: str) -> PairResult:
        with self._new_slot():
            rescued, rows = self._subscribe()
        made = self._checked(f"copied: {why}")
        return self._result(
            made.action, rows, rescued.rows, made.problem or _told_of(rescued, self._home)
        )

    @contextmanager
    def _new_slot(self) -> Iterator[None]:
        """Make a slot that nobody has read from; without a subscription it goes again."""
        slots.drop(self._home.replicator, self._slot)
        # Before anything is locked: it waits for the transactions that are open now.
        slots.create(self._home.replicator, self._slot)
        try:
            yield
        except BaseException:
            # It would keep the publisher's log. If it stays, the next run drops it.
            with suppress(psycopg.Error, ElearningError):
                slots.drop(self._home.replicator, self._slot)
            raise

    def _subscribe(self) -> tuple[Rescued, int]:
        """Subscribe from a moment on at which the copies are equal to their originals."""
        home, away = self._home.owner, self._away.owner
        rescued = bring_back(home, away, self._codes)
        sum_up(home)
        with away.transaction():
            away.execute("SET LOCAL lock_timeout = '10s'")
            subscription.subscribe(away, self._home.shard, self._away.shard)
            with writers_waiting(home):
                slots.advance(self._home.replicator, self._slot)
                fetch(home, away, self._codes)
            rows = bring_in_line(away, self._codes)
            # A sum that was wrong would stop the copies with the next change of a review.
            sum_up(away)
            subscription.note(away, self._name, self._note(len(rescued.left)))
        return rescued, rows

    def _checked(self, action: str) -> PairResult:
        if subscription.wait_running(self._away.owner, self._name):
            return self._result(action)
        problem = "it does not run: the log of the subscriber's server tells why"
        return self._result(action, problem=problem)

    def _note(self, left: int = 0) -> str:
        return note_of(
            self._home.shard,
            there=self._home.timeline,
            here=self._away.timeline,
            publication=publication.publication_id(self._home.owner),
            left=left,
        )

    def _result(
        self, action: str, rows: int = 0, brought_back: int = 0, problem: str | None = None
    ) -> PairResult:
        return PairResult(
            self._home.shard.name, self._away.shard.name, action, rows, brought_back, problem
        )

    def _told(self, error: psycopg.Error | ElearningError) -> str:
        if isinstance(error, MeshError):
            return str(error.values.get("problem", error))
        urls = [
            url
            for one in (self._home, self._away)
            for url in (one.shard.owner_url, one.shard.replication)
        ]
        return problem_of(error, *urls)


def _told_of(rescued: Rescued, home: Opened) -> str | None:
    if not rescued.left:
        return None
    shown = ", ".join(rescued.left[:_MOST_TOLD])
    more = f" and {len(rescued.left) - _MOST_TOLD} more" if len(rescued.left) > _MOST_TOLD else ""
    return f"lost at {home.shard.name}, which does not take it back from its copy: {shown}{more}"
