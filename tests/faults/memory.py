"""Gateways in memory before each kind of backend, and the backends' sides of their connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.certificates import authority
from tests.directives.gateway import Attempt, ConfiguredGateway
from tests.faults.table import CLOSES, CONNECTING, OTHER, RESETS, TIMEOUT, Acts, Phase
from tests.web.balanced import NarrowEnd
from tests.web.harness import BackendEnd, Client
from tests.web.tlsend import TlsEnd

FIRST, SECOND = "127.0.0.1:4001", "127.0.0.1:4002"
_GOOD = b"Status: 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OTHER), OTHER)
_IDENTITY = authority().issue("127.0.0.1")


@dataclass(frozen=True)
class Kind:
    """A kind of backend, and its configuration.

    - `has_another`: there is another member; `ready`: it is on a connection that was kept ready.
    - `most`: requests at a time.
    """

    name: str
    text: str
    has_another: bool = False
    tls: bool = False
    ready: bool = False
    most: int | None = None


KINDS = (
    Kind("stand-alone", f"ProxyPass / scgi://{FIRST}/ timeout={TIMEOUT}"),
    Kind(
        "member of a balancer",
        "ProxyPass / balancer://b/\n<Proxy balancer://b>\n"
        f"BalancerMember scgi://{FIRST} timeout={TIMEOUT}\n"
        f"BalancerMember scgi://{SECOND} timeout={TIMEOUT}\n</Proxy>",
        has_another=True,
    ),
    Kind("one at a time", f"ProxyPass / scgi://{FIRST}/ timeout={TIMEOUT} max=1", most=1),
    Kind(
        "kept ready",
        f"ProxyPass / scgi://{FIRST}/ timeout={TIMEOUT} preconnect=1",
        ready=True,
    ),
    Kind(
        "through TLS",
        f"SSLProxyCACertificateFile {{files}}/ca.pem\nProxyPass / scgis://{FIRST}/ timeout={TIMEOUT}",
        tls=True,
    ),
)


class Side:
    """The backend's side of one connection, in clear or through TLS."""

    def __init__(self, end: BackendEnd, tls: bool) -> None:
        self.end = end
        self.is_done = False
        self._tls = TlsEnd(end, _IDENTITY) if tls else None

    @property
    def has_request(self) -> bool:
        if self._tls is None:
            return bool(self.end.transport.value())
        self._tls.pump()
        return bool(self._tls.data)

    @property
    def is_open(self) -> bool:
        return self.end.closed is None

    def send(self, data: bytes) -> None:
        if self._tls is None:
            self.end.answer(data)
        else:
            self._tls.answer(data)

    def ends(self, how: str) -> None:
        if not self.is_open:
            return
        if how == RESETS:
            self.end.reset()
        elif self._tls is not None:
            self._tls.close()
        else:
            # Of a connection whose other half is closed nothing is expected any more.
            self.end.close()


class Play:
    """A gateway before a `kind` of backend, and one client whose exchange comes to a phase."""

    def __init__(self, gateway: ConfiguredGateway, kind: Kind) -> None:
        self.gateway = gateway
        self.kind = kind
        self.sides: list[Side] = []
        if kind.ready:
            gateway.parts.readiness.start()
            gateway.settle()

    def accept(
        self, attempt: Attempt, end: type[BackendEnd] = BackendEnd, *, tls: bool | None = None
    ) -> Side | None:
        """Its side; None if the gateway has no use for it. Without `tls` nobody shakes hands."""
        made = attempt.accept(end)
        if made is None:
            return None
        side = Side(made, self.kind.tls if tls is None else tls)
        self.sides.append(side)
        self.gateway.settle()
        return side

    def open_attempts(self) -> list[Attempt]:
        return [attempt for attempt in self.gateway.attempts if attempt.open]

    def come_to(self, phase: Phase) -> tuple[Client, Side | None]:
        """A client whose exchange has come so far, and its backend's side; None if that has not
        taken the connection."""
        end = BackendEnd if phase.reads else NarrowEnd
        ready = self.kind.ready and phase is not CONNECTING
        if ready:
            (attempt,) = self.open_attempts()
            self.accept(attempt, end)
        client = self.gateway.client().send(phase.asked)
        self.gateway.settle()
        if phase is CONNECTING:
            return client, None
        side = self.sides[0] if ready else self.accept(self.open_attempts()[0], end)
        assert side is not None
        assert side.has_request
        if not phase.reads and not side.end.transport.blocked:
            side.end.transport.block()
        if phase.answered:
            side.send(phase.answered)
            self.gateway.settle()
        return client, side

    def act(self, side: Side, acts: Acts) -> None:
        for piece in acts.pieces:
            if not side.is_open:
                break
            if piece:
                side.send(piece)
            if acts.dribbles:
                self.gateway.advance(1, 1)
        self.gateway.settle()
        if acts.ends in (CLOSES, RESETS, "half-closes"):
            side.ends(acts.ends)
        side.is_done = True
        self.gateway.settle()

    def let_others_answer(self) -> None:
        """Every other connection is taken, and answered if there is a request on it."""
        for _ in range(6):
            for attempt in self.open_attempts():
                if attempt.where == FIRST and self.kind.name == "member of a balancer":
                    attempt.refuse()
                else:
                    self.accept(attempt)
            for side in self.sides:
                if side.is_open and not side.is_done and side.has_request:
                    side.is_done = True
                    side.send(_GOOD)
                    side.ends(CLOSES)
            self.gateway.settle()

    def assert_released(self) -> None:
        """Nobody has a place, nothing is kept, and every connection is closed."""
        parts = self.gateway.parts
        (pool,) = parts.pools
        assert [backend.in_flight for backend in pool.backends] == [0] * len(pool.backends)
        assert pool.queued == 0
        assert [one.in_flight for one in parts.mount_statistics()].count(0) == len(
            list(parts.mount_statistics())
        )
        assert (parts.spool_space.bodies, parts.spool_space.bytes) == (0, 0)
        for side in self.sides:
            # What is kept ready has no request.
            assert not side.is_open or (self.kind.ready and not side.has_request), side

    def end(self) -> None:
        if self.kind.ready:
            self.gateway.parts.readiness.stop()
            self.gateway.settle()


def certificates(folder: Path) -> None:
    (folder / "ca.pem").write_bytes(authority().certificate)
