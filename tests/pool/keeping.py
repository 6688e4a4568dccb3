"""Backends whose connections are kept ready, and their side of it, played by the test."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISystemHandle
from twisted.internet.task import Clock
from zope.interface import implementer

from scgiproxy.pool.readiness import Readiness, ReadyConnections
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Dial, Request, Scene, name_of
from tests.web.memory import TcpTransport


class Socket:
    """What a look at the socket finds; None is that nothing has come."""

    def __init__(self) -> None:
        self.waiting: bytes | OSError | None = None

    def recv(self, size: int, flags: int) -> bytes:
        if self.waiting is None:
            raise BlockingIOError
        if isinstance(self.waiting, OSError):
            raise self.waiting
        return self.waiting


@implementer(ISystemHandle)
class SocketTransport(TcpTransport):
    """One that can be asked for its socket."""

    def __init__(self, protocol: Any, clock: Clock) -> None:
        super().__init__(protocol, clock)
        self.handle = Socket()

    def getHandle(self) -> Socket:
        return self.handle


class KeptEnd:
    """A connection that the backend `name` has; `number` counts them from 1."""

    def __init__(self, dial: Dial, clock: Clock, number: int) -> None:
        self.name = name_of(dial.address)
        self.number = number
        protocol = dial.succeed()
        assert protocol is not None, "the gateway has closed it at once"
        self.transport = SocketTransport(protocol, clock)
        protocol.makeConnection(self.transport)

    @property
    def protocol(self) -> Any:
        return self.transport.protocol

    @property
    def open(self) -> bool:
        return self.transport.closed is None

    def close(self) -> None:
        """The gateway hears of it at once."""
        self.transport.peer_closes(ConnectionDone())

    def close_unnoticed(self, found: bytes | OSError = b"") -> None:
        """Only a look at the socket tells."""
        self.transport.handle.waiting = found


class GetRequest(Request):
    method = b"GET"


class PostRequest(Request):
    method = b"POST"


class Keeping:
    """Backends with `settings` (see `Scene`), connections to whom are kept ready from now on."""

    def __init__(self, *settings: BackendSettings, start: bool = True, **options: Any) -> None:
        self.scene = Scene(*settings, **options)
        self.clock = self.scene.clock
        self.dialer = self.scene.dialer
        self.backends = self.scene.backends
        self.ends: list[KeptEnd] = []
        self.readiness = Readiness([self.scene.pool], dialer=self.dialer)  # type: ignore[arg-type]
        if start:
            self.readiness.start()

    def ready(self, index: int = 0) -> ReadyConnections:
        """Those of one backend."""
        found = self.scene.pool.routes[self.backends[index]].ready
        assert found is not None
        return found

    def turn(self) -> None:
        self.clock.advance(0)

    def accept(self) -> None:
        """Take what is being made, until nothing more is."""
        self.turn()
        while self.dialer.open():
            for dial in self.dialer.open():
                self.ends.append(KeptEnd(dial, self.clock, len(self.ends) + 1))
            self.turn()

    def refuse(self) -> int:
        """Refuse what is being made; how many that were."""
        self.turn()
        dials = self.dialer.open()
        for dial in dials:
            dial.fail()
        self.turn()
        return len(dials)

    def advance(self, seconds: float) -> None:
        """Let time pass in steps that are exact in binary; what is made then is taken."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(0.125)
            self.accept()

    @property
    def open(self) -> list[int]:
        """The numbers of the connections that are open, in use or not."""
        return [end.number for end in self.ends if end.open]
