"""Members that are probed, and their side of it, played by the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from scgiproxy.errors import ConnectFailed
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.health import HealthChecks
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.health import CheckMethod, HealthCheck
from scgiproxy.scgi.request import RequestParser
from tests.pool.fakes import Dial, Scene, name_of
from tests.web.memory import TcpTransport

OK = b"Content-Length: 2\r\n\r\nok"
UNAVAILABLE = b"Status: 503 Busy\r\nContent-Length: 0\r\n\r\n"
GONE = ConnectFailed("nobody there")


class MemberEnd:
    """A connection that the member has taken; `protocol` is what the gateway has put on it."""

    def __init__(self, protocol: Any, clock: Clock) -> None:
        assert protocol is not None, "the gateway has closed it at once"
        self.transport = TcpTransport(protocol, clock)
        protocol.makeConnection(self.transport)

    @property
    def variables(self) -> dict[str, str]:
        """What was asked."""
        data: bytes = self.transport.value()  # type: ignore[no-untyped-call]
        head = RequestParser().feed(data)
        assert head is not None
        return {name.decode(): value.decode() for name, value in head.variables.items()}

    def answer(self, data: bytes) -> MemberEnd:
        self.transport.deliver(data)
        return self

    def close(self) -> None:
        self.transport.peer_closes(ConnectionDone())

    @property
    def closed(self) -> str | None:
        """How the connection ended: see `TcpTransport`."""
        return self.transport.closed


class Checks:
    """A balancer's members, and the checks of them; `random` is what the spread is made of."""

    def __init__(
        self, *settings: BackendSettings, random: float = 0.5, at_once: int = 16, **options: Any
    ) -> None:
        self.scene = Scene(*settings, **options)
        self.clock = self.scene.clock
        self.dialer = self.scene.dialer
        self.members = self.scene.backends
        self.random = random
        self.checks = HealthChecks(
            [self.scene.pool],
            dialer=self.dialer,  # type: ignore[arg-type]
            at_once=at_once,
            server_software=b"gateway/1",
            random=lambda: self.random,
        )
        self.checks.start()

    def advance(self, seconds: float) -> None:
        """Let time pass in steps that are exact in binary."""
        for _ in range(round(seconds * 8)):
            self.clock.advance(0.125)

    @property
    def open(self) -> list[str]:
        """Who is being connected to, by name."""
        return [name_of(dial.address) for dial in self.dialer.open()]

    def dial(self) -> Dial:
        (dial,) = self.dialer.open()
        return dial

    def answer(self, data: bytes = OK) -> MemberEnd:
        end = MemberEnd(self.dial().succeed(), self.clock)
        return end.answer(data)

    def until_probe(self, most: float = 100.0) -> float:
        """Let time pass until a probe begins; how long that took."""
        for step in range(round(most * 8)):
            if self.dialer.open():
                return step / 8
            self.clock.advance(0.125)
        raise AssertionError(f"no probe within {most} s")

    def probe(self, good: bool) -> None:
        """The next probe, and its end."""
        self.until_probe()
        if good:
            self.dial().succeed()
        else:
            self.dial().fail(GONE)

    def ask(self, answer: bytes) -> None:
        """The next probe that asks, and what it hears."""
        self.until_probe()
        self.answer(answer)


def member(method: CheckMethod = CheckMethod.TCP, **settings: Any) -> BackendSettings:
    names = {"interval", "passes", "fails", "uri", "condition"}
    check = {name: settings.pop(name) for name in names & settings.keys()}
    return BackendSettings(health=HealthCheck(method, **check), **settings)


def put_in_error(one: Backend, fault: Exception) -> None:
    one.give_back(fault, one.take())


def lose(checks: Checks, fault: Exception = GONE) -> Backend:
    put_in_error(checks.members[0], fault)
    return checks.members[0]


Probed = Callable[..., Checks]
"""``probed(*settings, ...)`` is `Checks` that run; see conftest."""
