"""A whole gateway in memory: clients and backends are string transports that the test plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

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

LOCAL = IPv4Address("TCP", "127.0.0.1", 8080)
REMOTE = IPv4Address("TCP", "192.0.2.7", 50000)


class MemoryTransport(StringTransport):
    """Records; pauses its producer on request; tells its protocol when it is closed."""

    def __init__(self, protocol: Any, host: Any = LOCAL, peer: Any = REMOTE) -> None:
        super().__init__(hostAddress=host, peerAddress=peer)
        self.protocol = protocol
        self.closed: str | None = None
        self.disconnecting = False

    def loseConnection(self) -> None:
        if self.closed is None and self.producer is None:
            self.closed = "closed"
            self.disconnecting = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        if self.closed is None:
            self.closed = "aborted"
            self.disconnecting = True
            self.protocol.connectionLost(Failure(ConnectionLost()))

    def loseWriteConnection(self) -> None:
        self.write_closed = True

    write_closed = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class Client:
    """The client's side of a connection to the gateway."""

    def __init__(self, site: GatewaySite, host: Any = LOCAL, peer: Any = REMOTE) -> None:
        self.channel = site.buildProtocol(peer)
        self.transport = MemoryTransport(self.channel, host, peer)
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> Client:
        self.channel.dataReceived(data)
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

    def leave(self) -> None:
        self.transport.closed = "left"
        self.channel.connectionLost(Failure(ConnectionDone()))


class BackendEnd:
    """The backend's side of one exchange."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.transport = MemoryTransport(protocol, peer=IPv4Address("TCP", "127.0.0.1", 4000))
        protocol.makeConnection(self.transport)

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
        self.protocol.dataReceived(data)
        return self

    def close(self) -> None:
        if self.transport.closed is None:
            self.transport.closed = "left"
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def reset(self) -> None:
        if self.transport.closed is None:
            self.transport.closed = "left"
            self.protocol.connectionLost(Failure(ConnectionLost()))

    @property
    def closed(self) -> str | None:
        return self.transport.closed


@dataclass
class FakeBackend:
    settings: BackendSettings = BackendSettings()
    member: bool = False
    path: bytes = b""


@dataclass
class FakeDispatch:
    released: list[BackendError | None] = field(default_factory=list)
    cancelled: bool = False

    def release(self, fault: BackendError | None) -> None:
        self.released.append(fault)

    def cancel(self) -> None:
        self.cancelled = True


class FakePool:
    """Hands out connections that the test plays. `refuse` makes the next dispatch fail;
    `hold` keeps it waiting."""

    def __init__(self, name: str = "scgi://127.0.0.1:4000", **settings: Any) -> None:
        self.name = name
        self.backend = FakeBackend(BackendSettings(**settings))
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
        self.ends.append(BackendEnd(call.connected(self.backend, address)))


@dataclass(frozen=True)
class SectionValues:
    kind: Any
    pattern: Any
    values: Mapping[str, Any]


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
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.wheel = DeadlineWheel(self.clock)
        self.mounts = [self._mount(mount, backend or {}) for mount in mounts]
        self.pools = {
            mount: FakePool(mount.target.label, **(backend or {}))
            for mount in self.mounts
            if mount.target is not None
        }
        resources = {
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
        )
        self.site = GatewaySite(
            HostTable(self.host), clock=self.clock, wheel=self.wheel, server_software=b"scgiproxy"
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
        return client, backend


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower-case names, the last value) and the rest of one HTTP answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    return int(lines[0].split(" ")[1]), headers, rest


