"""A whole gateway in memory: clients and backends are string transports that the test plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock

from scgiproxy.errors import BackendError, Unavailable
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.mapping import Alias, Mount
from scgiproxy.rules.sections import SectionTable
from scgiproxy.rules.settings import ServerSettings, Settings
from scgiproxy.scgi.request import RequestParser
from scgiproxy.web.hosts import HostTable
from scgiproxy.web.mount import ProxyPassResource
from scgiproxy.web.site import GatewaySite
from scgiproxy.web.vhost import VirtualHostResource
from scgiproxy.wire.deadline import DeadlineWheel
from tests.web.answers import Answer, parse_answers
from tests.web.memory import LOCAL, REMOTE, MemoryTransport, TcpTransport

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
"""Its fields go on."""
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
"""Its body goes on."""

OK = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
STREAM = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
"""Its body goes on until the close."""


class Client:
    """The client's side of a connection to the gateway."""

    def __init__(
        self,
        site: GatewaySite,
        host: Any = LOCAL,
        peer: Any = REMOTE,
        transport: type[MemoryTransport] = TcpTransport,
    ) -> None:
        self.channel = site.buildProtocol(peer)
        self.transport = transport(self.channel, site.clock, host, peer)  # type: ignore[arg-type]
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> Client:
        self.transport.deliver(data)
        return self

    def get(self, path: str = "/", *headers: str, host: str = "example.com") -> Client:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
        return self.send("\r\n".join(lines).encode("latin-1"))

    @property
    def received(self) -> bytes:
        return self.transport.value()

    def take(self) -> bytes:
        """What was received since the last time."""
        data = self.transport.value()
        self.transport.clear()
        return data

    @property
    def closed(self) -> str | None:
        """None, "closed" or "aborted" by the gateway."""
        return self.transport.closed

    @property
    def half_closed(self) -> bool:
        """The gateway has sent all it will send, and still reads."""
        return self.transport.write_closed

    @property
    def paused(self) -> bool:
        """The gateway does not read from this client."""
        return self.transport.producerState == "paused"

    @property
    def answer(self) -> Answer:
        """The only answer."""
        (answer,) = self.answers
        return answer

    @property
    def answers(self) -> list[Answer]:
        """All that was received, parsed as a client does (not for answers to HEAD)."""
        return parse_answers(self.received, closed=self.closed == "closed" or self.half_closed)

    def leave(self) -> None:
        self.transport.peer_closes(ConnectionDone())


class BackendEnd:
    """The backend's side of one exchange."""

    transport_class = TcpTransport

    def __init__(self, protocol: Any, clock: Clock) -> None:
        peer = IPv4Address("TCP", "127.0.0.1", 4000)
        self.transport = self.transport_class(protocol, clock, peer=peer)
        protocol.makeConnection(self.transport)

    @property
    def protocol(self) -> Any:
        """What the gateway has put on it."""
        return self.transport.protocol

    @property
    def variables(self) -> dict[str, str]:
        parser = RequestParser()
        head = parser.feed(self.transport.value())
        assert head is not None
        return {k.decode("latin-1"): v.decode("latin-1") for k, v in head.variables.items()}

    @property
    def body(self) -> bytes:
        data = self.transport.value()
        length = int(data.partition(b":")[0])
        return data[len(str(length)) + 1 + length + 1 :]

    def answer(self, data: bytes) -> BackendEnd:
        self.transport.deliver(data)
        return self

    def close(self) -> None:
        self.transport.peer_closes(ConnectionDone())

    def reset(self) -> None:
        self.transport.peer_closes(ConnectionLost())

    @property
    def paused(self) -> bool:
        """The gateway does not read from this backend."""
        return self.transport.producerState == "paused"

    @property
    def closed(self) -> str | None:
        return self.transport.closed


@dataclass
class FakeBackend:
    settings: BackendSettings
    label: str
    member: bool = False
    path: bytes = b""


class FakeDispatch:
    """Strict: what ends it comes once. There is no other member to go to."""

    reasons: tuple[Exception, ...] = ()
    not_repeated = ""
    kept = False
    repeats = 0

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.fault: BackendError | None = None
        self.sent = self.received = 0
        self.has_answered = False

    def release(
        self, fault: BackendError | None = None, *, sent: int = 0, received: int = 0
    ) -> None:
        self.ends.append("released" if fault is None else "faulted")
        self.fault, self.sent, self.received = fault, sent, received

    def cancel(self) -> None:
        self.ends.append("cancelled")

    def answered(self, status: int) -> None:
        self.has_answered = True

    def retry(self, fault: BackendError, **counters: int) -> bool:
        return False

    def environment(self) -> dict[bytes, bytes]:
        return {b"BALANCER_NAME": b"balancer://c"}


class FakePool:
    """Hands out connections that the test plays. `refuse` makes the next dispatch fail;
    `hold` keeps it waiting."""

    def __init__(self, clock: Clock, name: str = "scgi://127.0.0.1:4000", **settings: Any) -> None:
        self.clock = clock
        self.name = name
        self.backend = FakeBackend(BackendSettings(**settings), name)
        self.backends = (self.backend,)
        self.ends: list[BackendEnd] = []
        self.dispatches: list[FakeDispatch] = []
        self.refuse = False
        self.hold = False
        self.held: list[Any] = []

    def dispatch(self, call: Any) -> FakeDispatch:
        dispatch = FakeDispatch()
        self.dispatches.append(dispatch)
        call.dispatch = dispatch
        if self.refuse:
            call.dispatch_failed(Unavailable(f"{self.name}: connection refused"))
        elif self.hold:
            self.held.append(call)
        else:
            self.connect(call)
        return dispatch

    def connect(self, call: Any) -> None:
        address = IPv4Address("TCP", "127.0.0.1", 4000)
        self.ends.append(BackendEnd(call.connected(self.backend, address), self.clock))


@dataclass(frozen=True)
class SectionValues:
    kind: Any
    pattern: Any
    values: Mapping[str, Any]
    within: Any = None


class Gateway:
    """A site with one virtual host. `mounts` are ``(pattern, target)`` pairs or Mounts.

    `settings` are fields of Settings for everything, `server` of ServerSettings.
    """

    def __init__(
        self,
        mounts: Sequence[Any] = (("/", "scgi://127.0.0.1:4000/"),),
        *,
        server: Mapping[str, Any] | None = None,
        sections: Sequence[Any] = (),
        aliases: Sequence[Alias] = (),
        plugins: Mapping[str, Any] | None = None,
        backend: Mapping[str, Any] | None = None,
        authenticators: Any = None,
        access_logs: Sequence[Any] = (),
        clock: Any = None,
        secure: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.clock.advance(1_000_000_000)
        self.wheel = DeadlineWheel(self.clock)
        self.mounts = [self._mount(mount, backend or {}) for mount in mounts]
        self.pools = {
            mount: FakePool(self.clock, mount.target.label, **(backend or {}))
            for mount in self.mounts
            if mount.target is not None
        }
        self.resources = resources = {
            mount: ProxyPassResource(pool, mount, wheel=self.wheel, clock=self.clock)  # type: ignore[arg-type]
            for mount, pool in self.pools.items()
        }

        def merge(values: Sequence[Mapping[str, Any]]) -> Settings:
            merged: dict[str, Any] = {}
            for each in values:
                merged.update(each)
            return Settings(**merged)

        self.host = VirtualHostResource(
            ServerSettings(**(server or {})),
            sections=SectionTable(settings, sections, merge),
            base_settings=merge([settings]),
            mounts=self.mounts,
            aliases=aliases,
            resources=resources,
            plugins=plugins or {},
            server_software=b"scgiproxy",
            authenticators=authenticators,
            access_logs=access_logs,
            maps_in_locations=any("proxy" in section.values for section in sections),
        )
        self.site = GatewaySite(
            HostTable(self.host),
            clock=self.clock,
            wheel=self.wheel,
            server_software=b"scgiproxy",
            secure=secure,
        )

    @staticmethod
    def _mount(mount: Any, backend: Mapping[str, Any]) -> Mount:
        if isinstance(mount, Mount):
            return mount
        pattern, target = mount
        if isinstance(pattern, str):
            pattern = pattern.encode()
        url = None if target == "!" else parse_backend_url(target)
        return Mount(pattern, url, BackendSettings(**backend))

    def client(self, **ends: Any) -> Client:
        return Client(self.site, **ends)

    @property
    def pool(self) -> FakePool:
        return self.pools[self.mounts[0]]

    @property
    def backend(self) -> BackendEnd:
        """The newest backend connection."""
        return self.pool.ends[-1]

    def settle(self) -> None:
        """Let what is due in this turn of the reactor happen."""
        for _ in range(4):
            self.clock.advance(0)

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time."""
        while seconds > 0:
            self.clock.advance(min(1.0, seconds))
            seconds -= 1

    def exchange(
        self, request: bytes, *answer: bytes, close: bool = True
    ) -> tuple[Client, BackendEnd]:
        """One request and its answer in pieces."""
        client = self.client().send(request)
        backend = self.backend
        for piece in answer:
            backend.answer(piece)
        if close:
            backend.close()
        self.settle()
        return client, backend

    def answer_all(self, answer: bytes = OK) -> None:
        """Every backend that has its whole request answers, the oldest first, until none is left."""
        served = 0
        while served < len(self.pool.ends):
            end = self.pool.ends[served]
            served += 1
            if len(end.body) == int(end.variables["CONTENT_LENGTH"]):
                end.answer(answer)
                self.settle()

    def finish(self, *clients: Client) -> None:
        """Everybody goes; nothing may be left."""
        for client in clients:
            client.leave()
        self.advance(8)
        self.assert_idle()

    def assert_idle(self) -> None:
        """Nothing is held any more for anybody who has gone."""
        self.settle()
        for pool in self.pools.values():
            for end in pool.ends:
                assert end.closed, end
            for dispatch in pool.dispatches:
                assert len(dispatch.ends) == 1, dispatch.ends
        assert not self.site.channels
        assert len(self.wheel) == 0
        assert not self.clock.getDelayedCalls()
