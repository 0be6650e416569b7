"""What it costs to find out where a statement goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Any

from rich.table import Table
from sqlalchemy import event, func, insert, literal, select, update
from sqlalchemy.orm import ORMExecuteState, Session

from benchmarks.timing import differences, measure
from elearning.ids import new_id
from elearning.models import Course, Enrollment, User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession

ROUNDS = 500
STATEMENTS = 20  # in a turn
ROUNDS_OF_READS = 100
READS = 20

_ID, _SAME_SHARD = new_id(Region.EUROPE), new_id(Region.AFRICA)
_BY_EMAIL = select(User).where(User.email == "ada@routing.example")
_BY_EMAIL_IN_EUROPE = _BY_EMAIL.execution_options(region=Region.EUROPE)
_numbers = count()

Make = Callable[[], Any]
Run = Callable[[Any], object]

_KNOWN: Mapping[str, Make] = {
    "the statement's option": lambda: _BY_EMAIL_IN_EUROPE,
    "the session's region": lambda: _BY_EMAIL,
}
_SEEN: Mapping[str, Make] = {
    "an id": lambda: select(User).where(User.id == _ID),
    "a join, ids by IN": lambda: (
        select(Enrollment, Course)
        .join(Course, Course.id == Enrollment.course_id)
        .where(Enrollment.user_id.in_([_ID, _SAME_SHARD]))
        .order_by(Course.title)
        .limit(10)
    ),
    "no id": lambda: select(User).where(func.lower(User.email) == "ada@routing.example"),
}
_WRITES: Mapping[str, Make] = {
    "an UPDATE": lambda: update(User).where(User.id == _ID).values(first_name="Ada"),
    "an INSERT": lambda: insert(User).values(id=_ID, first_name="Ada"),
}
_FIRST: Mapping[str, Make] = {
    "an id": lambda: select(User, literal(1).label(f"n{next(_numbers)}")).where(User.id == _ID),
}


def decisions(engines: Engines) -> Table:
    """Tell what routing adds to a statement, without sending one.

    Sessions of both kinds execute the same statements, up to where they know the engine and
    the statement's key in SQLAlchemy's cache, which also a plain Session needs.
    """
    plain_engine = engines.replicas("eu")[0].reader
    targets = {}
    pairs = {}
    with ExitStack() as stack:
        opened = partial(_opened, stack)
        plain = opened(Session(plain_engine))
        routed = opened(RoutingSession(engines=engines, region="europe"))
        pinned = opened(RoutingSession(engines=engines, region="europe"))
        pinned.connection()
        for group, target, session, makes in (
            ("known: ", "< 3 µs", routed, _KNOWN),
            ("known: ", "< 3 µs", pinned, {"the transaction's": lambda: _BY_EMAIL}),
            ("seen before: ", "< 10 µs", routed, _SEEN),
            ("seen before: ", "< 10 µs", pinned, _WRITES),
            ("never seen: ", "", routed, _FIRST),
        ):
            for name, make in makes.items():
                pairs[group + name] = _times(make, plain, session)
                targets[group + name] = target
    return differences("routing a statement, nothing sent", pairs, targets)


def reads(engines: Engines) -> Table:
    """Tell the same of whole reads on the same engine, in one session each."""
    reader = engines.replicas("eu")[0].reader
    with (
        Session(reader) as plain,
        RoutingSession(engines=engines, region="europe") as routed,
    ):
        pairs = {
            name: _times(make, plain, routed, rounds=ROUNDS_OF_READS, statements=READS)
            for name, make in {**_KNOWN, "an id": _SEEN["an id"], "no id": _SEEN["no id"]}.items()
        }
    return differences("a whole read, on the same engine", pairs)


def _times(
    make: Make,
    plain: Session,
    routed: Session,
    *,
    rounds: int = ROUNDS,
    statements: int = STATEMENTS,
) -> tuple[list[float], list[float]]:
    """Execute statements, and return the seconds for one."""
    made: list[Any] = []

    def prepare(_: str) -> None:
        made[:] = [make() for _ in range(statements)]

    def run(session: Session) -> None:
        for statement in made:
            session.execute(statement)

    times = measure(
        {"plain": partial(run, plain), "routed": partial(run, routed)},
        rounds,
        warm_up=rounds // 10,
        before=prepare,
    )
    without, with_it = ([each / statements for each in times[name]] for name in times)
    return without, with_it


def _opened(stack: ExitStack, session: Any) -> Any:
    """Let a session stop where a statement would be sent."""

    def stop(state: ORMExecuteState) -> str:
        # A session that nobody listens to does not look at the clause again.
        session.get_bind(**{**state.bind_arguments, "clause": None})
        statement: Any = state.statement
        statement._generate_cache_key()  # noqa: SLF001 - there is no public name
        return "stopped"

    event.listen(session, "do_orm_execute", stop)
    return stack.enter_context(session)
