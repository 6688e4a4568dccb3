"""Letting requests in: Require, and Basic authentication against htpasswd files.

Passwords are checked by libpass in the reactor's thread pool, since a bcrypt hash takes tens of
milliseconds. A pair that was right is remembered for a minute, as a keyed digest, so that a page
with fifty pictures costs one check; a changed file makes the memory void at once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from base64 import b64decode
from binascii import Error as BadBase64
from typing import TYPE_CHECKING, Any

from passlib.apache import HtpasswdFile
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

from scgiproxy.errors import Forbidden, GatewayError, Unauthorized, quoted
from scgiproxy.log.events import Logger
from scgiproxy.rules.access import Outcome
from scgiproxy.rules.settings import BasicAuth, Settings

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

REMEMBERED = 60.0
MOST_REMEMBERED = 1024


class Authenticators:
    """Checks user names and passwords. One for a whole gateway.

    `reactor` gives the time and the thread pool.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._files: dict[str, HtpasswdFile] = {}
        self._right: dict[bytes, float] = {}
        self._key = os.urandom(32)

    def check(self, auth: BasicAuth, user: bytes, password: bytes) -> Deferred[bool]:
        """Fires with True if the pair is right. Fails with GatewayError if the file cannot be read
        (any more)."""
        try:
            status = os.stat(auth.user_file)  # noqa: PTH116
        except OSError as error:
            raise GatewayError(f"AuthUserFile {auth.user_file}: {error.strerror}") from error
        # A thread that opens a pipe would wait for ever, and hold up the end of the process.
        if not stat.S_ISREG(status.st_mode):
            raise GatewayError(f"AuthUserFile {auth.user_file}: it is not a regular file")
        mark = b"%d" % status.st_mtime_ns
        text = b"\0".join((user, password, os.fsencode(auth.user_file), mark))
        digest = hmac.digest(self._key, text, hashlib.sha256)
        now = self._reactor.seconds()
        if self._right.get(digest, 0.0) > now:
            return succeed(True)
        pool = self._reactor.getThreadPool()
        checked: Deferred[bool] = deferToThreadPool(
            self._reactor, pool, self._check, auth.user_file, user, password
        )
        return checked.addCallback(self._remember, digest)

    def _remember(self, right: bool, digest: bytes) -> bool:
        if right:
            if len(self._right) >= MOST_REMEMBERED:
                self._right.clear()
            self._right[digest] = self._reactor.seconds() + REMEMBERED
        return right

    def _load(self, path: str) -> HtpasswdFile:
        """In a thread. Raises GatewayError."""
        # Taken out while it is read: a file that failed to load would count as loaded.
        file = self._files.pop(path, None)
        try:
            if file is None:
                file = HtpasswdFile(path)
            else:
                file.load_if_changed()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise GatewayError(f"AuthUserFile {path}: {reason}") from error
        self._files[path] = file
        return file

    def _check(self, path: str, user: bytes, password: bytes) -> bool:
        """In a thread."""
        file = self._load(path)
        try:
            right = file.check_password(user, password)
            if right is None:
                # A name that is not there must not answer faster than a wrong password.
                names = file.users()
                if names:
                    file.check_password(names[0], password)
            return bool(right)
        except (ValueError, TypeError) as error:
            self.log.warn("AuthUserFile {path}: {error}", path=path, error=error)
            return False


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
