"""What is logged and shown of requests: no line of a client's making, no terminal's commands, and
no secret."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directives.gateway import ConfiguredGateway, request
from tests.directives.test_monitoring import PAGES
from tests.smuggling.cases import CASES
from tests.smuggling.outcome import read_pieces
from tests.web.answers import parse_answers

# The password of ada is "engine".
USERS = "ada:{SHA}xkAzZy9cqYTf6WKQlnGWHoAS8MU=\n"
TEXT = """
    ServerName here.example
    LogLevel debug
    ErrorLog {folder}/error.log
    CustomLog {folder}/access.log combined
    ProxyPass /app balancer://b
    <Proxy balancer://b>
      BalancerMember scgi://127.0.0.1:4000
    </Proxy>
    <Location /app/users>
      AuthType Basic
      AuthName "here"
      AuthUserFile {folder}/users
      Require valid-user
    </Location>
    <Location /balancer-manager>
      SetHandler balancer-manager
    </Location>
"""
PRINTABLE = re.compile(r"[ -~]*")
ACCESS = re.compile(
    r'\S+ - (?:-|(?:[^ "\\]|\\.)+) \[[^]]+\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:-|\d+)'
    r' "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"'
)
HOSTILE = {
    "line": b'"\xe9\\ 127.0.0.1 - root [01/Jan/2026:00:00:00 +0000] "GET /admin" 200 -',
    "terminal": b"\x1b[2J\x1b]0;x\x07",
    "new line": b"a\r\n192.0.2.1 - root - x",
    "other controls": b"\x00\x08\x0b\x0c\x7f\x85\x9b",
    "format": b"{0} {log_key} %s %n {request!r}",
    "right to left": "\u202egpj.exe\u2028".encode(),
    "script": b"<script>alert(1)</script>",
}


class Logged:
    """A gateway and what it has written when all is over."""

    def __init__(self, folder: Path) -> None:
        (folder / "users").write_text(USERS)
        self.folder = folder
        self.gateway = ConfiguredGateway(TEXT.replace("{folder}", str(folder)) + PAGES)
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.gateway.close()

    def lines(self, name: str) -> list[str]:
        """Of that log; all of them without anything that is not printable ASCII."""
        self.close()
        path = self.folder / name
        if not path.exists():
            return []
        text = path.read_bytes().decode("latin-1")
        assert text.endswith("\n")
        lines = text[:-1].split("\n")
        assert all(PRINTABLE.fullmatch(line) for line in lines), lines
        return lines


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    it = Logged(tmp_path)
    yield it
    it.close()


def basic(user: bytes, password: bytes) -> bytes:
    return b"Authorization: Basic " + b64encode(user + b":" + password) + b"\r\n"


def requests_with(text: bytes) -> list[bytes]:
    """With that text in each place of a request."""
    field = text.replace(b"\r\n", b" ")
    quoted = b"".join(b"%%%02x" % byte for byte in text)
    end = b"\r\n\r\n"
    return [
        b"GET /app/" + text + b" HTTP/1.1\r\nHost: a" + end,
        b"GET /app/" + quoted + b" HTTP/1.1\r\nHost: a" + end,
        b"GET /app?" + quoted + b" HTTP/1.1\r\nHost: a" + end,
        b"GET /" + text + b"\r\n\r\n",
        text + b" / HTTP/1.1\r\nHost: a" + end,
        b"GET /app HTTP/1.1\r\nHost: " + text + end,
        b"GET http://" + text + b"/app HTTP/1.1\r\nHost: a" + end,
        b"GET /app HTTP/1.1\r\nHost: a\r\nUser-Agent: " + field + end,
        b"GET /app HTTP/1.1\r\nHost: a\r\nReferer: " + field + end,
        b"GET /app HTTP/1.1\r\nHost: a\r\n" + text + b": x" + end,
        b"GET /app/users HTTP/1.1\r\nHost: a\r\n" + basic(text, b"engine") + b"\r\n",
        b"GET /app/users HTTP/1.1\r\nHost: a\r\n" + basic(b"ada", text) + b"\r\n",
        b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: " + field + end,
        b"POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + field + end,
        b"POST /app HTTP/1.1\r\nHost: a\r\nExpect: " + field + b"\r\nContent-Length: 1" + end,
        b"POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + text + end,
        b"GET /nowhere/" + quoted + b" HTTP/1.1\r\nHost: a" + end,
    ]


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_line_is_of_a_client_s_making(logged: Logged, kind: str) -> None:
    """One line in the access log for each answer, of the form it always has; the error log's begin
    with their time."""
    answers = 0
    for data in requests_with(HOSTILE[kind]):
        client = logged.gateway.client().send(data)
        logged.gateway.settle()
        for attempt in [each for each in logged.gateway.attempts if each.open]:
            attempt.refuse()
        logged.gateway.settle()
        received = client.received
        assert b"<script" not in received
        assert b"\x1b" not in received
        answers += len(parse_answers(received))
        client.leave()
        logged.gateway.settle()
    assert answers >= 15
    access = logged.lines("access.log")
    assert len(access) == answers
    assert all(ACCESS.fullmatch(line) for line in access), access
    for line in logged.lines("error.log"):
        assert re.match(r"\[?\d{4}-\d\d-\d\d|\[[A-Z][a-z]{2} ", line), line


def test_every_smuggled_request(logged: Logged) -> None:
    """The corpus, too."""
    answers = 0
    for case in CASES.values():
        client = logged.gateway.client().send(case.data)
        logged.gateway.settle()
        methods = [read.method.decode() for read in read_pieces([case.data]).requests]
        answers += len(parse_answers(client.received, methods=methods))
        client.leave()
        logged.gateway.settle()
    assert answers > 300
    access = logged.lines("access.log")
    assert all(ACCESS.fullmatch(line) for line in access)
    # 499: of a client that has left before its answer.
    assert len([line for line in access if '" 499 ' not in line]) == answers
    logged.lines("error.log")


SECRET = b"5ecret-of-a-user"
AUTHORIZATION = basic(b"ada", b"engine")
WITH_SECRETS = {
    "served": (b"GET /app HTTP/1.1\r\nHost: a\r\n", 200),
    "let in": (b"GET /app/users HTTP/1.1\r\nHost: a\r\n" + AUTHORIZATION, 200),
    "wrong password": (b"GET /app/users HTTP/1.1\r\nHost: a\r\n" + basic(b"ada", SECRET), 401),
    "not found": (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n", 404),
    "malformed": (b"GET /app HTTP/1.1\r\nHost: a\r\nX: \x00\r\n", 400),
    "two hosts": (b"GET /app HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
    "no coding": (b"POST /app HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n", 400),
    "control in it": (b"GET /app HTTP/1.1\r\nHost: a\r\nCookie: " + SECRET + b"\x01\r\n", 400),
    "too long": (b"GET /app HTTP/1.1\r\nHost: a\r\nCookie: " + SECRET * 600 + b"\r\n", 431),
    "too many": (b"GET /app HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101, 431),
}


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_secrets_are_neither_logged_nor_shown(logged: Logged, name: str) -> None:
    """Cookies, credentials and passwords: not in any log, of any level, nor on a page."""
    data, status = WITH_SECRETS[name]
    for field in (b"Cookie: session=", b"Proxy-Authorization: Basic ", b"X-Token: "):
        data += field + SECRET + b"\r\n"
    if b"Authorization: B" not in data[:200]:
        data += b"Authorization: Bearer " + SECRET + b"\r\n"
    gateway = logged.gateway
    client = gateway.client().send(data + b"\r\n")
    gateway.settle()
    for attempt in [each for each in gateway.attempts if each.open]:
        end = attempt.accept()
        assert end is not None
        end.answer(b"Set-Cookie: session=" + SECRET + b"\r\nContent-Length: 0\r\n\r\n")
    gateway.settle()
    assert client.answer.status == status
    shown = [] if status == 200 else [client.received]
    for path in ("/metrics", "/server-status", "/server-status?auto", "/balancer-manager"):
        other = gateway.client(peer="127.0.0.1").send(request(path, host="localhost"))
        for _ in range(100):
            gateway.reactor.advance(0)
        assert other.answers[0].status == 200, other.received
        shown.append(other.received)
    written = "\n".join([*logged.lines("access.log"), *logged.lines("error.log")]).encode()
    for text in (*shown, written):
        assert SECRET not in text
        assert b64encode(SECRET) not in text
        assert AUTHORIZATION.split()[-1] not in text
        assert b"engine" not in text


def test_they_would_be_found(logged: Logged) -> None:
    """What is in the target is in the log: what is searched for above could be."""
    logged.gateway.ask("/app?" + SECRET.decode())
    assert SECRET.decode() in "\n".join(logged.lines("access.log"))
