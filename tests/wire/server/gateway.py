"""A gateway in memory: what a server under test is asked through."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import IResource

from scgiproxy.scgi.request import encode_variables, frame
from scgiproxy.scgi.response import END, ResponseHead, ResponseParser
from scgiproxy.wire.server import ScgiChannel, ScgiServerFactory

GET = {
    b"REQUEST_METHOD": b"GET",
    b"REQUEST_URI": b"/",
    b"SCRIPT_NAME": b"",
    b"PATH_INFO": b"/",
    b"QUERY_STRING": b"",
    b"SERVER_NAME": b"www.example.com",
    b"SERVER_PORT": b"80",
    b"SERVER_PROTOCOL": b"HTTP/1.1",
    b"REMOTE_ADDR": b"192.0.2.7",
    b"REMOTE_PORT": b"5000",
}


def request_bytes(body: bytes = b"", **changes: str | bytes | None) -> bytes:
    """A whole request: `GET`, with the variables in `changes` set, or left out if None."""
    variables = dict(GET)
    for name, value in changes.items():
        if value is None:
            del variables[name.encode()]
        else:
            variables[name.encode()] = value.encode() if isinstance(value, str) else value
    return frame(len(body), encode_variables(variables.items())) + body


class GatewayTransport(StringTransport):
    """Takes everything unless `full`; then it pauses the producer as a real transport does."""

    full = False
    aborted = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.full:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """The other side has read everything."""
        self.full = False
        self.producer.resumeProducing()

    def abortConnection(self) -> None:
        self.aborted = True


@dataclass
class Gateway:
    """One connection to a server of `resource`."""

    factory: ScgiServerFactory
    clock: Clock
    channel: ScgiChannel
    transport: GatewayTransport

    @classmethod
    def to(cls, resource: IResource, **options: object) -> Gateway:
        clock = Clock()
        return cls.of(ScgiServerFactory(resource, reactor=clock, **options), clock)

    @classmethod
    def of(cls, factory: ScgiServerFactory, clock: Clock) -> Gateway:
        channel = factory.buildProtocol(None)
        transport = GatewayTransport()
        channel.makeConnection(transport)
        return cls(factory, clock, channel, transport)

    def send(self, data: bytes) -> Gateway:
        self.channel.dataReceived(data)
        return self

    def close(self) -> None:
        """The gateway closes its side."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    def answer(self, *, head_only: bool = False) -> tuple[ResponseHead, bytes]:
        """What the server has answered, complete; then the connection is over."""
        assert self.transport.disconnecting, "the server has not closed"
        parser = ResponseParser(body_expected=not head_only)
        head, *pieces = parser.feed(self.transport.value()) + parser.eof()
        assert isinstance(head, ResponseHead)
        body = b"".join(piece for piece in pieces if piece is not END)
        self.close()
        assert not self.clock.getDelayedCalls()
        return head, body

    def get(self, body: bytes = b"", **changes: str | bytes | None) -> tuple[ResponseHead, bytes]:
        """Send `request_bytes` and return the answer."""
        return self.send(request_bytes(body, **changes)).answer()


def header(head: ResponseHead, name: bytes) -> bytes | None:
    """The value of the header of that lower-case name."""
    return next((value for key, value in head.headers if key.lower() == name), None)
