"""Whose an address is: claims of it are used with the account, changed, and given back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from elearning.errors import ClaimReleased, EmailTaken, UserNotFound
from elearning.ids import new_id
from elearning.models import User
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, bound
from tests.models.seats import Seats
from tests.models.support import pid_of, stops_another, until

NAMES = {"p_first_name": "A", "p_last_name": "B", "p_password_hash": None, "p_region": "europe"}


def fact(number: int, code: int = 3) -> bytes:
    """Return what could be the hash of an address that the region of this code decides."""
    return bytes(33) + bytes([number, 0, code - 1])


HERE, THERE = fact(1), fact(2, 5)


@pytest.fixture
def claims(session: RoutingSession) -> Seats:
    """What asks for claims; the course is none."""
    return Seats(session, new_id("europe"))


def given(*claimed: tuple[UUID, bytes]) -> str:
    return json.dumps([{"id": str(claim_id), "fact": about.hex()} for claim_id, about in claimed])


def register(
    session: RoutingSession, email: str, *claimed: tuple[UUID, bytes], **more: Any
) -> UUID:
    arguments = NAMES | {"p_email": email, "p_claims": given(*claimed)} | more
    named = ", ".join(
        f"{name} => CAST(:{name} AS {'jsonb' if name == 'p_claims' else 'text'})"
        for name in arguments
    )
    return UUID(str(session.scalar(text(f"SELECT create_user_with_profile({named})"), arguments)))


def change(
    session: RoutingSession, user_id: UUID, email: str, *claimed: tuple[UUID, bytes]
) -> None:
    session.execute(
        text("SELECT change_email(:id, :email, CAST(:claims AS jsonb))"),
        {"id": user_id, "email": email, "claims": given(*claimed)},
    )


def claim_email(session: RoutingSession, about: bytes, claim_id: UUID, user_id: UUID) -> list[Any]:
    found = func.claim_email(claim_id, about, user_id).table_valued(
        "claim_id", "claim_status", "holder_id"
    )
    return list(session.execute(select(*found.c)).one())


def test_an_address_is_claimed_once(session: RoutingSession, claims: Seats) -> None:
    first, second = new_id("asia"), new_id("oceania")
    mine, other = new_id("asia"), new_id("oceania")
    for _ in range(2):
        assert claim_email(session, HERE, first, mine) == [first, "pending", mine]
    assert claim_email(session, HERE, second, other) == [first, "pending", mine]
    claims.call("confirm_claim", first)
    assert claim_email(session, HERE, second, other) == [first, "confirmed", mine]
    claims.call("release_claim", first)
    assert claim_email(session, HERE, second, other) == [second, "pending", other]
    # A late duplicate of the first one changes nothing.
    assert claim_email(session, HERE, first, mine) == [first, "released", mine]
    assert claim_email(session, fact(9), new_id("asia"), mine)[1] == "pending"


def test_use_emails_of_an_address_that_is_decided_here(
    session: RoutingSession, claims: Seats
) -> None:
    claim_id = new_id("europe")
    user_id = register(session, "a@example.com", (claim_id, HERE))
    assert (claims.status(claim_id), claims.outcome(claim_id)) == ("confirmed", "used")
    with pytest.raises(EmailTaken, match=r"b@example\.com"), session.begin_nested():
        register(session, "b@example.com", (new_id("europe"), HERE))
    assert session.scalars(select(User.id)).all() == [user_id]


def test_use_emails_of_an_address_that_is_decided_elsewhere(
    session: RoutingSession, claims: Seats
) -> None:
    claim_id = new_id("europe")
    register(session, "a@example.com", (claim_id, THERE))
    assert (claims.status(claim_id), claims.outcome(claim_id)) == (None, "used")


def test_use_emails_of_two_keys(session: RoutingSession, claims: Seats) -> None:
    here, there = new_id("europe"), new_id("europe")
    register(session, "a@example.com", (here, HERE), (there, THERE))
    assert (claims.outcome(here), claims.outcome(there)) == ("used", "used")


def test_use_emails_that_were_settled_before(session: RoutingSession, claims: Seats) -> None:
    claim_id, user_id = new_id("europe"), new_id("europe")
    claims.call("settle_claim", claim_id, "email", THERE, user_id)
    with pytest.raises(ClaimReleased), session.begin_nested():
        register(session, "a@example.com", (claim_id, THERE))
    assert session.scalar(select(func.count(User.id))) == 0


def test_change_email(session: RoutingSession, claims: Seats) -> None:
    here, there, new = new_id("europe"), new_id("europe"), new_id("europe")
    user_id = register(session, "a@example.com", (here, HERE), (there, THERE))
    change(session, user_id, "b@example.com", (new, fact(3)))
    assert session.scalars(select(User.email)).one() == "b@example.com"
    assert [claims.outcome(each) for each in (here, there, new)] == ["released", "released", "used"]
    assert (claims.status(here), claims.status(new)) == ("released", "confirmed")
    assert claims.messages("claim_released") == [{"claim_id": str(there), "home": "asia"}]
    # The former address is free.
    register(session, "a@example.com", (new_id("europe"), HERE))


def test_change_email_and_back(session: RoutingSession, claims: Seats) -> None:
    user_id = register(session, "a@example.com", (new_id("europe"), HERE))
    change(session, user_id, "b@example.com", (new_id("europe"), fact(3)))
    again = new_id("europe")
    change(session, user_id, "a@example.com", (again, HERE))
    change(session, user_id, "a@example.com", (last := new_id("europe"), HERE))
    assert (claims.status(again), claims.status(last)) == ("released", "confirmed")


def test_change_email_to_one_that_is_taken(session: RoutingSession, claims: Seats) -> None:
    mine, other = new_id("europe"), new_id("europe")
    user_id = register(session, "a@example.com", (mine, HERE))
    register(session, "b@example.com", (other, fact(3)))
    for claimed in ((), ((new_id("europe"), fact(3)),), ((new_id("europe"), fact(4)),)):
        with pytest.raises(EmailTaken, match=r"b@example\.com"), session.begin_nested():
            change(session, user_id, "b@example.com", *claimed)
    assert (claims.status(mine), claims.outcome(mine)) == ("confirmed", "used")


def test_change_email_of_two_at_once(session: RoutingSession, engines: Engines) -> None:
    users = [register(session, f"{name}@example.com") for name in "ab"]
    session.commit()
    change(session, users[0], "c@example.com")

    def other() -> None:
        with RoutingSession(engines=engines, region="europe") as own:
            change(own, users[1], "c@example.com")

    with ThreadPoolExecutor(1) as thread, engines.primary("eu").engine.connect() as watch:
        pid = pid_of(session.connection())
        late = thread.submit(other)
        until(lambda: late.done() or stops_another(watch, pid))
        session.commit()
        with pytest.raises(EmailTaken, match=r"c@example\.com"):
            late.result()


def test_change_email_of_nobody(session: RoutingSession) -> None:
    with pytest.raises(UserNotFound):
        change(session, new_id("europe"), "a@example.com")


def test_give_back_email(session: RoutingSession, claims: Seats) -> None:
    here, there = new_id("europe"), new_id("europe")
    user_id = register(session, "a@example.com", (here, HERE), (there, THERE))
    session.execute(text("DELETE FROM users WHERE id = :id"), {"id": user_id})
    assert (claims.status(here), claims.outcome(here)) == ("released", "released")
    # The row outlives the account, for whoever asks late.
    assert claims.outcome(there) == "released"
    assert claims.messages("claim_released") == [{"claim_id": str(there), "home": "asia"}]
    assert claims.messages("user_deleted") == [{"user_id": str(user_id)}]
    register(session, "a@example.com", (new_id("europe"), HERE))


def test_give_back_email_of_an_account_without_claims(session: RoutingSession) -> None:
    with bound(session):
        user = UserFactory.create()
    session.delete(user)
    session.flush()
    assert Seats(session, user.id).messages("user_deleted") == [{"user_id": str(user.id)}]
