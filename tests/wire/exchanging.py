"""One exchange of the SCGI client on a transport that the test plays."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from scgiproxy.errors import (
    BackendError,
)
from scgiproxy.scgi.request import encode_variables
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.wire.body import LiveUpload
from scgiproxy.wire.client import Phase, ScgiClientProtocol, ScgiRequest
from scgiproxy.wire.deadline import DeadlineWheel
from tests.web.memory import TcpTransport

BLOCK = encode_variables([(b"REQUEST_METHOD", b"GET")])
HEAD = b"Status: 200 OK\r\nContent-Length: 5\r\n\r\n"


class Receiver:
    """Writes down what it is told; strict about the order."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.body = b""
        self.flushes = 0
        self.end: Any = None
        self.on_head: Any = None

    def head_received(self, head: ResponseHead) -> None:
        assert self.head is None
        assert self.end is None
        self.head = head
        if self.on_head is not None:
            self.on_head()

    def body_received(self, data: bytes) -> None:
        assert self.head is not None
        assert self.end is None
        self.body += data

    def pieces_received(self) -> None:
        assert self.end is None
        self.flushes += 1

    def response_complete(self) -> None:
        assert self.end is None
        self.end = "complete"

    def response_failed(self, error: BackendError) -> None:
        assert self.end is None
        self.end = error

    def upload_failed(self, failure: Failure) -> None:
        assert self.end is None
        self.end = failure


class Exchange:
    """A protocol on a transport that the test plays."""

    def __init__(self, body: Any = None, timeout: float = 60.0, **request: Any) -> None:
        self.clock = Clock()
        self.wheel = DeadlineWheel(self.clock)
        self.receiver = Receiver()
        self.protocol = ScgiClientProtocol(
            ScgiRequest(BLOCK, body, **request),
            self.receiver,  # type: ignore[arg-type]
            wheel=self.wheel,
            clock=self.clock,
            timeout=timeout,
        )
        self.transport = TcpTransport(self.protocol, self.clock)

    def connect(self) -> Exchange:
        self.protocol.makeConnection(self.transport)  # type: ignore[arg-type]
        return self

    def answer(self, *pieces: bytes) -> Exchange:
        for piece in pieces:
            self.transport.deliver(piece)
        return self

    def close(self) -> Exchange:
        self.transport.peer_closes(ConnectionDone())
        return self

    def reset(self) -> Exchange:
        self.transport.peer_closes(ConnectionLost())
        return self

    def advance(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds))

    def failed(self, kind: type[BackendError]) -> str:
        assert type(self.receiver.end) is kind, self.receiver.end
        self.assert_over()
        return str(self.receiver.end)

    def complete(self) -> Receiver:
        assert self.receiver.end == "complete"
        self.assert_over()
        return self.receiver

    def assert_over(self) -> None:
        self.clock.advance(0)
        assert self.transport.closed
        assert self.protocol.phase is Phase.DONE
        assert len(self.wheel) == 0
        assert not self.clock.getDelayedCalls()


class Upload(LiveUpload):
    """A live upload, and whether whoever delivers it is paused."""

    def __init__(self, length: int = 100) -> None:
        self.paused = False
        self.was_wanted = False
        super().__init__(length, self._pause, self._resume, self._want)

    def _pause(self) -> None:
        self.paused = True

    def _resume(self) -> None:
        self.paused = False

    def _want(self) -> None:
        self.was_wanted = True


def connect(body: Any = None, **kw: Any) -> Exchange:
    return Exchange(body, **kw).connect()
