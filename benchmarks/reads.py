"""A row by its id, a session for each read."""

from __future__ import annotations

from rich.table import Table
from sqlalchemy import select
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import Session

from benchmarks.courses import connect
from benchmarks.timing import compare
from elearning.ids import region_of
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound

ROUNDS = 1500


def point_reads(engines: Engines) -> Table:
    """Compare raw psycopg, a plain Session, ShardedSession and RoutingSession."""
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        user_id = UserFactory.create().id
        session.commit()
        # The replica has it from here on.
        session.execute(select(User.id).where(User.id == user_id)).one()
    replica = engines.replicas("eu")[0].engine
    raw = connect(replica.url)
    columns = ", ".join(column.name for column in User.__table__.columns)
    statement = f"SELECT {columns} FROM users WHERE id = %s"  # noqa: S608 - our own columns
    shards = {shard: engines.replicas(shard)[0].engine for shard in engines.shards}

    def by_psycopg() -> object:
        return raw.execute(statement, [user_id]).fetchone()

    def by_session() -> object:
        with Session(replica) as session:
            return session.get_one(User, user_id)

    def by_sharded_session() -> object:
        with ShardedSession(
            shard_chooser=lambda *_: "eu",
            identity_chooser=lambda _m, key, **_: [engines.home(region_of(key[0]))],
            execute_chooser=lambda _: ["eu"],
            shards=shards,
        ) as session:
            return session.get_one(User, user_id)

    def by_routing_session() -> object:
        with RoutingSession(engines=engines, region="asia") as session:
            return session.get_one(User, user_id)

    try:
        return compare(
            "point read by id, a session for each",
            {
                "plain Session, one engine": by_session,
                "ShardedSession": by_sharded_session,
                "RoutingSession": by_routing_session,
                "raw psycopg, autocommit": by_psycopg,
            },
            ROUNDS,
        )
    finally:
        raw.close()
