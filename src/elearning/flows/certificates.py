"""Certificates: whoever has a code verifies it, anywhere in the world."""

from __future__ import annotations

from elearning import crud
from elearning.certificate_code import parse_code, region_of_code
from elearning.crud import CertificateState, VerifiedCertificate
from elearning.flows.platform import Platform
from elearning.routing import Consistency, Token

__all__ = ["verify_certificate"]


async def verify_certificate(
    platform: Platform, code: str, *, token: Token | str | None = None
) -> VerifiedCertificate:
    """Tell what the code of a certificate stands for; it names the region itself.

    Read on the home's replica, and on its primary where the replica does not have it (yet). A
    revocation is seen as soon as the replica has it, and at once by who has its token.

    Args:
        platform: the databases.
        code: in upper or lower case, with or without separators.
        token: what the caller has written before.

    Raises:
        InvalidCertificateCode: a sign is wrong or missing; no database is asked.
        NodeUnavailable: the region's nodes do not answer.
    """
    code = parse_code(code)
    found = VerifiedCertificate(code, CertificateState.UNKNOWN)
    for consistency in (Consistency.SESSION, Consistency.PRIMARY):
        async with platform.read_session(
            region_of_code(code), consistency=consistency, token=token
        ) as reader:
            found = await reader.run_sync(crud.verify_certificate, code)
        if found.state is not CertificateState.UNKNOWN:
            break
    return found
