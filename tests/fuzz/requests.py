"""Bytes of a client: any of them give valid answers, or a close.

Never an error in the log, never more memory than the limits, and never more requests at a backend
than are in those bytes.
"""

from __future__ import annotations

import gc
import tracemalloc
from zlib import crc32

from scgiproxy.rules.settings import ServerSettings
from scgiproxy.web.reader import CHUNK_LINE
from scgiproxy.web.site import ConnectionLimits
from tests.fuzz.frame import ErrorLog, Target, pieces_of
from tests.fuzz.reference import Request, Stream, parse
from tests.smuggling.case import ADMIN
from tests.smuggling.cases import CASES
from tests.smuggling.outcome import Outcome, read_pieces
from tests.web.answers import Answer, parse_answers
from tests.web.harness import OK, BackendEnd, Client, Gateway

# Small, so that inputs get there.
_LIMITS = {
    "limit_request_line": 600,
    "limit_request_fields": 20,
    "limit_request_field_size": 500,
    "max_keep_alive_requests": 0,
}
_BODY = 4000

MOST_HELD = 1 << 20
"""Bytes that a connection may hold, whatever is sent: 128 small requests may wait in it."""

_PUMPED = 1 << 22

_ONE_IN = 2003
"""For so many inputs one is sent on and on."""

WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"OPTIONS * ",
    b"CONNECT a:1 ",
    b"TRACE ",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/2.0\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: ",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Trailer: X\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b";a=b",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: a\r\n",
    b"POST /early HTTP/1.1\r\nHost: a\r\n",
    b"/nowhere",
    b"/early",
    b"%2f",
    b"%2e%2e/",
    b"%00",
    b"../",
    b"http://a/",
    ADMIN,
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)


class Requests(Target):
    name = "requests"
    words = WORDS

    def __init__(self) -> None:
        self.gateway = Gateway(
            [("/nowhere", "!"), ("/", "scgi://127.0.0.1:4000/")],
            server=_LIMITS,
            limit_request_body=_BODY,
        )
        (self.pool,) = self.gateway.pools.values()
        self._limits = ConnectionLimits.of([ServerSettings(**_LIMITS)])
        self._log = ErrorLog()

    def seeds(self) -> list[bytes]:
        return [case.data for case in CASES.values() if len(case.data) < 2000]

    def check(self, data: bytes) -> None:
        pieces = pieces_of(data)
        expected = parse(data)
        self.check_cuts(data, pieces, expected)
        with self._log:
            self.check_exchange(pieces, expected, at_once=bool(crc32(data) & 1))
            if data and crc32(data) % _ONE_IN == 0:
                self.check_memory(data, data[-50:])

    # -- the reader ----------------------------------------------------------------------------

    def check_cuts(self, data: bytes, pieces: list[bytes], expected: Stream) -> None:
        """What is read of it is the same in all pieces, and the requests are those there are."""
        whole = read_pieces([data], self._limits)
        for outcome in (whole, read_pieces(pieces, self._limits)):
            self._check_read(outcome, expected)
            known = min(len(whole.requests), len(outcome.requests))
            if expected.longest <= CHUNK_LINE and not (whole.error or outcome.error):
                assert whole.essence == outcome.essence
            assert [r.headers for r in whole.requests[:known]] == [
                r.headers for r in outcome.requests[:known]
            ]

    def _check_read(self, outcome: Outcome, expected: Stream) -> None:
        assert len(outcome.requests) <= len(expected.requests)
        for read, request in zip(outcome.requests, expected.requests, strict=False):
            assert (read.method, read.target) == (request.method, request.target)
            assert read.complete <= request.complete
            if read.complete:
                assert read.body == request.body
            else:
                assert request.body.startswith(read.body)
            assert len(read.headers) <= self._limits.fields
            assert len(read.target) <= self._limits.line

    # -- the gateway ---------------------------------------------------------------------------

    def check_exchange(self, pieces: list[bytes], expected: Stream, *, at_once: bool) -> None:
        gateway = self.gateway
        client = gateway.client()
        for piece in pieces:
            client.send(piece)
            if at_once:
                self.serve()
        self.serve()
        if expected.malformed and not self._has_ended(client):
            # It may take a head's end to see that it is none.
            client.send(b"\r\n\r\n")
            self.serve()
        try:
            self._check_backends(expected.requests)
            self._check_answers(client, pieces, expected)
        finally:
            self._end(client)

    def _end(self, client: Client) -> None:
        """Everybody leaves, and nothing is left of them."""
        gateway = self.gateway
        client.leave()
        gateway.settle()
        for end in self.pool.ends:
            if not end.closed:
                end.close()
        gateway.settle()
        gateway.clock.advance(1)
        gateway.assert_idle()
        self.pool.ends.clear()
        self.pool.dispatches.clear()

    def serve(self) -> None:
        """Every backend that has been asked in full answers."""
        ends = self.pool.ends
        self.gateway.settle()
        for end in ends:
            # Others may come of the answer.
            if not end.closed and self._wants_to_answer(end):
                end.answer(OK)
                self.gateway.settle()

    @staticmethod
    def _wants_to_answer(end: BackendEnd) -> bool:
        variables = end.variables
        early = "early" in variables["REQUEST_URI"]
        return early or len(end.body) == int(variables["CONTENT_LENGTH"])

    def _check_backends(self, requests: list[Request]) -> None:
        """They were asked what was requested, in that order: not all of it may be for them."""
        rest = iter(requests)
        for end in self.pool.ends:
            variables = end.variables
            asked = (variables["REQUEST_METHOD"], variables["REQUEST_URI"])
            for request in rest:
                if asked == (request.method.decode(), request.target.decode()):
                    break
            else:
                raise AssertionError(f"nobody has requested {asked}")
            if request.complete and len(end.body) == int(variables["CONTENT_LENGTH"]):
                assert end.body == request.body
            else:
                assert request.body.startswith(end.body)

    def _check_answers(self, client: Client, pieces: list[bytes], expected: Stream) -> None:
        # Of what is refused before its head ends, the method is not known.
        read = read_pieces(pieces, self._limits).requests
        methods = [request.method.decode() for request in read]
        ended = self._has_ended(client)
        assert client.closed != "aborted"
        answers = parse_answers(client.received, closed=ended, methods=methods)
        final = [answer for answer in answers if answer.status >= 200]
        complete = sum(request.complete for request in expected.requests)
        assert len(final) <= len(expected.requests) + 1
        for number, answer in enumerate(final):
            last = number == len(final) - 1
            closing = answer["connection"] == "close"
            assert last or not closing
            assert closing <= ended
            # A HEAD that is no request is answered without a body, too.
            assert answer.whole or (last and closing and answer.status >= 400 and not answer.body)
            assert number < complete or closing
        if ended:
            assert final
            assert self._may_end(final[-1], expected, len(final))
        else:
            assert len(final) == complete
            assert not expected.malformed

    @staticmethod
    def _has_ended(client: Client) -> bool:
        return client.half_closed or client.closed == "closed"

    @staticmethod
    def _may_end(answer: Answer, expected: Stream, answers: int) -> bool:
        """An error may end it, and so may the last request if it says so."""
        said = not (expected.malformed or expected.rest) and answers == len(expected.requests)
        return answer.status >= 400 or answer["connection"] == "close" or said

    # -- memory --------------------------------------------------------------------------------

    def check_memory(self, data: bytes, tail: bytes) -> None:
        """What is held for a connection does not grow with what is sent, `tail` over and over."""
        gateway = self.gateway
        client = gateway.client()
        for piece in pieces_of(data):
            client.send(piece)
        # As it would come: in pieces, and as long as anybody reads.
        piece = (tail * (1 + (1 << 16) // len(tail)))[: 1 << 16]
        gc.collect()
        tracemalloc.start(1)
        try:
            sent = 0
            while sent < _PUMPED and not client.paused and not client.closed:
                client.send(piece)
                self.serve()
                client.take()
                self.pool.ends[:] = [end for end in self.pool.ends if not end.closed]
                self.pool.dispatches.clear()
                for end in self.pool.ends[:-1]:
                    end.transport.clear()
                sent += len(piece)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            self._end(client)
        assert held < MOST_HELD, f"{held} bytes are held after {sent}"
