"""What is sent by mail: good once, for a while, for one account, address and purpose."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from elearning.crud import (
    LIFETIMES,
    change_email,
    check_user_token,
    create_user_token,
    prune_user_tokens,
    request_user_token,
    reset_password,
    use_user_token,
    verify_email,
)
from elearning.errors import InvalidEmail, InvalidText, InvalidUserToken, UserNotFound
from elearning.ids import new_id
from elearning.models import TokenPurpose, User, UserToken
from elearning.routing import Engines, RoutingSession
from elearning.testing.factories import UserFactory, UserTokenFactory, bound
from tests.served import served

RESET, VERIFY = TokenPurpose.PASSWORD_RESET, TokenPurpose.EMAIL_VERIFICATION
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("a new password")
SECRET = b"s" * 32
STRANGER = new_id("europe")


def text_of(user_id: UUID, secret: bytes = SECRET) -> str:
    return urlsafe_b64encode(user_id.bytes + secret).decode()


@pytest.fixture
def user(session: RoutingSession) -> User:
    with bound(session):
        made = UserFactory.create(email="ada@example.com")
    session.commit()
    session.refresh(made)
    return made


@pytest.mark.parametrize("purpose", list(TokenPurpose))
def test_a_token_is_used_once(session: RoutingSession, user: User, purpose: TokenPurpose) -> None:
    issued = create_user_token(session, user.id, purpose)
    assert (issued.user_id, issued.email, issued.purpose) == (user.id, user.email, purpose)
    until = datetime.now(UTC) + LIFETIMES[purpose]
    assert abs((issued.expires_at - until).total_seconds()) < 60
    assert check_user_token(issued.text, purpose) == user.id
    assert use_user_token(session, issued.text, purpose) == user.id
    session.commit()
    with pytest.raises(InvalidUserToken):
        use_user_token(session, issued.text, purpose)


def test_only_the_hash_of_the_secret_is_stored(session: RoutingSession, user: User) -> None:
    issued = create_user_token(session, user.id, RESET)
    raw = urlsafe_b64decode(issued.text)
    assert (len(issued.text), raw[:16], len(raw[16:])) == (64, user.id.bytes, 32)
    row = session.execute(select(UserToken.__table__)).one()
    assert row.token_hash == sha256(raw[16:]).digest()
    assert issued.text not in str(row)
    assert repr(raw[16:])[2:-1] not in str(row)
    assert issued.text != create_user_token(session, user.id, RESET).text


def test_a_newer_one_takes_the_place_of_an_older_one(session: RoutingSession, user: User) -> None:
    other = create_user_token(session, user.id, VERIFY)
    first = create_user_token(session, user.id, RESET)
    second = create_user_token(session, user.id, RESET)
    with pytest.raises(InvalidUserToken):
        use_user_token(session, first.text, RESET)
    assert use_user_token(session, second.text, RESET) == user.id
    assert use_user_token(session, other.text, VERIFY) == user.id


def wrong_ones(session: RoutingSession, user: User) -> dict[str, str]:
    """Return a token of each kind that is good for nothing."""
    with bound(session):
        another = UserFactory.create()
        expired = UserFactory.create()
        UserTokenFactory.create(
            user=expired,
            purpose=RESET,
            token_hash=sha256(SECRET).digest(),
            expires_at=datetime.now(UTC),
        )
    good = create_user_token(session, user.id, RESET)
    secret = urlsafe_b64decode(good.text)[16:]
    used = create_user_token(session, another.id, RESET)
    use_user_token(session, used.text, RESET)
    return {
        "used": used.text,
        "expired": text_of(expired.id),
        "another secret": text_of(user.id),
        "another account's": text_of(another.id, secret),
        "nobody's": text_of(STRANGER, secret),
        "another purpose": create_user_token(session, user.id, VERIFY).text,
        "no region": text_of(UUID(int=5), secret),
        "too short": good.text[:-1],
        "too long": good.text + "A",
        "padded": good.text[:-1] + "=",
        "another alphabet": good.text[:-1] + "+",
        "of another script": "ж" * 64,
        "nothing": "",
    }


def test_wrong_ones_are_not_told_apart(session: RoutingSession, user: User) -> None:
    messages = set()
    for kind, text in wrong_ones(session, user).items():
        with pytest.raises(InvalidUserToken, match="ask for a new one") as caught:
            reset_password(session, text, HASH)
        assert not text or text not in str(caught.value), kind
        messages.add((str(caught.value), repr(caught.value.values)))
    assert len(messages) == 1
    assert session.scalar(select(func.count()).where(User.password_hash.is_not(None))) == 0


@pytest.mark.parametrize("text", [None, 5, b"x" * 64, ["x"], UUID(int=5)])
def test_what_is_no_text_is_no_token(session: RoutingSession, text: Any) -> None:
    with pytest.raises(InvalidUserToken):
        use_user_token(session, text, RESET)


@given(st.one_of(st.text(max_size=80), st.text("Az09-_", min_size=64, max_size=64)))
def test_no_text_passes_for_a_token(text: str) -> None:
    try:
        user_id = check_user_token(text, RESET)
    except InvalidUserToken:
        return
    assert urlsafe_b64decode(text)[:16] == user_id.bytes


def test_a_token_is_bound_to_the_address(session: RoutingSession, user: User) -> None:
    issued = {purpose: create_user_token(session, user.id, purpose) for purpose in TokenPurpose}
    assert verify_email(session, issued[VERIFY].text) == user.id
    issued[VERIFY] = create_user_token(session, user.id, VERIFY)
    session.commit()
    change_email(session, user.id, "new@example.com", ())
    session.commit()
    session.refresh(user)
    assert user.email_verified_at is None, "the new address is not verified"
    for purpose, token in issued.items():
        with pytest.raises(InvalidUserToken):
            use_user_token(session, token.text, purpose)
    assert create_user_token(session, user.id, VERIFY).email == "new@example.com"


def test_an_address_is_verified(session: RoutingSession, user: User) -> None:
    assert user.email_verified_at is None
    verify_email(session, create_user_token(session, user.id, VERIFY).text)
    session.commit()
    first = session.scalar(select(User.email_verified_at))
    assert first is not None
    verify_email(session, create_user_token(session, user.id, VERIFY).text)
    session.commit()
    assert session.scalar(select(User.email_verified_at)) == first


def test_a_reset_sets_the_password_and_ends_the_others(session: RoutingSession, user: User) -> None:
    with bound(session):
        # As two requests at once would leave it if they did not wait for each other.
        UserTokenFactory.create(user=user, purpose=RESET, token_hash=sha256(SECRET).digest())
    second = b"t" * 32
    with bound(session):
        UserTokenFactory.create(user=user, purpose=RESET, token_hash=sha256(second).digest())
    assert reset_password(session, text_of(user.id), HASH) == user.id
    session.refresh(user)
    assert user.password_hash == HASH
    with pytest.raises(InvalidUserToken):
        reset_password(session, text_of(user.id, second), HASH)


def test_what_is_no_hash_uses_no_token(session: RoutingSession, user: User) -> None:
    issued = create_user_token(session, user.id, RESET)
    with pytest.raises(InvalidText, match="hash the password"):
        reset_password(session, issued.text, "a new password")
    assert reset_password(session, issued.text, HASH) == user.id


@pytest.mark.parametrize("many", [8])
def test_of_many_at_once_one_uses_it(
    engines: Engines, session: RoutingSession, user: User, many: int
) -> None:
    user_id, text = user.id, create_user_token(session, user.id, RESET).text
    session.commit()

    def use(number: int) -> bool:
        with RoutingSession(engines=engines) as own:
            try:
                # Those that ask for another one lock in the same order.
                if number % 4 == 3:
                    create_user_token(own, user_id, VERIFY)
                else:
                    reset_password(own, text, HASH)
            except InvalidUserToken:
                return False
            own.commit()
            return number % 4 != 3

    with ThreadPoolExecutor(many) as threads:
        assert sum(threads.map(use, range(many))) == 1


def test_of_many_at_once_one_stays_open(
    engines: Engines, session: RoutingSession, user: User
) -> None:
    user_id = user.id
    session.commit()

    def ask(_: int) -> None:
        with RoutingSession(engines=engines) as own:
            create_user_token(own, user_id, RESET)
            own.commit()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(ask, range(6)))
    still = select(func.count()).where(UserToken.used_at.is_(None))
    assert session.scalar(select(func.count()).select_from(UserToken)) == 6
    assert session.scalar(still) == 1


def test_statements_are_few_and_at_home(
    engines: Engines, session: RoutingSession, user: User
) -> None:
    user_id = user.id
    session.commit()
    with RoutingSession(engines=engines, region="asia") as own:
        with served(engines) as nodes:
            verification = create_user_token(own, user_id, VERIFY)
        assert nodes == ["eu-primary"] * 3
        reset = create_user_token(own, user_id, RESET)
        with served(engines) as nodes:
            verify_email(own, verification.text)
        assert nodes == ["eu-primary"] * 3
        with served(engines) as nodes:
            reset_password(own, reset.text, HASH)
        assert nodes == ["eu-primary"] * 4


def test_an_address_that_nobody_has_is_as_much_work(
    engines: Engines, session: RoutingSession, user: User
) -> None:
    session.commit()
    ends: list[int] = []
    for email, found in (("ADA@example.com ", True), ("no@example.com", False)):
        with RoutingSession(engines=engines, region="europe") as own:
            with served(engines) as nodes:
                issued = request_user_token(own, email, RESET)
                own.commit()
            assert nodes == ["eu-primary"] * 3
            assert (issued is not None) is found
            # Both have something to commit, which has to reach the disk.
            ends.append(own.token["eu"].lsn)
    assert ends[0] < ends[1]
    assert session.scalar(select(func.count()).select_from(UserToken)) == 1


@pytest.mark.parametrize(
    "lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(days=31), 3600, "1 hour"]
)
def test_wrong_lifetimes(session: RoutingSession, user: User, lifetime: Any) -> None:
    with pytest.raises(InvalidText, match="lifetime"):
        create_user_token(session, user.id, RESET, lifetime=lifetime)
    assert session.scalar(select(func.count()).select_from(UserToken)) == 0


def test_wrong_requests(session: RoutingSession, user: User) -> None:
    wrong: Any = "login"
    with pytest.raises(InvalidText, match="'login' is none of password_reset"):
        create_user_token(session, user.id, wrong)
    with pytest.raises(InvalidText, match="is none of"):
        use_user_token(session, text_of(user.id), wrong)
    with pytest.raises(UserNotFound, match=str(STRANGER)):
        create_user_token(session, STRANGER, RESET)
    with pytest.raises(InvalidEmail):
        request_user_token(session, "no address", RESET)


def test_old_ones_are_forgotten(session: RoutingSession, user: User) -> None:
    now = datetime.now(UTC)
    with bound(session):
        for days in (5, 3, 2, 0.5, -1):
            UserTokenFactory.create(user=user, expires_at=now - timedelta(days=days))
    assert prune_user_tokens(session, limit=2) == 2
    assert prune_user_tokens(session) == 1
    assert prune_user_tokens(session) == 0
    left = session.scalars(select(UserToken.expires_at)).all()
    assert min(left) > now - timedelta(days=1)
    assert len(left) == 2


def test_tokens_go_with_their_account(session: RoutingSession, user: User) -> None:
    create_user_token(session, user.id, RESET)
    session.delete(user)
    session.commit()
    assert session.scalar(select(func.count()).select_from(UserToken)) == 0
