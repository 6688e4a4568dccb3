"""Require and Basic authentication, through a whole gateway."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from passlib.apache import HtpasswdFile
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from scgiproxy.rules.access import (
    RequireAll,
    RequireAllGranted,
    RequireIp,
    Requirement,
    RequireNot,
    RequireUser,
    RequireValidUser,
)
from scgiproxy.rules.networks import parse_networks
from scgiproxy.rules.sections import SectionKind
from scgiproxy.rules.settings import BasicAuth
from scgiproxy.web.access import parse_credentials
from scgiproxy.web.passwords import MOST_REMEMBERED, Authenticators
from tests.web.answers import Answer
from tests.web.harness import Client, Gateway, SectionValues

OK = b"Content-Length: 5\r\n\r\nhello"


class InlinePool(ThreadPool):
    """Works in the calling thread, when it is told to: each job takes its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Callable[[], None]] = []
        self.done = 0

    def callInThreadWithCallback(self, onResult: Any, func: Any, *args: Any, **kw: Any) -> None:
        def job() -> None:
            self.done += 1
            try:
                result = func(*args, **kw)
            except Exception:
                onResult(False, Failure())
            else:
                onResult(True, result)

        self.jobs.append(job)

    def run(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()


class ThreadedClock(Clock):
    """A clock with a thread pool, as a reactor is."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = InlinePool()

    def getThreadPool(self) -> InlinePool:
        return self.pool

    def callFromThread(self, function: Any, *args: Any, **kw: Any) -> None:
        function(*args, **kw)


def one(client: Client) -> Answer:
    (answer,) = client.answers
    return answer


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "htpasswd"
    file = HtpasswdFile(str(path), new=True, default_scheme="apr_md5_crypt")
    file.set_password("ada", "engine")
    file.set_password("bob", "builder")
    file.save()
    return path


class Guarded:
    """A gateway that asks for a user."""

    def __init__(self, users: Path, access: Requirement | None = None, **settings: Any) -> None:
        self.clock = ThreadedClock()
        self.gateway = Gateway(
            clock=self.clock,
            access=access or RequireValidUser(),
            auth=BasicAuth(b'the "realm"', str(users)),
            authenticators=Authenticators(self.clock),
            **settings,
        )

    def ask(self, user: str = "", password: str = "", field: bytes | None = None) -> Client:
        if field is None and user:
            field = b"Basic " + b64encode(f"{user}:{password}".encode())
        line = b"" if field is None else b"Authorization: " + field + b"\r\n"
        client = self.gateway.client().send(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n")
        self.clock.pool.run()
        return client

    def status(self, *args: Any, **kw: Any) -> int:
        """200 if it reached the backend."""
        before = len(self.gateway.pool.ends)
        client = self.ask(*args, **kw)
        if len(self.gateway.pool.ends) > before:
            self.gateway.backend.answer(OK)
        return one(client).status


def test_no_requirement_lets_everyone_in() -> None:
    gateway = Gateway()
    gateway.client().get("/")
    assert gateway.pool.ends


def test_denied_is_403_before_any_connection() -> None:
    gateway = Gateway(access=RequireAllGranted(False))
    assert one(gateway.client().get("/")).status == 403
    assert not gateway.pool.dispatches


@pytest.mark.parametrize(("network", "status"), [("192.0.2.0/24", 200), ("10.0.0.0/8", 403)])
def test_network(network: str, status: int) -> None:
    gateway = Gateway(access=RequireIp(parse_networks([network])))
    client = gateway.client().get("/")
    if gateway.pool.ends:
        gateway.backend.answer(OK)
    assert one(client).status == status


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/x",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/x/%2e%2e/admin",
        "/admin/.",
    ],
)
def test_rule_of_a_section_holds_for_every_spelling(path: str) -> None:
    """Rules and routing look at the same normal form."""
    section = SectionValues(SectionKind.LOCATION, b"/admin", {"access": RequireAllGranted(False)})
    gateway = Gateway(sections=[section])
    assert one(gateway.client().get(path)).status == 403
    gateway.client().get("/administrator")
    assert len(gateway.pool.ends) == 1


def test_no_credentials_is_401_with_a_challenge(users: Path) -> None:
    answer = one(Guarded(users).ask())
    assert answer.status == 401
    assert answer["www-authenticate"] == 'Basic realm="the \\"realm\\"", charset="UTF-8"'
    assert answer["connection"] is None


def test_user_is_let_in_and_told_to_the_backend(users: Path) -> None:
    guarded = Guarded(users)
    client = guarded.ask("ada", "engine")
    variables = guarded.gateway.backend.variables
    assert (variables["REMOTE_USER"], variables["AUTH_TYPE"]) == ("ada", "Basic")
    assert "HTTP_AUTHORIZATION" not in variables
    guarded.gateway.backend.answer(OK)
    assert one(client).status == 200


def test_credentials_are_passed_on_if_it_is_said(users: Path) -> None:
    guarded = Guarded(users, cgi_pass_auth=True)
    guarded.ask("ada", "engine")
    assert guarded.gateway.backend.variables["HTTP_AUTHORIZATION"].startswith("Basic ")


def test_client_cannot_say_who_it_is() -> None:
    gateway = Gateway()
    for name in ("Remote-User", "Remote_User", "REMOTE_USER", "Auth-Type"):
        gateway.client().get("/", f"{name}: evil")
        assert "REMOTE_USER" not in gateway.backend.variables
        assert "AUTH_TYPE" not in gateway.backend.variables


@pytest.mark.parametrize(
    ("user", "password"),
    [("ada", "wrong"), ("ada", ""), ("eve", "engine"), ("ADA", "engine"), ("ada", "x" * 5000)],
)
def test_wrong_password(users: Path, user: str, password: str) -> None:
    guarded = Guarded(users)
    assert guarded.status(user, password) == 401
    assert not guarded.gateway.pool.ends


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Basic",
        b"Basic !!!",
        b"Basic " + b64encode(b"no colon"),
        b"Basic " + b64encode(b"a\0:b"),
        b"Basic " + b64encode(b"ada:engine\0"),
        b"Basic " + b64encode(b"\xff\xfe:\xff"),
        b"Basic " + b64encode(b"a\nb:c"),
        b"Bearer abc",
    ],
)
def test_malformed_credentials(users: Path, field: bytes) -> None:
    assert Guarded(users).status(field=field) == 401


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Basic " + b64encode(b"a:b"), (b"a", b"b")),
        (b"basic   " + b64encode(b"a:b:c") + b" ", (b"a", b"b:c")),
        (b"BASIC " + b64encode(b":"), (b"", b"")),
        (None, None),
    ],
)
def test_parse_credentials(field: bytes | None, expected: object) -> None:
    assert parse_credentials(field) == expected


def test_other_user_is_401(users: Path) -> None:
    guarded = Guarded(users, RequireUser(frozenset((b"ada",))))
    assert guarded.status("bob", "builder") == 401
    assert guarded.status("ada", "engine") == 200


def test_network_and_user(users: Path) -> None:
    """A password is not even asked for where it cannot help."""
    elsewhere = RequireNot(RequireIp(parse_networks(["192.0.2.7"])))
    guarded = Guarded(users, RequireAll((RequireValidUser(), elsewhere)))
    assert guarded.status("ada", "engine") == 403
    assert guarded.clock.pool.done == 0


def test_right_pair_is_remembered_for_a_while(users: Path) -> None:
    guarded = Guarded(users)
    assert guarded.status("ada", "engine") == 200
    assert guarded.status("ada", "engine") == 200
    assert guarded.clock.pool.done == 1
    assert guarded.status("ada", "wrong") == 401
    assert guarded.status("ada", "wrong") == 401
    assert guarded.clock.pool.done == 3
    guarded.gateway.advance(61)
    assert guarded.status("ada", "engine") == 200
    assert guarded.clock.pool.done == 4


def test_changed_file_makes_the_memory_void(users: Path) -> None:
    guarded = Guarded(users)
    assert guarded.status("ada", "engine") == 200
    file = HtpasswdFile(str(users), default_scheme="apr_md5_crypt")
    file.set_password("ada", "new")
    file.save()
    os.utime(users, (2_000_000_000, 2_000_000_000))
    assert guarded.status("ada", "engine") == 401
    assert guarded.status("ada", "new") == 200


def test_memory_is_bounded(users: Path) -> None:
    authenticators = Authenticators(ThreadedClock())
    for number in range(MOST_REMEMBERED + 5):
        authenticators._remember(True, b"%d" % number)
    assert len(authenticators._right) <= MOST_REMEMBERED


def test_missing_file_is_500(users: Path) -> None:
    guarded = Guarded(users.parent / "gone")
    assert guarded.status("ada", "engine") == 500


def test_malformed_file_is_500_until_it_is_mended(users: Path) -> None:
    """Also for the second who asks, and when it has been well-formed before."""
    text = users.read_text()
    guarded = Guarded(users)
    assert guarded.status("ada", "engine") == 200
    users.write_text("no colon here\n")
    os.utime(users, (1, 1))
    assert guarded.status("ada", "engine") == 500
    assert guarded.status("ada", "engine") == 500
    users.write_text(text)
    os.utime(users, (2, 2))
    assert guarded.status("ada", "engine") == 200


def test_file_without_permission_is_500(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("scgiproxy.web.passwords.HtpasswdFile", refuse)
    assert Guarded(users).status("ada", "engine") == 500


def test_pipe_in_place_of_the_file_is_not_opened(users: Path) -> None:
    """It would keep a thread waiting, and the process from ending."""
    guarded = Guarded(users)
    users.unlink()
    os.mkfifo(users)
    assert guarded.status("ada", "engine") == 500


def test_no_authentication_set_up_is_500() -> None:
    gateway = Gateway(access=RequireValidUser())
    assert one(gateway.client().get("/")).status == 500


def test_upload_waits_for_the_password(users: Path) -> None:
    """Bounded, and without a 100 before the client is let in."""
    guarded = Guarded(users)
    gateway = guarded.gateway
    field = b"Authorization: Basic " + b64encode(b"ada:engine") + b"\r\n"
    client = gateway.client().send(
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n"
        + field
        + b"\r\n"
    )
    assert client.received == b""
    client.send(b"x" * 100_000)
    assert client.paused
    guarded.clock.pool.run()
    assert not client.paused
    client.send(b"x" * 100_000)
    assert len(gateway.backend.body) == 200_000
    gateway.backend.answer(OK)
    assert client.answers[-1].status == 200


def test_client_leaves_while_its_password_is_checked(users: Path) -> None:
    guarded = Guarded(users)
    gateway = guarded.gateway
    field = b"Authorization: Basic " + b64encode(b"ada:engine") + b"\r\n"
    client = gateway.client().send(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n")
    client.leave()
    guarded.clock.pool.run()
    assert not gateway.pool.ends
    gateway.assert_idle()


def test_pipelined_request_waits_for_the_password(users: Path) -> None:
    guarded = Guarded(users)
    gateway = guarded.gateway
    field = b"Authorization: Basic " + b64encode(b"ada:engine") + b"\r\n"
    client = gateway.client().send((b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n") * 2)
    guarded.clock.pool.run()
    gateway.backend.answer(OK)
    gateway.backend.answer(OK)
    assert [answer.status for answer in client.answers] == [200, 200]
