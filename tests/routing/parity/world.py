"""One database, and the kinds of sessions by which a scenario reaches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine, create_engine, event, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker
from sqlalchemy.orm.events import SessionEvents

from elearning.ids import new_id
from elearning.models import Base, CourseCategory, PaymentMethod, User, UserProfile
from elearning.routing import AsyncRoutingSession, Engines, RoutingSession, Token
from elearning.routing.replay import current_position

ANNA, BEN, CARA, DAN = (new_id(each) for each in ("europe", "africa", "europe", "europe"))
"""Three users that there are, and one that there is not."""
PROFILE = new_id("europe")  # Anna's
VISA, PAYPAL = new_id("europe"), new_id("europe")  # Anna's too
ROOT, MATHS, ART = new_id("europe"), new_id("europe"), new_id("europe")

Scenario = Callable[["World"], object]
AsyncScenario = Callable[["World"], Awaitable[object]]

EVENTS = [name for name in dir(SessionEvents) if not name.startswith("_") and name != "dispatch"]
OF_CONNECTIONS = {"after_begin", "after_transaction_create", "after_transaction_end"}
"""A unit of work that reads on a replica and then writes has two connections."""


class Outcome(NamedTuple):
    """All that can be seen of a scenario."""

    result: object
    content: object
    """What the database holds afterwards."""
    events: list[str]

    def without(self, names: set[str]) -> Outcome:
        """Leave out some events."""
        kept = [each for each in self.events if each.split()[0] not in names]
        # Rows of one flush or one close are told of in the order of a set.
        groups = groupby(kept, key=lambda each: each.split()[0])
        return self._replace(events=[each for _, group in groups for each in sorted(group)])


class Database:
    """The database of the shard eu, as its owner sees it."""

    tables = ("payment_methods", "user_profiles", "users", "course_categories", "outbox")

    def __init__(self, engines: Engines) -> None:
        shard = engines.settings.shard("eu")
        self._engine = create_engine(shard.owner_url, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()

    def fill(self) -> Token:
        """Put the same rows in, and return a token that sees them."""
        run = self._connection.execute
        run(text("; ".join(f"DELETE FROM {table}" for table in self.tables)))
        run(
            insert(User),
            [
                {"id": one, "email": f"{name.lower()}@example.com", "first_name": name}
                | {"last_name": "Old"}
                for one, name in ((ANNA, "Anna"), (BEN, "Ben"), (CARA, "Cara"))
            ],
        )
        run(insert(UserProfile), [{"id": PROFILE, "user_id": ANNA, "city": "Kyiv"}])
        cards = [(VISA, "credit_card", "Visa"), (PAYPAL, "paypal", "PayPal")]
        run(
            insert(PaymentMethod),
            [
                {"id": one, "user_id": ANNA, "method_type": kind, "brand": brand}
                for one, kind, brand in cards
            ],
        )
        trees = [(ROOT, None, "root"), (MATHS, ROOT, "maths"), (ART, ROOT, "art")]
        for one, parent, name in trees:
            values = {"id": one, "parent_id": parent, "slug": name, "category_name": name}
            run(insert(CourseCategory), [values])
        self._connection.commit()
        return Token(eu=current_position(self._connection))

    def content(self) -> dict[str, list[Any]]:
        """Return all rows, but for what is never the same."""
        return {
            table: list(
                self._connection.scalars(
                    text(
                        f"SELECT to_jsonb(t) - '{{created_at,updated_at}}'::text[] "
                        f"- CASE WHEN '{table}' = 'outbox' THEN 'id' ELSE '' END "
                        f"FROM {table} t ORDER BY id"
                    )
                )
            )
            for table in self.tables
        }

    def close(self) -> None:
        self._connection.execute(text("; ".join(f"DELETE FROM {table}" for table in self.tables)))
        self._connection.close()
        self._engine.dispose()


@dataclass
class World:
    """What a scenario is given: sessions of one kind.

    Args:
        engines: of one shard that hosts all regions; asynchronous for sessions of asyncio.
        token: sees what the scenario finds in the database.
        routes: whether its sessions route.
        consistency: of those that do.
    """

    engines: Engines
    token: Token
    routes: bool
    consistency: str = "session"
    events: list[str] = field(default_factory=list)
    _sessions: list[Session] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        """The primary's."""
        return self.engines.primary("eu").engine

    @property
    def cls(self) -> type[Session]:
        return RoutingSession if self.routes else Session

    @property
    def options(self) -> dict[str, Any]:
        """What leads a session to the database."""
        if not self.routes:
            return {"bind": self.engine}
        return {
            "engines": self.engines,
            "region": "europe",
            "token": Token(self.token),
            "consistency": self.consistency,
        }

    def open(self, **options: Any) -> Session:
        """Return a session that tells its events."""
        given = self.options | options
        session: Session
        if not self.engines.asynchronous:
            session = self.cls(**given)
        else:
            session = self.open_async(**options).sync_session
        self.watch(session)
        self._sessions.append(session)
        return session

    def open_async(self, **options: Any) -> AsyncSession:
        given = self.options | options
        if given.get("bind") is not None:
            given["bind"] = for_asyncio(given["bind"])
        if given.get("binds"):
            given["binds"] = {key: for_asyncio(bind) for key, bind in given["binds"].items()}
        return AsyncRoutingSession(**given) if self.routes else AsyncSession(**given)

    @property
    def async_engine(self) -> AsyncEngine:
        return AsyncEngine(self.engine)

    @property
    def async_maker_options(self) -> dict[str, Any]:
        if self.routes:
            return {"class_": AsyncRoutingSession, **self.options}
        return {"class_": AsyncSession, "bind": self.async_engine}

    def maker(self, **options: Any) -> sessionmaker[Session]:
        return sessionmaker(class_=self.cls, **self.options | options)

    def watch(self, session: Session) -> None:
        """Note every event of a session."""
        for name in EVENTS:
            event.listen(session, name, self._noting(name))

    def _noting(self, name: str) -> Callable[..., None]:
        def note(first: object, second: object = None, *_: object) -> None:
            about = ""
            if isinstance(first, ORMExecuteState):
                about = type(first.statement).__name__
            elif isinstance(second, Base):
                about = type(second).__name__
            self.events.append(f"{name} {about}".strip())

        return note

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        noted = list(self.events)
        for session in self._sessions:
            session.close()
        self.events = noted


def for_asyncio(bind: object) -> object:
    """Return an engine or a connection as asyncio's sessions take it."""
    if isinstance(bind, Connection):
        return AsyncConnection(AsyncEngine(bind.engine), bind)
    return AsyncEngine(bind) if isinstance(bind, Engine) else bind


def outcome(scenario: Scenario, world: World) -> tuple[object, list[str]]:
    """Play a scenario."""
    with world:
        result = scenario(world)
    return result, world.events


def raised(call: Callable[[], object]) -> str:
    """Return the name of the error that a call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any
        return type(error).__name__
    return "nothing"


def names(users: Iterable[Any]) -> list[str]:
    """Return the first names of some users, in order."""
    return sorted(user.first_name for user in users)
