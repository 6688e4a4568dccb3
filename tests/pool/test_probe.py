"""One probe: what it sends, and what it makes of what comes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from scgiproxy.config.expressions import compile_expression
from scgiproxy.errors import BackendBusy, ConnectFailed, OutOfSockets
from scgiproxy.interfaces import IDeadline, IResponseReceiver
from scgiproxy.message.backend_url import TcpAddress, UnixAddress, parse_backend_url
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.probe import Probe, check_block
from scgiproxy.pool.resolve import Addresses, HostAddresses
from scgiproxy.pool.route import Route
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.expression import parse_condition
from scgiproxy.rules.health import VOCABULARY, CheckMethod, HealthCheck, HealthCondition
from scgiproxy.scgi.request import parse_block
from tests.pool.fakes import Dial, FakeDialer
from tests.pool.probing import MemberEnd
from tests.pool.test_resolve import Names

FIRST, SECOND = (IPv4Address("TCP", f"192.0.2.{number}", 4000) for number in (1, 2))
GET = HealthCheck(CheckMethod.GET)
OK = b"Content-Type: text/plain\r\n\r\n"


def backend(url: str = "scgi://192.0.2.1:4000/", **settings: Any) -> Backend:
    parsed = parse_backend_url(url)
    assert parsed.address is not None
    return Backend(
        parsed.label, parsed.address, parsed.path, BackendSettings(**settings), clock=Clock()
    )


class Scene:
    """One probe over a `FakeDialer`; `results` has what it told."""

    def __init__(
        self,
        check: HealthCheck | None = None,
        addresses: Addresses | None = None,
        *,
        timeout: float = 10.0,
        connect_timeout: float = 60.0,
        **settings: Any,
    ) -> None:
        self.dialer = FakeDialer()
        self.clock = self.dialer.reactor
        self.results: list[tuple[bool | None, str]] = []
        self.backend = backend(**settings)
        self.addresses = addresses or Addresses((FIRST,))
        route = Route(
            self.backend, self.addresses, connect_timeout, balancer="app", dialer=self.dialer
        )
        self.probe = Probe(
            route,
            lambda *told: self.results.append(told),
            dialer=self.dialer,  # type: ignore[arg-type]
            timeout=timeout,
            check=check,
            block=check_block(self.backend, check or GET, b"gateway/1"),
        )
        self.probe.start()

    @property
    def dial(self) -> Dial:
        (dial,) = self.dialer.open()
        return dial

    def accept(self) -> MemberEnd:
        """The member takes the connection."""
        return MemberEnd(self.dial.succeed(), self.clock)

    def result(self) -> tuple[bool | None, str]:
        """The one thing it told; nothing is left of it then."""
        (result,) = self.results
        assert not self.dialer.open()
        self.clock.advance(10)
        assert len(self.dialer.wheel) == 0
        assert not self.clock.getDelayedCalls()
        assert self.results == [result]
        return result


def test_interfaces() -> None:
    scene = Scene()
    assert verifyObject(IDeadline, scene.probe)
    assert verifyObject(IResponseReceiver, scene.probe)
    scene.probe.cancel()


# -- connecting --------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [None, HealthCheck(CheckMethod.TCP)])
def test_a_connection_is_enough(check: HealthCheck | None) -> None:
    """Nothing is sent on it: no protocol is put on it, so that it is closed."""
    scene = Scene(check)
    assert scene.results == []
    assert scene.dial.succeed() is None
    assert scene.result() == (True, "connected")


def test_it_takes_no_place_and_is_not_counted() -> None:
    scene = Scene(GET, max_connections=1)
    end = scene.accept()
    assert (scene.backend.in_flight, scene.backend.elected) == (0, 0)
    end.answer(OK).close()
    assert scene.result() == (True, "status 200")
    assert (scene.backend.bytes_sent, scene.backend.bytes_received) == (0, 0)


@pytest.mark.parametrize(
    ("error", "passed"),
    [(ConnectFailed("x"), False), (BackendBusy("x"), None), (OutOfSockets("x"), None)],
)
def test_no_connection(error: Exception, passed: bool | None) -> None:
    """A full listen queue, or a gateway without sockets, says nothing about the member."""
    scene = Scene(GET)
    scene.dial.fail(error)
    assert scene.result() == (passed, "x")


def test_a_full_listen_queue_is_for_requests() -> None:
    scene = Scene()
    assert scene.dial.options == {"keepalive": False, "wait_for_backlog": False}
    scene.probe.cancel()


def test_the_next_address() -> None:
    """It is dialled first from now on."""
    scene = Scene(addresses=Addresses((FIRST, SECOND)))
    scene.dial.fail()
    assert scene.dial.address == SECOND
    scene.dial.succeed()
    assert scene.result() == (True, "connected")
    assert scene.addresses.current() == (SECOND, FIRST)


def test_no_address_works() -> None:
    scene = Scene(addresses=Addresses((FIRST, SECOND)))
    scene.dial.fail(BackendBusy("x"))
    scene.dial.fail(ConnectFailed("y"))
    assert scene.result() == (False, "y")


@pytest.mark.parametrize(
    ("timeout", "connect_timeout", "expected"),
    [(10.0, 60.0, float("inf")), (10.0, 10.0, float("inf")), (10.0, 3.0, 3.0)],
)
def test_time_for_one_address(timeout: float, connect_timeout: float, expected: float) -> None:
    scene = Scene(timeout=timeout, connect_timeout=connect_timeout)
    assert scene.dial.timeout == expected
    scene.probe.cancel()


def test_no_connection_in_time() -> None:
    scene = Scene(GET, timeout=5.0)
    dial = scene.dial
    scene.clock.advance(4.9)
    assert scene.results == []
    scene.clock.advance(0.3)
    assert dial.stopped
    assert scene.result() == (False, "no connection within 5 s")


# -- names -------------------------------------------------------------------------------------


def test_a_name() -> None:
    names = Names()
    scene = Scene(addresses=HostAddresses(names, "app", 4000, 60.0))
    assert scene.dialer.dials == []
    names.questions[0].answer("192.0.2.7")
    assert scene.dial.address == IPv4Address("TCP", "192.0.2.7", 4000)
    scene.dial.succeed()
    assert scene.results == [(True, "connected")]


def test_a_name_without_an_address() -> None:
    names = Names()
    scene = Scene(addresses=HostAddresses(names, "app", 4000, 60.0))
    names.questions[0].answer()
    assert scene.results == [(None, "its host name has no address")]


def test_a_name_that_is_not_resolved_in_time() -> None:
    names = Names()
    scene = Scene(addresses=HostAddresses(names, "app", 4000, 60.0), timeout=5.0)
    scene.clock.advance(5.2)
    assert scene.results == [(None, "its host name could not be resolved within 5 s")]
    names.questions[0].answer("192.0.2.7")
    assert scene.dialer.dials == []


# -- asking ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "uri", "request_uri", "script_name", "query"),
    [
        ("scgi://h", b"", "/", "/", ""),
        ("scgi://h/", b"/", "/", "/", ""),
        ("scgi://h", b"/health", "/health", "/health", ""),
        ("scgi://h/", b"/health", "/health", "/health", ""),
        ("scgi://h/app", b"health", "/app/health", "/app/health", ""),
        ("scgi://h/app/", b"/health", "/app/health", "/app/health", ""),
        ("scgi://h/app", b"", "/app", "/app", ""),
        ("scgi://h/", b"/a%20b?x=%2F&y", "/a%20b?x=%2F&y", "/a b", "x=%2F&y"),
        ("scgi://h/app", b"?x", "/app/?x", "/app/", "x"),
    ],
)
def test_the_path(url: str, uri: bytes, request_uri: str, script_name: str, query: str) -> None:
    """The member's, and what follows it."""
    variables = variables_of(backend(url), HealthCheck(CheckMethod.GET, uri=uri))
    assert variables["REQUEST_URI"] == request_uri
    assert (variables["SCRIPT_NAME"], variables["QUERY_STRING"]) == (script_name, query)
    assert "PATH_INFO" not in variables


def variables_of(one: Backend, check: HealthCheck) -> dict[str, str]:
    block = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00" + check_block(one, check, b"gateway/1")
    found = parse_block(block).variables
    return {name.decode(): value.decode() for name, value in found.items()}


def test_path_info() -> None:
    one = backend("scgi://h/app/", path_info=True)
    variables = variables_of(one, HealthCheck(CheckMethod.GET, uri=b"/a%20b"))
    assert (variables["SCRIPT_NAME"], variables["PATH_INFO"]) == ("", "/app/a b")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("scgi://app.example:4001/", "app.example"),
        ("scgi://[::1]:4001", "[::1]"),
        ("unix:/run/app.sock|scgi://name/x", "name"),
        ("unix:/run/app.sock|scgi://[::1]:4000", "[::1]"),
        ("unix:/run/app.sock", "localhost"),
        ("scgi:///run/app.sock", "localhost"),
    ],
)
def test_all_variables(url: str, host: str) -> None:
    """Those of a request of the gateway itself, and no more."""
    variables = variables_of(backend(url), HealthCheck(CheckMethod.HEAD11, uri=b"/h"))
    assert variables.pop("REQUEST_URI").endswith("/h")
    assert variables.pop("SCRIPT_NAME").endswith("/h")
    assert variables == {
        "CONTENT_LENGTH": "0",
        "SCGI": "1",
        "SERVER_SOFTWARE": "gateway/1",
        "REQUEST_SCHEME": "http",
        "SERVER_NAME": host,
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "HEAD",
        "QUERY_STRING": "",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "scgiproxy (health check)",
    }


def test_addresses_are_of_the_two_kinds() -> None:
    assert isinstance(backend("scgi:///run/app.sock").address, UnixAddress)
    assert isinstance(backend("scgi://h").address, TcpAddress)


@pytest.mark.parametrize("method", [CheckMethod.OPTIONS, CheckMethod.GET, CheckMethod.GET11])
def test_a_good_answer(method: CheckMethod) -> None:
    scene = Scene(HealthCheck(method))
    end = scene.accept()
    assert end.variables["REQUEST_METHOD"] == method.verb.decode()
    assert end.variables["SERVER_PROTOCOL"] == method.protocol.decode()
    end.answer(OK + b"all is well")
    assert scene.results == []
    end.close()
    assert scene.result() == (True, "status 200")


def test_an_answer_to_head_has_no_body() -> None:
    scene = Scene(HealthCheck(CheckMethod.HEAD))
    scene.accept().answer(b"Status: 204\r\nContent-Length: 5\r\n\r\n")
    assert scene.result() == (True, "status 204")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"Status: 503 Busy\r\n\r\n", "status 503"),
        (b"", "closed"),
        (b"no head\r\n\r\n", "no head"),
        (b"Content-Length: 9\r\n\r\nshort", "after 5 of 9 bytes"),
    ],
)
def test_a_bad_answer(answer: bytes, told: str) -> None:
    scene = Scene(GET)
    end = scene.accept()
    if answer:
        end.answer(answer)
    if end.closed is None:
        end.close()
    passed, reason = scene.result()
    assert passed is False
    assert told in reason


def test_no_answer_in_time() -> None:
    """Neither its end, should it have begun."""
    for answer, told in ((b"", "no answer"), (OK + b"x", "no end of its answer")):
        scene = Scene(GET, timeout=5.0)
        scene.clock.advance(2)
        end = scene.accept()
        end.transport.deliver(answer)
        scene.clock.advance(2.9)
        assert scene.results == []
        scene.clock.advance(0.3)
        assert end.closed == "aborted"
        assert scene.result() == (False, f"{told} within 5 s")


@pytest.mark.parametrize("half_close", [False, True])
def test_half_close(half_close: bool) -> None:
    scene = Scene(GET, half_close=half_close)
    end = scene.accept()
    assert end.transport.write_closed is half_close
    end.answer(OK).close()
    assert scene.result() == (True, "status 200")


def condition(text: str) -> HealthCheck:
    expression = parse_condition(text, VOCABULARY, compile_expression)
    return HealthCheck(CheckMethod.GET, condition=HealthCondition("ok", expression))


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("hc('body') =~ /maintenance/", True),
        ("hc('body') !~ /maintenance/", False),
        ("resp('Content-Type') == 'text/plain'", True),
        ("%{REQUEST_STATUS} == '500'", True),
    ],
)
def test_a_condition(text: str, passed: bool) -> None:
    scene = Scene(condition(text))
    scene.accept().answer(b"Status: 500\r\n" + OK + b"under ").answer(b"maintenance").close()
    told = "status 500" if passed else "ok does not hold, status 500"
    assert scene.result() == (passed, told)


def test_a_long_body() -> None:
    """64 KiB of it are looked at, and more is read."""
    for size, passed in ((65535, True), (65536, False)):
        scene = Scene(condition("hc('body') =~ /!/"))
        end = scene.accept().answer(OK + b"x" * size + b"!").answer(b"y" * 100000)
        assert scene.results == []
        end.close()
        assert scene.result()[0] is passed


@pytest.mark.parametrize(("text", "passed"), [("hc('body') =~ /x/", True), ("false", False)])
def test_a_download_is_broken_off(text: str, passed: bool) -> None:
    """What was seen of it is judged, and the rest is not for health checks to read."""
    scene = Scene(condition(text))
    end = scene.accept().answer(OK)
    for _ in range(16):
        end.answer(b"x" * 65536)
    assert scene.results == []
    end.answer(b"x" * 65536)
    assert scene.result()[0] is passed
    assert end.closed == "aborted"


def test_a_condition_that_cannot_be_evaluated() -> None:
    scene = Scene(condition(" . ".join(["hc('body')"] * 300) + " == 'x'"))
    scene.accept().answer(OK + b"x" * 65536).close()
    passed, told = scene.result()
    assert passed is False
    assert "a text of more than" in told


# -- breaking it off ---------------------------------------------------------------------------


def test_cancelled_while_it_connects() -> None:
    scene = Scene(GET)
    dial = scene.dial
    scene.probe.cancel()
    scene.probe.cancel()
    assert dial.stopped
    assert len(scene.dialer.wheel) == 0
    assert scene.results == []


def test_cancelled_while_it_asks() -> None:
    scene = Scene(GET)
    end = scene.accept()
    scene.probe.cancel()
    assert end.closed == "aborted"
    scene.clock.advance(20)
    assert scene.results == []
    assert len(scene.dialer.wheel) == 0


def test_cancelled_while_it_resolves() -> None:
    names = Names()
    addresses = HostAddresses(names, "app", 4000, 60.0)
    scene = Scene(addresses=addresses)
    scene.probe.cancel()
    assert not addresses._waiters
    names.questions[0].answer("192.0.2.7")
    assert scene.dialer.dials == []
    assert scene.results == []
