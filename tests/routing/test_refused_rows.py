from __future__ import annotations

import traceback

import pytest
from psycopg import Error
from sqlalchemy.exc import IntegrityError

from elearning.cluster.embedded import EmbeddedCluster
from elearning.routing import RoutingSession
from elearning.testing.factories import UserFactory, bound

SECRET = "$argon2id$v=19$c2VjcmV0"


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [({"first_name": " "}, "ck_users_first_name"), ({"last_name": None}, None)],
    ids=["check", "not null"],
)
def test_what_the_database_refuses_is_not_shown_as_a_row(
    session: RoutingSession, wrong: dict[str, object], constraint: str | None
) -> None:
    with bound(session), pytest.raises(IntegrityError) as refused:
        UserFactory.create(password_hash=SECRET, **wrong)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown
    assert "Failing row" not in shown
    # All else is as SQLAlchemy has it.
    original = refused.value.orig
    assert isinstance(original, Error)
    assert original.diag.constraint_name == constraint
    assert original.diag.table_name == "users"
    assert original.sqlstate is not None
    assert "users" in str(refused.value)


def test_the_server_does_not_log_the_row_either(
    session: RoutingSession, cluster: EmbeddedCluster
) -> None:
    log = cluster.node("eu-primary")._server.log
    before = len(log.read_bytes())
    with bound(session), pytest.raises(IntegrityError):
        UserFactory.create(password_hash=SECRET, first_name=" ")
    written = log.read_bytes()[before:].decode()
    assert "ck_users_first_name" in written
    assert SECRET not in written
