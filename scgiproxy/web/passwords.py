"""Users and passwords of htpasswd files (AuthUserFile).

They are checked by libpass in the reactor's thread pool, since a bcrypt hash takes tens of
milliseconds. A pair that was right is remembered for a minute, as a keyed digest, so that a page
with fifty pictures costs one check; a changed file makes the memory void at once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from typing import Any

from passlib.apache import HtpasswdFile
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

from scgiproxy.errors import GatewayError
from scgiproxy.log.events import Logger
from scgiproxy.rules.settings import BasicAuth

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
