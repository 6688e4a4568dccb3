"""Letting requests in: Require, and Basic authentication."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as BadBase64
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from scgiproxy.errors import Forbidden, GatewayError, Unauthorized, quoted
from scgiproxy.rules.access import Outcome
from scgiproxy.rules.settings import Settings

if TYPE_CHECKING:
    from scgiproxy.web.passwords import Authenticators
    from scgiproxy.web.request import GatewayRequest


def admit(
    request: GatewayRequest, settings: Settings, authenticators: Authenticators | None
) -> Deferred[None] | None:
    """Let `request` in, or raise Forbidden or Unauthorized.

    None if it may go on at once; else a Deferred that fires when it may, and fails with the
    same errors. `request.user` is set to a user that was authenticated.
    """
    access = settings.access
    if access is None:
        return None
    outcome = access.check(request, None)
    if outcome is Outcome.GRANTED:
        return None
    if outcome is not Outcome.NEEDS_USER:
        raise Forbidden(access.refusal)
    auth = settings.auth
    if auth is None or authenticators is None:
        raise GatewayError("Require asks for a user, and there is no AuthType Basic with a file")
    challenge = b'Basic realm="%b", charset="UTF-8"' % auth.realm.replace(b'"', b'\\"')
    credentials = parse_credentials(request.header(b"authorization"))
    if credentials is None:
        raise Unauthorized("no credentials", challenge)
    user, password = credentials
    return authenticators.check(auth, user, password).addCallback(
        _authenticated, request, settings, user, challenge
    )


def _authenticated(
    right: bool, request: GatewayRequest, settings: Settings, user: bytes, challenge: bytes
) -> None:
    if not right:
        raise Unauthorized(f"wrong password, or no such user: {quoted(user)}", challenge)
    assert settings.access is not None
    if settings.access.check(request, user) is not Outcome.GRANTED:
        raise Unauthorized(f"user {quoted(user)} is not among those required", challenge)
    request.user = user


def parse_credentials(field: bytes | None) -> tuple[bytes, bytes] | None:
    """User and password of an Authorization field (RFC 7617); None if there are none."""
    scheme, _, encoded = (field or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = b64decode(encoded.strip(), validate=True).partition(b":")
    except (BadBase64, ValueError):
        return None
    if not colon or b"\0" in user or b"\0" in password:
        return None
    return user, password
