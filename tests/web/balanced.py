"""A gateway in memory before the real pool of a balancer, whose members the test plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.python.failure import Failure

from scgiproxy.errors import ConnectFailed
from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from tests.web.harness import CHUNKED, BackendEnd, Client, Gateway
from tests.web.memory import TcpTransport

GOING = ["close", "reset", "after EPIPE"]
"""The ways of a backend to go without a word."""

each_way = pytest.mark.parametrize("how", GOING)


def leave(end: BackendEnd, how: str) -> None:
    """Let the backend go in one of these ways."""
    if how == "after EPIPE":
        end.protocol.write_failed()
    if how == "reset":
        end.reset()
    else:
        end.close()


def request(method: str, *headers: str, body: bytes | None = None, length: int = 0) -> bytes:
    """A request for /x; with `length` its `body` is only the beginning of one."""
    lines = [f"{method} /x HTTP/1.1", "Host: a", *headers]
    if body is not None:
        lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(method: str, body: bytes) -> bytes:
    """A request whose body has to be spooled."""
    head = CHUNKED.replace(b"POST", method.encode())
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


class NarrowTransport(TcpTransport):
    """Its peer reads nothing more after the first write."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self.blocked:
            self.block()


class NarrowEnd(BackendEnd):
    transport_class = NarrowTransport


class Attempt:
    """One connection to the member `name`; the test says how it ends, unless that is known."""

    def __init__(self, dialer: MemberDialer, name: str, factory: Any) -> None:
        self.name = name
        self.stopped = False
        self._dialer = dialer
        self._factory = factory

    def accept(self) -> None:
        protocol = self._factory.buildProtocol(UNIXAddress(f"/{self.name}".encode()))
        assert protocol is not None
        dialer = self._dialer
        dialer.reached.append(self.name)
        kind = NarrowEnd if self.name in dialer.narrow else BackendEnd
        dialer.ends.append(kind(protocol, dialer.reactor))

    def refuse(self) -> None:
        if not self.stopped:
            error = ConnectFailed(f"nobody listens on /{self.name}")
            self._factory.clientConnectionFailed(self, Failure(error))

    def stopConnecting(self) -> None:
        self.stopped = True


class MemberDialer:
    """Members accept at once; those in `down` refuse, and those in `held` leave it to the test.

    Those that are `narrow` take no more than what is written first, until they are unblocked.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.reactor = gateway.clock
        self.wheel = gateway.wheel
        self.down: set[str] = set()
        self.held: set[str] = set()
        self.narrow: set[str] = set()
        self.attempts: list[Attempt] = []
        self.reached: list[str] = []
        self.ends: list[BackendEnd] = []

    def put_off(self, work: Callable[[], None]) -> None:
        work()

    def dial(self, address: Any, factory: Any, timeout: float, **options: Any) -> Attempt:
        attempt = Attempt(self, address.name.decode()[1:], factory)
        self.attempts.append(attempt)
        if attempt.name in self.down:
            self.reactor.callLater(0, attempt.refuse)
        elif attempt.name not in self.held:
            attempt.accept()
        return attempt


class Balanced(Gateway):
    """Members are called a, b, c and listen on /a, /b, /c; `members` are their parameters.

    `balancer` has the parameters of the balancer, None for one backend that stands alone.
    """

    def __init__(
        self,
        *members: dict[str, Any],
        balancer: dict[str, Any] | None = None,
        alone: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.dialer = MemberDialer(self)
        self.members = [
            Backend(
                f"unix:/{name}|scgi://{name}",
                UnixAddress(f"/{name}"),
                b"/",
                BackendSettings(**parameters),
                clock=self.clock,
                balancer=None if alone else "app",
            )
            for name, parameters in zip("abcd", members or ({}, {}), strict=False)
        ]
        self.balancer = Pool(
            self.members[0].label if alone else "app",
            self.members,
            dialer=self.dialer,  # type: ignore[arg-type]
            resolver=Resolver(self.clock),
            settings=None if alone else BalancerSettings(**(balancer or {})),
        )
        self.resources[self.mounts[0]].pool = self.balancer

    @property
    def reached(self) -> str:
        """The names of the members that were connected to, in order."""
        return "".join(self.dialer.reached)

    @property
    def backend(self) -> BackendEnd:
        """The newest backend connection."""
        return self.dialer.ends[-1]

    def ask(self, data: bytes) -> Client:
        """A client that has sent `data`."""
        client = self.client().send(data)
        self.settle()
        return client

    def gives_up(self, client: Client, status: int = 502) -> None:
        """Member a was connected to and nobody else; the answer is an error page."""
        self.settle()
        assert self.reached == "a"
        assert client.answer.status == status
        self.finish(client)

    def assert_idle(self) -> None:
        super().assert_idle()
        for end in self.dialer.ends:
            assert end.closed, end
            assert end.protocol._receiver is None
        assert [member.in_flight for member in self.members] == [0] * len(self.members)
        assert self.balancer.budget.repeated == 0
        assert self.balancer.queued == 0
