"""An address is one account's in the whole world, and personal data stays at home."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from elearning.config import Settings
from elearning.documents import UserPreferences
from elearning.email_hash import email_hash, home_of_hash, key_id
from elearning.errors import (
    EmailTaken,
    InvalidEmail,
    NodeUnavailable,
    SettingsError,
    UserHasPayments,
    UserNotFound,
)
from elearning.flows import (
    NewUser,
    Platform,
    change_email,
    delete_user,
    forget_old_email_keys,
    get_user_by_email,
    recover,
    register,
)
from elearning.ids import new_id, region_of
from elearning.models import Claim, ClaimOutcome, ClaimResult, ClaimStatus, User
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.databases import wait_fit
from elearning.testing.factories import CourseFactory, UserFactory, bound
from elearning.testing.switches import Switches
from tests.served import served
from tests.snapshots import Snapshot


def person(region: Region | str, email: str) -> NewUser:
    return NewUser(region=region, email=email, first_name="Ada", last_name="Lovelace")


def address_owned_by(settings: Settings, shard: str, number: int = 0) -> str:
    """Return an address whose hash belongs to a shard."""
    candidates = (f"ada{n}@example.com" for n in range(10_000))
    found = [
        email
        for email in (next(candidates) for _ in range(200))
        if settings.home(home_of_hash(email_hash(settings.email_keys[0], email))).name == shard
    ]
    return found[number]


async def claims(platform: Platform) -> list[Claim]:
    found: list[Claim] = []
    for shard in platform.settings.shards:
        async with platform.read_session(shard.regions[0], consistency="primary") as session:
            found += (await session.scalars(select(Claim))).all()
    return found


@pytest.mark.parametrize("owner", ["na", "eu", "asia"])
async def test_taken_in_every_region(
    platform: Platform, settings: Settings, snapshot: Snapshot, owner: str
) -> None:
    email = address_owned_by(settings, owner)
    user_id = await register(platform, person("europe", email))
    await platform.background.finish()
    (claim,) = await claims(platform)
    assert claim.status is ClaimStatus.CONFIRMED
    assert claim.holder_id == user_id
    before = snapshot()
    for region in Region:
        with pytest.raises(EmailTaken, match=email):
            await register(platform, person(region, email.upper()))
    await platform.background.finish()
    assert snapshot() == before, "nothing is left behind"


async def test_one_of_many_at_once(platform: Platform, settings: Settings) -> None:
    email = address_owned_by(settings, "asia")
    results = await asyncio.gather(
        *(register(platform, person(region, email)) for region in [*Region, *Region]),
        return_exceptions=True,
    )
    won = [each for each in results if isinstance(each, UUID)]
    assert len(won) == 1
    assert all(isinstance(each, EmailTaken) for each in results if not isinstance(each, UUID))
    await platform.background.finish()
    (claim,) = [each for each in await claims(platform) if each.status != ClaimStatus.RELEASED]
    assert (claim.holder_id, claim.status) == (won[0], ClaimStatus.CONFIRMED)


@pytest.mark.parametrize("region", list(Region))
async def test_found_without_a_region_by_two_shards(
    platform: Platform, settings: Settings, region: Region
) -> None:
    email = address_owned_by(settings, "na")
    token = Token()
    user_id = await register(platform, person(region, email), token=token)
    await platform.background.finish()
    with served(platform.engines) as nodes:
        found = await get_user_by_email(platform, f" {email.upper()} ", token=token)
        assert found is not None
        assert found.id == user_id
        assert {node.split("-")[0] for node in nodes} == {"na", settings.home(region).name}
        nodes.clear()
        assert await get_user_by_email(platform, address_owned_by(settings, "eu", 1)) is None
        assert {node.split("-")[0] for node in nodes} == {"eu"}
    with pytest.raises(InvalidEmail):
        await get_user_by_email(platform, "nobody")


async def test_found_while_replicas_lag(
    platform: Platform, settings: Settings, switches: Switches
) -> None:
    email = address_owned_by(settings, "asia")
    with switches.replay_paused("asia-replica-1"), switches.replay_paused("na-replica-1"):
        user_id = await register(platform, person("north_america", email))
        found = await get_user_by_email(platform, email)
    assert found is not None
    assert found.id == user_id


@pytest.mark.parametrize("owner", ["na", "eu"])
async def test_another_address(platform: Platform, settings: Settings, owner: str) -> None:
    old, new = (address_owned_by(settings, owner, number) for number in range(2))
    user_id = await register(platform, person("europe", old))
    other = await register(platform, person("asia", address_owned_by(settings, "asia")))
    with pytest.raises(EmailTaken):
        await change_email(platform, other, old)
    token = Token()
    await change_email(platform, user_id, new, token=token)
    await platform.background.finish()
    found = await get_user_by_email(platform, new, token=token)
    assert found is not None
    assert found.id == user_id
    assert await get_user_by_email(platform, old) is None
    # It is free, everywhere.
    await change_email(platform, other, old)
    with pytest.raises(EmailTaken):
        await change_email(platform, user_id, old)
    await change_email(platform, user_id, new)
    with pytest.raises(UserNotFound):
        await change_email(platform, new_id("asia"), "nobody@example.com")
    with pytest.raises(InvalidEmail):
        await change_email(platform, user_id, "nobody")


@pytest.mark.parametrize("owner", ["na", "eu"])
async def test_an_account_that_goes_frees_its_address(
    platform: Platform, settings: Settings, owner: str
) -> None:
    email = address_owned_by(settings, owner)
    user_id = await register(platform, person("europe", email))
    assert await UserPreferences.find({"user_id": user_id}).count() == 1
    await delete_user(platform, user_id)
    await platform.background.finish()
    assert await UserPreferences.find({"user_id": user_id}).count() == 0
    assert await get_user_by_email(platform, email) is None
    await register(platform, person("oceania", email))
    with pytest.raises(UserNotFound):
        await delete_user(platform, user_id)


async def test_who_teaches_or_has_paid_stays(
    platform: Platform, engines: Engines, snapshot: Snapshot
) -> None:
    with RoutingSession(engines=engines, region="europe") as session, bound(session):
        teacher = CourseFactory.create().instructor_id
        session.commit()
    before = snapshot()
    with pytest.raises(UserHasPayments, match=str(teacher)):
        await delete_user(platform, teacher)
    assert snapshot() == before


async def test_a_shard_that_is_down(
    platform: Platform, settings: Settings, switches: Switches
) -> None:
    email = address_owned_by(settings, "asia")
    switches.kill("asia-primary")
    with pytest.raises(NodeUnavailable, match="asia-primary"):
        await register(platform, person("europe", email))
    # Others are not touched.
    other = await register(platform, person("europe", address_owned_by(settings, "na")))
    await platform.background.finish()
    switches.restart("asia-primary")
    wait_fit(platform.engines)
    assert (await recover(platform, age=0)).problems == []
    (claim,) = await claims(platform)
    assert (claim.holder_id, claim.status) == (other, ClaimStatus.CONFIRMED)
    await register(platform, person("europe", email))


@pytest_asyncio.fixture
async def rotating(platform: Platform) -> AsyncIterator[list[Platform]]:
    """Platforms with the old key, both, the new one first, and the new one alone."""
    (old,) = platform.settings.email_keys
    new = "a key that is new and long"
    new = new.replace(" ", "-")
    found = [platform]
    for keys in [(old, new), (new, old), (new,)]:
        each = Platform(replace(platform.settings, email_keys=keys))
        await each.engines.check_schemas()
        found.append(each)
    yield found
    for each in found[1:]:
        await each.background.finish()
        await each.engines.close_async()


async def test_a_key_is_replaced(rotating: list[Platform], settings: Settings) -> None:
    old, both, turned, new = rotating
    emails = [address_owned_by(settings, shard) for shard in ("na", "eu", "asia")]
    users = [await register(old, person(Region.AFRICA, email)) for email in emails]
    done = await recover(both)
    assert (done.adopted, done.problems) == (3, [])
    assert (await recover(turned)).adopted == 0
    more = await register(turned, person(Region.ASIA, "more@example.com"))
    await turned.background.finish()
    assert (await recover(new)).problems == []
    assert await forget_old_email_keys(new) == 4
    await new.background.finish()
    for email, user_id in zip([*emails, "more@example.com"], [*users, more], strict=True):
        found = await get_user_by_email(new, email)
        assert found is not None
        assert found.id == user_id
        with pytest.raises(EmailTaken):
            await register(new, person(Region.OCEANIA, email))
    live = [each for each in await claims(new) if each.status != ClaimStatus.RELEASED]
    assert {each.fact[:4] for each in live} == {key_id(new.settings.email_keys[0])}
    assert len(live) == 4


async def test_accounts_that_were_imported_are_claimed_later(
    platform: Platform, engines: Engines, settings: Settings
) -> None:
    emails = [address_owned_by(settings, shard) for shard in ("na", "eu", "asia")]
    twice = address_owned_by(settings, "asia", 1)
    for region in (Region.EUROPE, Region.SOUTH_AMERICA):
        with RoutingSession(engines=engines, region=region) as session, bound(session):
            if region is Region.EUROPE:
                for email in emails:
                    UserFactory.create(region=region, email=email)
            UserFactory.create(region=region, email=twice)
            session.commit()
    assert await get_user_by_email(platform, emails[0]) is None
    done = await recover(platform)
    assert done.adopted == 4
    (problem,) = done.problems
    assert "has an address that another account claims" in problem
    assert twice not in problem
    for email in emails:
        assert await get_user_by_email(platform, email) is not None


async def test_several_shards_need_a_key(platform: Platform, snapshot: Snapshot) -> None:
    before = snapshot()
    keyless = Platform(replace(platform.settings, email_keys=()))
    for attempt in (
        register(keyless, person("asia", "a@example.com")),
        get_user_by_email(keyless, "a@example.com"),
    ):
        with pytest.raises(SettingsError, match="ELEARNING_EMAIL_KEYS"):
            await attempt
    await keyless.engines.close_async()
    assert snapshot() == before


async def test_an_address_is_nowhere_but_at_home(
    platform: Platform, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    email = address_owned_by(settings, "na")
    with caplog.at_level(logging.DEBUG):
        await register(platform, person("europe", email))
        await platform.background.finish()
    (claim,) = await claims(platform)
    assert email.encode() not in claim.fact
    assert email not in caplog.text
    async with platform.read_session("europe", consistency="primary") as session:
        outcome = (await session.scalars(select(ClaimOutcome))).one()
        number = await session.scalar(select(func.count()).select_from(User))
    assert (outcome.claim_id, outcome.outcome, number) == (claim.id, ClaimResult.USED, 1)
    assert region_of(outcome.holder_id) is Region.EUROPE
