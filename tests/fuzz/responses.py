"""Bytes of a backend: any of them give a valid answer, or an abort that the client sees.

Never an error in the log, never more memory than the limits, and nothing that the backend sends
becomes a second answer, or a field that it did not send. The first byte of an input says what was
asked, how the backend ends, and what the gateway does with fields that are for it (see `Mode`).
"""

from __future__ import annotations

import gc
import re
import shutil
import tempfile
import tracemalloc
import weakref
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from scgiproxy.rules.rewriting import CookieRule, ReverseRule
from tests.fuzz.frame import ErrorLog, Target, pieces_of
from tests.fuzz.heads import Answer as Said
from tests.fuzz.heads import read
from tests.web.answers import Answer, parse_answers
from tests.web.harness import GET, OK, BackendEnd, Client, Gateway
from tests.web.test_exchange import MALFORMED_HEADS

_HEAD = b" / HTTP/1.1\r\nHost: a\r\n"
REQUESTS = (
    GET,
    b"HEAD" + _HEAD + b"\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"POST" + _HEAD + b"Content-Length: 5\r\n\r\nhello",
    b"POST" + _HEAD + b"Content-Length: 9\r\n\r\nhello",
    b'GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: "a"\r\nRange: bytes=1-\r\n\r\n',
    GET + GET,
)
ENDS = ("closes", "resets", "stays")
KINDS = ("plain", "fields", "pages")
MODES = len(REQUESTS) * len(ENDS) * len(KINDS)

MOST_HELD = 1 << 19
"""Bytes that an exchange may hold, whatever its backend sends."""

_TIMEOUT = 10.0
_PUMPED = 1 << 22
_ONE_IN = 2003
"""For so many inputs one is sent on and on."""

_OWN = frozenset(
    ("connection", "content-length", "date", "server", "transfer-encoding", "content-type")
)
"""What the gateway says itself; these it changes where it is told to, or has of a file's."""
_CHANGED = frozenset(
    ("location", "content-location", "uri", "set-cookie", "etag", "last-modified")
) | {"accept-ranges", "content-range", "vary", "cache-control", "content-security-policy"}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SECRET = b"nobody may see this"

WORDS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b"Status: 200 OK\r\n",
    b"Status: 404 Not Found\r\n",
    b"Status: 204 None\r\n",
    b"Status: 304 Same\r\n",
    b"Status: 100 Continue\r\n",
    b"Status: 101 Other\r\n",
    b"Status: 500 \xff\r\n",
    b"Status: ",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 302\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"Connection: close\r\n",
    b"Connection: X-A, Content-Length\r\n",
    b"Keep-Alive: timeout=5\r\n",
    b"Upgrade: h2c\r\n",
    b"Trailer: X\r\n",
    b"Content-Type: text/html\r\n",
    b"Location: /again\r\n",
    b"Location: /a?b=c#d\r\n",
    b"Location: http://other.example/x\r\n",
    b"Location: //other.example/x\r\n",
    b"Location: /%0d%0aX-Split:%201\r\n",
    b"X-Sendfile: \r\n",
    b"X-Sendfile: /etc/passwd\r\n",
    b"X-Accel-Redirect: /x\r\n",
    b"Set-Cookie: a=b; Path=/app/; Domain=inner.example\r\n",
    b"Set-Cookie: ;;; Path; Domain=\r\n",
    b'ETag: "a"\r\n',
    b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    b"Expires: 0\r\n",
    b"X-A: b\r\n",
    b"X: a\rSet-Cookie: b\r\n",
    b" folded\r\n",
    b"\x00",
    b"hello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    OK,
)

GOOD = (
    OK,
    b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello",
    b"Content-Type: a/b\r\nStatus: 404 Nothing\r\n\r\n",
    b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello and more",
    b"Content-Length: 10\r\n\r\nhello",
    b"Status: 204 None\r\n\r\nhello",
    b"Status: 304 Same\r\nContent-Length: 5\r\n\r\n",
    b"Location: http://other.example/\r\n\r\n",
    b"Location: /again\r\nX-A: b\r\n\r\nhello",
    b"Status: 302 Found\r\nLocation: /again\r\n\r\n",
    b'ETag: "a"\r\nContent-Type: text/plain\r\n\r\nhello',
    b"Set-Cookie: a=b; Path=/; Domain=inner.example\r\nSet-Cookie: c\r\n\r\n",
    b"Connection: X-A\r\nX-A: b\r\nUpgrade: h2c\r\n\r\n",
    b"Status: 503 No\r\nWWW-Authenticate: Basic\r\n\r\nhello",
    b"\r\nhello",
    b"X-Sendfile: download\r\n\r\n",
)


@dataclass(frozen=True)
class Mode:
    """What the first byte of an input says."""

    number: int

    @property
    def request(self) -> bytes:
        return REQUESTS[self.number % len(REQUESTS)]

    @property
    def ends(self) -> str:
        return ENDS[self.number // len(REQUESTS) % len(ENDS)]

    @property
    def kind(self) -> str:
        return KINDS[self.number // (len(REQUESTS) * len(ENDS)) % len(KINDS)]

    @property
    def method(self) -> str:
        return self.request.partition(b" ")[0].decode()

    @property
    def is_old(self) -> bool:
        return b"HTTP/1.0" in self.request

    @property
    def is_conditional(self) -> bool:
        return b"If-None-Match" in self.request

    @property
    def uploads(self) -> bool:
        return self.method == "POST"

    @property
    def is_whole(self) -> bool:
        """All of the request has been sent."""
        return b": 9" not in self.request


class Responses(Target):
    name = "responses"
    words = WORDS

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, folder)
        (folder / "open").mkdir()
        self.file = folder / "open" / "download"
        self.file.write_bytes(b"a file of ours")
        (folder / "secret").write_bytes(_SECRET)
        (folder / "open" / "link").symlink_to(folder / "secret")
        self.words = (
            *WORDS,
            b"X-Sendfile: %b\r\n" % bytes(self.file),
            b"X-Sendfile: %b/open/../secret\r\n" % bytes(folder),
            b"X-Sendfile: %b/open/link\r\n" % bytes(folder),
        )
        self._log = ErrorLog()
        self._gateways = {
            "plain": Gateway(backend={"timeout": _TIMEOUT}, internal_redirect=None),
            "fields": Gateway(
                backend={"timeout": _TIMEOUT},
                sendfile=b"x-sendfile",
                sendfile_roots=(str(folder / "open"),),
                reverse=(ReverseRule(b"http://other.example/", b"/"),),
                reverse_cookie_domains=(CookieRule(b"inner.example", b"a"),),
                reverse_cookie_paths=(CookieRule(b"/", b"/app/"),),
            ),
            "pages": Gateway(
                backend={"timeout": _TIMEOUT}, error_override=frozenset(range(400, 600))
            ),
        }

    @property
    def is_idle(self) -> bool:
        return not any(gateway.site.channels for gateway in self._gateways.values())

    def seeds(self) -> list[bytes]:
        data = [*GOOD, *(each for each in MALFORMED_HEADS.values() if len(each) < 5000)]
        return [
            bytes(((number * 7 + turn * 31) % MODES,)) + each
            for turn in range(3)
            for number, each in enumerate(data)
        ]

    def check(self, data: bytes) -> None:
        if not data:
            return
        mode, rest = Mode(data[0] % MODES), data[1:]
        with self._log:
            self.check_exchange(mode, rest, read(rest))
            if crc32(data) % _ONE_IN == 0:
                self.check_memory(mode, rest, rest[-50:] or b"a")

    # -- one exchange --------------------------------------------------------------------------

    def check_exchange(self, mode: Mode, data: bytes, said: Said) -> None:
        """`said` is what is in `data`, which the backend sends, to every request."""
        gateway = self._gateways[mode.kind]
        client = gateway.client().send(mode.request)
        try:
            asked = self._play(gateway, mode, data)
            answers = self._answers(client, mode)
            if mode.kind == "plain" and not mode.is_conditional:
                self._check_plain(mode, said, answers, client)
            self._check_fields(said, answers)
            assert _SECRET not in client.received
            assert b"root:" not in client.received
            assert asked <= 11 * mode.request.count(b" / HTTP/")
            if answers and answers[-1].whole and not client.closed and not client.half_closed:
                self._check_next(gateway, client, mode)
        finally:
            self._end(gateway, client)

    def _play(self, gateway: Gateway, mode: Mode, data: bytes) -> int:
        """Every backend that is asked sends `data`; how many there were."""
        ends = gateway.pool.ends
        gateway.settle()
        for end in ends:
            # Others may come of the answer, or be next in line.
            self._check_asked(end)
            for piece in pieces_of(data):
                if not end.closed:
                    end.answer(piece)
            if mode.ends == "closes":
                end.close()
            elif mode.ends == "resets":
                end.reset()
            gateway.settle()
            if mode.ends == "stays" and mode.is_whole and not end.closed:
                gateway.clock.advance(_TIMEOUT + 1)
                gateway.settle()
                assert end.closed
        return len(ends)

    @staticmethod
    def _check_asked(end: BackendEnd) -> None:
        variables = end.variables
        assert not any(map(_CONTROL.search, (v.encode("latin-1") for v in variables.values())))
        assert len(end.body) <= int(variables["CONTENT_LENGTH"])

    def _answers(self, client: Client, mode: Mode) -> list[Answer]:
        """All of them, strictly; all but the last are whole, and that is, or the client sees it."""
        received = client.received
        for head in re.findall(rb"(?:\A|\n)HTTP/1\.1 .*?\r\n\r\n", received, re.DOTALL)[:1]:
            assert not _CONTROL.search(head.strip().replace(b"\r\n", b"")), head
        ended = client.closed == "closed" or client.half_closed
        methods = [mode.method] * mode.request.count(b" / HTTP/")
        answers = parse_answers(received, closed=ended, methods=methods)
        assert len(answers) <= len(methods)
        assert all(answer.whole for answer in answers[:-1])
        assert all(200 <= answer.status <= 599 for answer in answers)
        if mode.is_whole:
            assert answers or client.closed
        if answers and not answers[-1].whole and (mode.is_whole or mode.ends != "stays"):
            assert client.closed == "aborted"
        if mode.is_old:
            assert not any(answer["transfer-encoding"] for answer in answers)
        return answers

    # -- what is in it -------------------------------------------------------------------------

    def _check_plain(self, mode: Mode, said: Said, answers: list[Answer], client: Client) -> None:
        """It is what the backend has said."""
        if said.malformed:
            assert [answer.status for answer in answers] == [502] * len(answers)
            assert answers
            return
        if not said.complete:
            if mode.ends == "stays":
                assert [answer.status for answer in answers] in ([504], [504, 504], [])
            else:
                assert {answer.status for answer in answers} == {502}
            return
        status = said.status
        if status is None:
            location = said.value(b"location")
            absolute = location is not None and re.match(rb"[A-Za-z][A-Za-z0-9+.-]*:", location)
            status = 302 if absolute else 200
        no_body = mode.method == "HEAD" or status in (204, 304)
        body = b"" if no_body else said.body[: said.length]
        whole = no_body or self._is_whole(mode, said)
        answer = answers[0] if answers else None
        assert answer is not None or not whole
        if answer is not None:
            assert answer.status == status
            assert answer.whole == whole
            assert answer.body == body
            assert len(answers) == 1 or answers[1].body == body

    @staticmethod
    def _is_whole(mode: Mode, said: Said) -> bool:
        if said.length is not None:
            return len(said.body) >= said.length
        # With an upload a reset may mean only that it was not read.
        return mode.ends == "closes" or (mode.ends == "resets" and mode.uploads)

    @staticmethod
    def _check_fields(said: Said, answers: list[Answer]) -> None:
        """No field of an answer is made of anything but a field."""
        sent = {
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in said.fields
        }
        for answer in answers:
            for name, values in answer.headers.items():
                if name in _OWN:
                    assert len(values) == 1
                elif name not in _CHANGED:
                    assert {(name, value) for value in values} <= sent, name
            assert answer["connection"] in (None, "close", "keep-alive")

    @staticmethod
    def _check_next(gateway: Gateway, client: Client, mode: Mode) -> None:
        """The connection goes on: the next answer is in step."""
        before = len(client.received)
        ends = len(gateway.pool.ends)
        client.send(GET)
        gateway.settle()
        (end,) = gateway.pool.ends[ends:]
        end.answer(OK)
        gateway.settle()
        (answer,) = parse_answers(client.received[before:])
        assert (answer.status, answer.body) == (200, b"hello")

    def _end(self, gateway: Gateway, client: Client) -> None:
        """Everybody leaves, and nothing is left of them."""
        client.leave()
        gateway.settle()
        gateway.clock.advance(6)
        gateway.settle()
        gateway.assert_idle()
        gateway.pool.ends.clear()
        gateway.pool.dispatches.clear()

    # -- memory --------------------------------------------------------------------------------

    def check_memory(self, mode: Mode, data: bytes, tail: bytes) -> None:
        """What is held for an exchange does not grow with what its backend sends, `tail` over and
        over, whether its client reads or not."""
        gateway = self._gateways[mode.kind]
        for reads in (True, False):
            client = gateway.client().send(mode.request)
            gateway.settle()
            end = gateway.backend
            if not reads:
                client.transport.block()
            for piece in pieces_of(data):
                if not end.closed:
                    end.answer(piece)
            piece = (tail * (1 + (1 << 14) // len(tail)))[: 1 << 14]
            gc.collect()
            tracemalloc.start(1)
            sent = 0
            try:
                while sent < _PUMPED and not end.closed and not end.paused:
                    end.answer(piece)
                    client.take()
                    sent += len(piece)
                held, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
                self._leave_all(gateway, client)
            assert held < MOST_HELD, f"{held} bytes are held after {sent}"

    def _leave_all(self, gateway: Gateway, client: Client) -> None:
        client.leave()
        gateway.settle()
        for end in gateway.pool.ends:
            end.close()
        self._end(gateway, client)
