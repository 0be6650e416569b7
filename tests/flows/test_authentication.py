"""Login and mailed tokens, worldwide: right, and as much work for an address that nobody has."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import current_thread, main_thread
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from sqlalchemy import event, select

from elearning import crud, passwords
from elearning.email_hash import email_hash, home_of_hash
from elearning.errors import (
    AccountNotActive,
    InvalidCredentials,
    InvalidEmail,
    InvalidId,
    InvalidPassword,
    InvalidText,
    InvalidUserToken,
    SettingsError,
    UserNotFound,
)
from elearning.flows import (
    NewUser,
    Platform,
    authenticate,
    change_email,
    recover,
    register,
    request_email_verification,
    request_password_reset,
    reset_password,
    set_password,
    verify_email,
)
from elearning.flows.authentication import _home
from elearning.ids import new_id, region_of
from elearning.models import User, UserToken
from elearning.regions import Region
from elearning.routing import Token
from elearning.testing.factories import UserTokenFactory, bound
from tests.served import served

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
FORMER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
RIGHT, WRONG = "correct horse battery staple", "wrong horse battery staple"
EMAIL = "ada@example.com"


@dataclass
class Compared:
    """How often a password was compared with a hash, and where."""

    number: int = 0
    on_main_thread: set[bool] = field(default_factory=set)


@pytest.fixture(autouse=True)
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Let hashes be quick, and count comparisons."""
    count = Compared()
    nobodys = CHEAP.hash("nobody's" + RIGHT)
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "_NOBODYS", nobodys)
    verify = PasswordHasher.verify

    def note(hasher: PasswordHasher, stored: str, password: bytes) -> bool:
        count.number += 1
        count.on_main_thread.add(current_thread() is main_thread())
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    return count


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def settled(platform: Platform) -> AsyncIterator[None]:
    """Leave nothing to be done in the background when the databases are emptied."""
    yield
    await platform.background.finish()


def ada(region: Region | str = Region.EUROPE, **changes: Any) -> NewUser:
    known: dict[str, Any] = {"email": EMAIL, "first_name": "Ada", "last_name": "Lovelace"}
    return NewUser(region=region, **known | changes)


async def stored(platform: Platform, user_id: UUID) -> User:
    async with platform.session(consistency="primary") as session:
        return await session.run_sync(crud.get_user, user_id)


# login


async def test_who_registered_with_a_password_comes_in(platform: Platform, region: Region) -> None:
    user_id = await register(platform, ada(region), password=RIGHT)
    token = Token()
    user = await authenticate(platform, " ADA@example.COM ", RIGHT, token=token)
    assert (user.id, region_of(user.id), user.email) == (user_id, region, EMAIL)
    assert user.last_login is not None
    # What was written is in the token.
    async with platform.session(token=token) as session:
        found = await session.scalar(select(User.last_login).where(User.id == user_id))
    assert found == user.last_login


async def test_a_wrong_password_registers_nobody(platform: Platform) -> None:
    with pytest.raises(InvalidPassword, match="has 5 characters"):
        await register(platform, ada(), password="short")
    await register(platform, ada(), password=RIGHT)


async def test_wrong_passwords_and_unknown_addresses_are_one_error(platform: Platform) -> None:
    user_id = await register(platform, ada(), password=RIGHT)
    await register(platform, ada(email="none@example.com"))
    messages = set()
    for email in (EMAIL, "none@example.com", "nobody@example.com"):
        with pytest.raises(InvalidCredentials) as caught:
            await authenticate(platform, email, WRONG)
        messages.add((str(caught.value), repr(caught.value.values)))
    assert len(messages) == 1
    assert (await stored(platform, user_id)).last_login is None


async def test_the_status_is_told_with_the_right_password_only(platform: Platform) -> None:
    user_id = await register(platform, ada(), password=RIGHT)
    for status in ("suspended", "inactive"):
        async with platform.session() as session, session.begin():
            await session.run_sync(crud.set_status, user_id, status)
        with pytest.raises(InvalidCredentials):
            await authenticate(platform, EMAIL, WRONG)
        # At once: no replica is asked, which may not know it yet.
        with pytest.raises(AccountNotActive, match=f"{user_id} is {status}"):
            await authenticate(platform, EMAIL, RIGHT)
    assert (await stored(platform, user_id)).last_login is None


async def test_the_work_is_the_same_for_an_unknown_address(
    platform: Platform, compared: Compared
) -> None:
    """Statements by role and text, and comparisons; shards differ, as those of accounts do."""
    for region in Region:
        await register(platform, ada(region, email=f"{region}@example.com"), password=RIGHT)
    await platform.background.finish()
    known = [f"{region}@example.com" for region in Region]
    unknown = [f"nobody{number}@example.com" for number in range(12)]
    work = {}
    for email in (*known, *unknown):
        compared.number, compared.on_main_thread = 0, set()
        with (
            served(platform.engines) as nodes,
            texts(platform) as said,
            pytest.raises(InvalidCredentials),
        ):
            await authenticate(platform, email, WRONG)
        there = platform.engines.home(home_of_hash(email_hash(key_of(platform), email)))
        assert nodes[0] == f"{there}-primary"
        assert all(node.endswith("-primary") for node in nodes)
        assert compared.on_main_thread == {False}, "in a thread of its own"
        work[email] = (tuple(said), len(nodes), compared.number)
    assert len(set(work.values())) == 1
    assert work[EMAIL.replace("ada", "europe")][1:] == (2, 1)


async def test_a_reset_is_the_same_work_for_an_unknown_address(platform: Platform) -> None:
    await register(platform, ada(), password=RIGHT)
    await platform.background.finish()
    done = []
    for email, found in ((EMAIL, True), ("nobody@example.com", False)):
        token = Token()
        with served(platform.engines) as nodes:
            issued = await request_password_reset(platform, email, token=token)
        assert (issued is not None) is found
        assert all(node.endswith("-primary") for node in nodes)
        assert len(token) == 1, "something was committed"
        done.append(len(nodes))
    assert done == [4, 4]


async def test_unknown_addresses_are_looked_for_everywhere(platform: Platform) -> None:
    homes = Counter([await _home(platform, f"nobody{number}@example.com") for number in range(60)])
    assert set(homes) == set(Region)
    assert await _home(platform, EMAIL) == await _home(platform, EMAIL)


async def test_a_hash_of_other_parameters_is_made_anew(platform: Platform) -> None:
    former = FORMER.hash(RIGHT)
    user_id = await register(platform, ada(password_hash=former))
    with pytest.raises(InvalidCredentials):
        await authenticate(platform, EMAIL, WRONG)
    assert (await stored(platform, user_id)).password_hash == former
    await authenticate(platform, EMAIL, RIGHT)
    renewed = (await stored(platform, user_id)).password_hash
    assert renewed not in (None, former)
    await authenticate(platform, EMAIL, RIGHT)
    assert (await stored(platform, user_id)).password_hash == renewed


@pytest.mark.parametrize("change", ["password", "status"])
async def test_what_changes_during_the_comparison_counts(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    user_id = await register(platform, ada(), password=RIGHT)
    admit = crud.admit
    loop = asyncio.get_running_loop()

    async def intervene() -> None:
        async with platform.session() as session, session.begin():
            if change == "password":
                await session.run_sync(crud.set_password, user_id, CHEAP.hash("another"))
            else:
                await session.run_sync(crud.set_status, user_id, "suspended")

    def slow(user: User | None, password: str) -> Any:
        result = admit(user, password)
        asyncio.run_coroutine_threadsafe(intervene(), loop).result()
        return result

    monkeypatch.setattr(crud, "admit", slow)
    with pytest.raises(InvalidCredentials):
        await authenticate(platform, EMAIL, RIGHT)
    assert (await stored(platform, user_id)).last_login is None


async def test_login_follows_the_address(platform: Platform) -> None:
    user_id = await register(platform, ada("asia"), password=RIGHT)
    await change_email(platform, user_id, "king@example.com")
    await platform.background.finish()
    with pytest.raises(InvalidCredentials):
        await authenticate(platform, EMAIL, RIGHT)
    assert (await authenticate(platform, "king@example.com", RIGHT)).id == user_id


async def test_wrong_requests(platform: Platform) -> None:
    wrong: Any = 5
    with pytest.raises(InvalidEmail):
        await authenticate(platform, "no address", RIGHT)
    for password in ("x" * 1_025, "a\x00", wrong):
        with pytest.raises(InvalidPassword):
            await authenticate(platform, EMAIL, password)
    with pytest.raises(InvalidText, match="no consistency token"):
        await authenticate(platform, EMAIL, RIGHT, token=wrong)
    with pytest.raises(InvalidEmail):
        await request_password_reset(platform, "no address")
    with pytest.raises(InvalidText, match="lifetime"):
        await request_password_reset(platform, EMAIL, lifetime=timedelta(days=99))
    with pytest.raises(InvalidId):
        await request_email_verification(platform, UUID(int=1))
    with pytest.raises(UserNotFound):
        await request_email_verification(platform, new_id("asia"))
    with pytest.raises(UserNotFound):
        await set_password(platform, new_id("asia"), RIGHT)


async def test_without_a_key_nobody_is_found(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "settings", replace(platform.settings, email_keys=()))
    with pytest.raises(SettingsError, match="ELEARNING_EMAIL_KEYS"):
        await authenticate(platform, EMAIL, RIGHT)


# what is mailed


async def test_a_forgotten_password(platform: Platform, region: Region) -> None:
    user_id = await register(platform, ada(region), password=WRONG)
    issued = await request_password_reset(platform, "Ada@example.com")
    assert issued is not None
    assert (issued.user_id, issued.email) == (user_id, EMAIL)
    with pytest.raises(InvalidPassword):
        await reset_password(platform, issued.text, "short")
    assert await reset_password(platform, issued.text, RIGHT) == user_id
    with pytest.raises(InvalidCredentials):
        await authenticate(platform, EMAIL, WRONG)
    assert (await authenticate(platform, EMAIL, RIGHT)).id == user_id
    for text in (issued.text, issued.text[:-1], "", "x" * 64):
        with pytest.raises(InvalidUserToken, match="ask for a new one"):
            await reset_password(platform, text, RIGHT)


async def test_a_verified_address(platform: Platform, region: Region) -> None:
    user_id = await register(platform, ada(region))
    issued = await request_email_verification(platform, user_id)
    assert await verify_email(platform, issued.text) == user_id
    assert (await stored(platform, user_id)).email_verified_at is not None
    with pytest.raises(InvalidUserToken):
        await verify_email(platform, issued.text)
    await change_email(platform, user_id, "king@example.com")
    assert (await stored(platform, user_id)).email_verified_at is None


async def test_a_password_is_set(platform: Platform) -> None:
    user_id = await register(platform, ada("asia"))
    issued = await request_password_reset(platform, EMAIL)
    await set_password(platform, user_id, RIGHT)
    assert (await authenticate(platform, EMAIL, RIGHT)).id == user_id
    assert issued is not None
    with pytest.raises(InvalidUserToken):
        await reset_password(platform, issued.text, WRONG)


async def test_recovery_forgets_old_tokens(platform: Platform) -> None:
    user_id = await register(platform, ada("asia"))
    kept = await request_email_verification(platform, user_id)

    def old(session: Any) -> None:
        with bound(session):
            user = session.get_one(User, user_id)
            UserTokenFactory.create(user=user, expires_at=user.created_at - timedelta(days=2))

    async with platform.session() as session, session.begin():
        await session.run_sync(old)
    assert not (await recover(platform)).problems
    async with platform.session("asia", consistency="primary") as session:
        left = (await session.scalars(select(UserToken.expires_at))).all()
    assert left == [kept.expires_at]


async def test_no_secret_is_logged(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # As an application that turns everything on.
    caplog.set_level(logging.DEBUG, "sqlalchemy.engine")
    user_id = await register(platform, ada(), password=RIGHT)
    issued = await request_password_reset(platform, EMAIL)
    assert issued is not None
    with pytest.raises(InvalidCredentials):
        await authenticate(platform, EMAIL, WRONG)
    await authenticate(platform, EMAIL, RIGHT)
    await reset_password(platform, issued.text, WRONG)
    await platform.background.finish()
    password_hash = (await stored(platform, user_id)).password_hash
    assert caplog.records
    for record in caplog.records:
        said = record.getMessage() + str(record.exc_info or "")
        for secret in (RIGHT, WRONG, issued.text, str(password_hash)):
            assert secret not in said


def key_of(platform: Platform) -> str:
    return platform.settings.email_keys[0]


@contextmanager
def texts(platform: Platform) -> Iterator[list[str]]:
    """Note what is said to all nodes, statement by statement."""
    said: list[str] = []

    def note(_c: object, _cu: object, sql: str, *_: object) -> None:
        said.append(sql)

    engines = [each for node in platform.engines.nodes for each in node.engines]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield said
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
