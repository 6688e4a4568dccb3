"""What the tests of the pool share: a dialer that does as it is told, and calls that take notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import BackendError, ConnectFailed
from scgiproxy.interfaces import ICall
from scgiproxy.message.backend_url import Address, UnixAddress
from scgiproxy.pool.attempt import Dispatch
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.resolve import Resolver
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.wire.deadline import DeadlineWheel


class Dial:
    """One attempt: the test says how it ends."""

    def __init__(self, address: Any, factory: Any, timeout: float, options: dict[str, Any]) -> None:
        self.address = address
        self.factory = factory
        self.timeout = timeout
        self.options = options
        self.stopped = False
        self.over = False

    def succeed(self) -> Any:
        assert not self.stopped
        assert not self.over
        self.over = True
        return self.factory.buildProtocol(self.address)

    def fail(self, error: Exception | None = None) -> None:
        assert not self.stopped
        assert not self.over
        self.over = True
        reason = ConnectFailed(f"nobody listens on {self.address}") if error is None else error
        self.factory.clientConnectionFailed(self, Failure(reason))

    def stopConnecting(self) -> None:
        assert not self.over
        self.stopped = True

    def disconnect(self) -> None:
        raise AssertionError("not for a pool to do")


class FakeDialer:
    """`dials` has every attempt; with `at_once` they succeed before `dial` returns."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.wheel = DeadlineWheel(self.reactor)
        self.dials: list[Dial] = []
        self.at_once = False

    def dial(self, address: Any, factory: Any, timeout: float, **options: Any) -> Dial:
        dial = Dial(address, factory, timeout, options)
        self.dials.append(dial)
        if self.at_once:
            dial.succeed()
        return dial

    def put_off(self, work: Callable[[], None]) -> None:
        work()

    def open(self) -> list[Dial]:
        return [dial for dial in self.dials if not dial.over and not dial.stopped]


class Request:
    """What a pool asks of a request: its target and its cookies."""

    def __init__(self, uri: bytes = b"/", cookie: bytes | None = None) -> None:
        self.uri = uri
        self._cookie = cookie

    def header(self, name: bytes) -> bytes | None:
        assert name == b"cookie"
        return self._cookie


@implementer(ICall)
class Call:
    """Notes the backend it was connected to, or the error."""

    dispatch: Dispatch

    def __init__(self, request: Any = None) -> None:
        self.request = request
        self.backend: Backend | None = None
        self.address: Any = None
        self.error: BackendError | None = None
        self.told = 0

    def connected(self, backend: Any, address: Any) -> Protocol:
        assert self.dispatch.backend is backend
        self.told += 1
        self.backend = backend
        self.address = address
        return Protocol()

    def dispatch_failed(self, error: BackendError) -> None:
        self.told += 1
        self.error = error


class Scene:
    """A pool over a `FakeDialer`; members are called a, b, c and listen on /a, /b, /c."""

    def __init__(self, *settings: BackendSettings, balanced: bool = True, **options: Any) -> None:
        self.dialer = FakeDialer()
        self.clock = self.dialer.reactor
        self.resolver = Resolver(options.pop("names", self.clock))
        addresses: list[Address] = options.pop("addresses", [])
        self.backends = [
            Backend(
                f"unix:/{name}|scgi://{name}",
                addresses[index] if addresses else UnixAddress(f"/{name}"),
                b"/",
                one,
                clock=self.clock,
                balancer="app" if balanced else None,
            )
            for index, (name, one) in enumerate(zip("abcdefgh", settings, strict=False))
        ]
        parameters = {one.name for one in fields(BalancerSettings)} & options.keys()
        balancer = BalancerSettings(**{name: options.pop(name) for name in parameters - {"method"}})
        self.pool = Pool(
            "app" if balanced else self.backends[0].label,
            self.backends,
            dialer=self.dialer,  # type: ignore[arg-type]
            resolver=self.resolver,
            settings=balancer if balanced else None,
            **options,
        )

    def call(self, request: Request | None = None) -> Call:
        call = Call(request)
        assert self.pool.dispatch(call) is call.dispatch
        return call

    def where(self) -> str:
        """The name of the member that the one open attempt goes to."""
        (dial,) = self.dialer.open()
        return name_of(dial.address)

    def fail(self, error: Exception | None = None) -> str:
        """Let the open attempt fail; the name of its member."""
        name = self.where()
        self.dialer.open()[0].fail(error)
        return name

    def serve(self, fault: BackendError | None = None, request: Request | None = None) -> str:
        """A whole request: the name of the member that served it, or the error's class."""
        call = self.call(request)
        while self.dialer.open():
            self.dialer.open()[0].succeed()
        if call.error is not None:
            return type(call.error).__name__
        assert call.backend is not None
        call.dispatch.release(fault)
        return call.backend.label[-1]

    def in_flight(self) -> list[int]:
        return [backend.in_flight for backend in self.backends]


def name_of(address: Any) -> str:
    assert isinstance(address, UNIXAddress)
    assert address.name is not None
    return address.name.decode()[1:]
