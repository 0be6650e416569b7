"""Certificates are verified from anywhere, by their codes alone."""

from __future__ import annotations

import pytest

from elearning.certificate_code import new_code
from elearning.crud import (
    CertificateState,
    issue_certificate,
    mark_lesson_complete,
    revoke_certificate,
)
from elearning.errors import InvalidCertificateCode
from elearning.flows import Platform, enroll, verify_certificate
from elearning.models import Certificate
from elearning.regions import Region
from elearning.routing import Engines, RoutingSession, Token
from elearning.testing.switches import Switches
from tests.crud.learning import wait_for_replicas
from tests.flows.conftest import Campus, make_campus
from tests.served import served


async def graduate(platform: Platform, campus: Campus, token: Token) -> Certificate:
    enrolled = await enroll(platform, campus.user_id, campus.course_id)
    async with platform.session(campus.region, token=token) as session, session.begin():
        for lesson_id in campus.lesson_ids:
            await session.run_sync(mark_lesson_complete, enrolled.enrollment_id, lesson_id)
        return await session.run_sync(issue_certificate, enrolled.enrollment_id)


async def test_a_code_leads_to_every_region(
    platform: Platform, engines: Engines, region: Region
) -> None:
    token = Token()
    certificate = await graduate(platform, make_campus(engines, region), token)
    replica = f"{platform.engines.home(region)}-replica-1"
    with RoutingSession(engines=engines, region=region, token=token) as waiting:
        wait_for_replicas(engines, waiting)
    with served(platform.engines) as nodes:
        found = await verify_certificate(platform, certificate.code.lower(), token=token)
    assert nodes == [replica]
    assert (found.state, found.code) == (CertificateState.VALID, certificate.code)
    assert found.recipient_name == certificate.recipient_name
    assert found.completion_date == certificate.completion_date

    async with platform.session(region, token=token) as session, session.begin():
        await session.run_sync(revoke_certificate, certificate.id, "a test")
    found = await verify_certificate(platform, certificate.code, token=token)
    assert found.state is CertificateState.REVOKED
    assert found.revoked_at is not None


async def test_what_the_replica_does_not_have_yet_is_read_on_the_primary(
    platform: Platform, campus: Campus, switches: Switches
) -> None:
    with switches.replay_paused("eu-replica-1"):
        certificate = await graduate(platform, campus, Token())
        with served(platform.engines) as nodes:
            found = await verify_certificate(platform, certificate.code)
        assert nodes == ["eu-replica-1", "eu-primary"]
    assert found.state is CertificateState.VALID


async def test_nobody_was_given_this_code(platform: Platform) -> None:
    with served(platform.engines) as nodes:
        found = await verify_certificate(platform, new_code("oceania"))
    assert nodes == ["asia-replica-1", "asia-primary"]
    assert found.state is CertificateState.UNKNOWN
    assert found.recipient_name is None


@pytest.mark.parametrize("code", ["", "x", "3K7W-Q0ZD-M5XA-9TBH-2VCF", None])
async def test_a_slip_asks_no_database(platform: Platform, code: str) -> None:
    with served(platform.engines) as nodes, pytest.raises(InvalidCertificateCode):
        await verify_certificate(platform, code)
    assert nodes == []
