"""What it costs that each row's region is checked: ``refuse_misrouted_row``."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
from psycopg import Connection
from rich.table import Table

from benchmarks.courses import connect
from benchmarks.timing import measure, ratios
from elearning.errors import MisroutedRow
from elearning.ids import new_id
from elearning.regions import Region
from elearning.routing import Engines

ROUNDS = 20
SINGLE = 100
BULK = 10_000

_ONE = (
    "INSERT INTO users (id, region, email, first_name, last_name) "
    "VALUES (%(id)s, %(region)s, %(id)s || '@guard.example', 'Ada', 'Obi')"
)
_ALL = (
    "INSERT INTO users (id, region, email, first_name, last_name) "
    "SELECT id, 'europe', id || '@guard.example', 'Ada', 'Obi' FROM fresh_ids"
)
_FRESH_IDS = (
    "CREATE TEMPORARY TABLE fresh_ids AS SELECT new_id(%s) AS id FROM generate_series(1, %s)"
)
_COMMITTED = "one row, committed"
_IN_A_TRANSACTION = "one row, in a transaction"
_AT_ONCE = f"{BULK:,} rows at once"
_WITHOUT, _WITH = ", without the guard", ", with it"

Raw = Connection[tuple[Any, ...]]


def row_guard(engines: Engines) -> Table:
    """Insert users one by one and at once, with the guard and without."""
    owner_url = engines.settings.shard("eu").owner_url
    with connect(engines.primary("eu").engine.url) as raw, connect(owner_url) as owner:

        def prepare(name: str) -> None:
            state = "ENABLE" if name.endswith(_WITH) else "DISABLE"
            owner.execute(f"ALTER TABLE users {state} TRIGGER refuse_misrouted_row")
            # This also plans anew what the change has made stale.
            assert _is_refused(raw) == name.endswith(_WITH), name
            if not name.startswith(_COMMITTED):
                raw.execute("BEGIN")
            if name.startswith(_AT_ONCE):
                raw.execute(_FRESH_IDS, [Region.EUROPE.code, BULK])

        run = partial(
            measure, rounds=ROUNDS, warm_up=1, before=prepare, after=lambda _: raw.rollback()
        )
        one = partial(_insert_one, raw)
        try:
            times = [
                run({way + _WITHOUT: insert, way + _WITH: insert}, repeat=repeat)
                for way, insert, repeat in (
                    (_COMMITTED, one, SINGLE),
                    (_IN_A_TRANSACTION, one, SINGLE),
                    (_AT_ONCE, partial(_insert_all, raw), 1),
                )
            ]
        finally:
            owner.execute("ALTER TABLE users ENABLE TRIGGER refuse_misrouted_row")
        left = owner.execute("DELETE FROM users WHERE email LIKE '%@guard.example'").rowcount
    assert left == 2 * (1 + ROUNDS) * SINGLE, left
    times[-1] = {name: [each / BULK for each in measured] for name, measured in times[-1].items()}
    return ratios("insert users, per row", times)


def _is_refused(raw: Raw) -> bool:
    """Tell whether a user of Asia is refused in Europe."""
    try:
        with raw.transaction(force_rollback=True):
            raw.execute(_ONE, {"id": new_id(Region.ASIA), "region": "asia"})
    except psycopg.Error as error:
        if error.sqlstate != MisroutedRow.sqlstate:
            raise
        return True
    return False


def _insert_one(raw: Raw) -> None:
    raw.execute(_ONE, {"id": new_id(Region.EUROPE), "region": "europe"})


def _insert_all(raw: Raw) -> None:
    assert raw.execute(_ALL).rowcount == BULK
