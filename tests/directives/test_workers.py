"""Worker parameters: of ProxyPass, of ProxySet and of <Proxy>, for a backend that stands alone."""

from __future__ import annotations

import pytest

from scgiproxy.config.workers import WORKER_PARAMETERS
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway, request
from tests.web.harness import Client


def hold(gateway: ConfiguredGateway, path: str = "/", host: str = "example.com") -> Client:
    """A request that is under way: sent, and connected where there is room."""
    before = len(gateway.attempts)
    client = gateway.client().send(request(path, host=host))
    gateway.settle()
    for attempt in gateway.attempts[before:]:
        attempt.accept()
    return client


def finish(gateway: ConfiguredGateway, number: int) -> None:
    end = gateway.attempts[number].end
    assert end is not None
    end.answer(HELLO).close()
    gateway.settle()


@behaviour("max=", "acquire=")
@pytest.mark.parametrize(
    ("word", "seconds"), [("acquire=1500", 1.5), ("acquire=3s", 3), ("acquire=2min", 120)]
)
def test_queue(configured: Configured, word: str, seconds: float) -> None:
    """Over `max` requests wait in order, for `acquire` (milliseconds without a unit): 503."""
    gateway = configured(f"ProxyPass / scgi://127.0.0.1/ max=2 timeout=1h {word}")
    clients = [hold(gateway) for _ in range(4)]
    assert len(gateway.attempts) == 2
    gateway.advance(seconds - 0.5, 0.25)
    finish(gateway, 0)
    assert len(gateway.attempts) == 3
    gateway.attempts[2].accept()
    gateway.advance(2, 0.25)
    assert clients[0].answers[0].status == 200
    assert clients[3].answers[0].status == 503
    finish(gateway, 2)
    assert clients[2].answers[0].status == 200
    assert clients[1].received == b""


@behaviour("max=")
def test_queue_without_acquire(configured: Configured) -> None:
    """There is no limit of waiting; who leaves gives its place up."""
    gateway = configured("ProxyPass / scgi://127.0.0.1/ max=1 timeout=1h")
    hold(gateway)
    second, third = hold(gateway), hold(gateway)
    gateway.advance(600, 10)
    assert not second.received
    assert not third.received
    second.leave()
    finish(gateway, 0)
    gateway.attempts[1].accept()
    finish(gateway, 1)
    assert third.answers[0].status == 200
    assert len(gateway.attempts) == 2


@behaviour("max=")
def test_max_of_an_inherited_mount(configured: Configured) -> None:
    """Hosts that have a mount from the main server share its places."""
    gateway = configured(
        """
        ProxyPass / scgi://127.0.0.1/ max=1
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
        </VirtualHost>
        """
    )
    hold(gateway, host="one.example")
    hold(gateway, host="two.example")
    assert len(gateway.attempts) == 1
    finish(gateway, 0)
    gateway.attempts[1].accept()


@behaviour("maxheader=")
@pytest.mark.parametrize("place", ["ProxyPass", "ProxySet", "Proxy", "BalancerMember"])
def test_max_header(configured: Configured, place: str) -> None:
    """A block over the limit is a 431, and nothing is connected."""
    gateway = configured(
        {
            "ProxyPass": "ProxyPass / scgi://127.0.0.1/ maxheader=1000",
            "ProxySet": "ProxyPass / scgi://127.0.0.1/\nProxySet scgi://127.0.0.1 maxheader=1000",
            "Proxy": "ProxyPass / scgi://127.0.0.1/\n<Proxy scgi://127.0.0.1>\n"
            "ProxySet maxheader=1000\n</Proxy>",
            "BalancerMember": "ProxyPass / balancer://b/\n"
            "BalancerMember balancer://b scgi://127.0.0.1 maxheader=1000",
        }[place]
    )
    assert gateway.ask("/", "X-Long: " + "x" * 200).status == 200
    refused = gateway.ask("/", "X-Long: " + "x" * 1000)
    assert refused.status == 431
    assert not refused.attempts
    (end,) = gateway.attempts
    assert end.end is not None
    assert int(end.end.transport.value().partition(b":")[0]) <= 1000


@behaviour("maxheader=")
@pytest.mark.parametrize("path", ["", "/a/longer/path"])
def test_max_header_with_a_members_own_variables(configured: Configured, path: str) -> None:
    """What is added for the member counts as well: never is more sent, and its place is free."""
    gateway = configured(
        "ProxyPass / balancer://b/ pathinfo=On\n"
        f"BalancerMember balancer://b scgi://127.0.0.1{path} maxheader=1000 route=r1 max=1"
    )
    sizes, refused = [], 0
    for length in range(400, 800, 7):
        asked = gateway.ask("/", "X-Long: " + "x" * length)
        assert asked.status in (200, 431)
        refused += asked.status == 431
        sizes += [
            int(attempt.end.transport.value().partition(b":")[0])
            for attempt in asked.attempts
            if attempt.end is not None
        ]
    assert max(sizes) <= 1000 < max(sizes) + 10
    assert refused
    assert all(not attempt.open for attempt in gateway.attempts)
    assert gateway.ask("/").status == 200


@behaviour("halfclose=")
@pytest.mark.parametrize(
    ("word", "closes"), [("", False), ("halfclose=off", False), ("halfclose=On", True)]
)
@pytest.mark.parametrize("body", [b"", b"data"])
def test_half_close(configured: Configured, word: str, closes: bool, body: bytes) -> None:
    """The sending side is closed behind the request, or stays open."""
    gateway = configured(f"ProxyPass / scgi://127.0.0.1/ {word}")
    client = gateway.client().send(request("/", method="POST", body=body))
    end = gateway.accept()
    assert end.transport.write_closed is closes
    assert end.body == body
    end.answer(HELLO).close()
    gateway.settle()
    assert client.answers[0].status == 200


@behaviour("pathinfo=")
@pytest.mark.parametrize(
    ("lines", "path_info"),
    [
        ("ProxyPass /app scgi://127.0.0.1", None),
        ("ProxyPass /app scgi://127.0.0.1 pathinfo=On", "/x y"),
        ("ProxyPass /app scgi://127.0.0.1 pathinfo=off\nSetEnv proxy-scgi-pathinfo", None),
        ("ProxyPass /app balancer://b pathinfo=on\nBalancerMember balancer://b scgi://h.x", "/x y"),
        ("<Location /app>\nProxyPass scgi://127.0.0.1 pathinfo=on\n</Location>", "/x y"),
    ],
)
def test_path_info(configured: Configured, lines: str, path_info: str | None) -> None:
    gateway = configured(lines.replace("h.x", "127.0.0.1"))
    variables = gateway.ask("/app/x%20y").variables
    assert variables.get("PATH_INFO") == path_info
    assert variables["SCRIPT_NAME"] == ("/app" if path_info else "/app/x y")


@behaviour("keepalive=")
@pytest.mark.parametrize(("word", "on"), [("", False), ("keepalive=On", True)])
def test_keepalive(configured: Configured, word: str, on: bool) -> None:
    """SO_KEEPALIVE on the backend's socket."""
    gateway = configured(f"ProxyPass / scgi://127.0.0.1/ {word}")
    assert gateway.ask().attempts[0].transport.keepalive is on


@behaviour("status=")
@pytest.mark.parametrize(
    ("word", "status"), [("D", 503), ("+D", 503), ("S", 503), ("-D", 200), ("H", 200)]
)
def test_disabled(configured: Configured, word: str, status: int) -> None:
    """A disabled backend is not connected to."""
    gateway = configured(f"ProxyPass / scgi://127.0.0.1/ status={word}")
    asked = gateway.ask()
    assert asked.status == status
    assert bool(asked.attempts) is (status == 200)


@behaviour("retry=")
def test_a_backend_that_stands_alone_is_always_tried(configured: Configured) -> None:
    """retry is for members of balancers, and the check says so."""
    gateway = configured("ProxyPass / scgi://127.0.0.1/ retry=1h")
    assert any("retry does nothing outside a BalancerMember" in note for note in gateway.notes)
    gateway.down.add("127.0.0.1:4000")
    assert gateway.ask().status == 503
    gateway.down.clear()
    assert gateway.ask().status == 200


@behaviour("flushpackets=", "flushwait=", "flusher=")
@pytest.mark.parametrize(
    "words", ["", "flushpackets=on", "flushpackets=off flushwait=100 flusher=x"]
)
def test_everything_is_flushed(configured: Configured, words: str) -> None:
    """What a backend sends goes out at once, whatever is said about it."""
    gateway = configured(f"ProxyPass / scgi://127.0.0.1/ {words}")
    client = gateway.send("/")
    end = gateway.accept()
    end.answer(b"Content-Type: text/event-stream\r\n\r\n")
    assert client.take().startswith(b"HTTP/1.1 200 ")
    end.answer(b"data: 1\n\n")
    assert client.take() == b"9\r\ndata: 1\n\n\r\n"
    wanted = {"": 0, "flushpackets=on": 0}.get(words, 3)
    assert len([note for note in gateway.notes if "does nothing" in note]) == wanted


INERT = sorted(name for name, parameter in WORKER_PARAMETERS.items() if parameter.inert)
VALUES = {"mapping": "servlet", "receivebuffersize": "1024", "iobuffersize": "0"}
REUSE = ("enablereuse=on", "disablereuse=on", "enablereuse=off")


@behaviour(
    *("min=", "smax=", "ttl=", "addressttl=", "receivebuffersize=", "iobuffersize="),
    *("responsefieldsize=", "flushwait=", "flusher=", "ping=", "upgrade=", "secret=", "mapping="),
    *("disablereuse=", "enablereuse="),
)
def test_parameters_without_effect(configured: Configured) -> None:
    """Those of Apache that nothing here needs are taken, and the check names each of them."""
    words = [f"{name}={VALUES.get(name, '600')}" for name in INERT]
    gateway = configured(
        f"ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://127.0.0.1"
        f" {' '.join(words)} disablereuse=on enablereuse=on"
    )
    assert gateway.ask().status == 200
    for name in (*INERT, "enablereuse"):
        assert [note for note in gateway.notes if f" {name}" in note], name


@behaviour("ProxySet", "Proxy", "max=", "timeout=", "ProxyPass")
@pytest.mark.parametrize(
    ("lines", "timeout"),
    [
        ("ProxySet scgi://127.0.0.1 timeout=5", 5),
        ("ProxySet scgi://127.0.0.1:4000/ timeout=5", 5),
        ("ProxySet scgi://127.0.0.1/app timeout=5", 5),
        ("ProxySet scgi://127.0.0.1/other timeout=5", 60),
        ("ProxySet scgi://127.0.0.1:4001 timeout=5", 60),
        ("<Proxy scgi://127.0.0.1>\nProxySet timeout=5\n</Proxy>", 5),
        ("<Proxy scgi://127.0.0.1 timeout=5>\n</Proxy>", 5),
        ("ProxySet scgi://127.0.0.1 timeout=5\nProxySet scgi://127.0.0.1/app timeout=6", 6),
        ("<VirtualHost *>\nProxySet scgi://127.0.0.1 timeout=5\n</VirtualHost>", 60),
    ],
)
def test_proxy_set(configured: Configured, lines: str, timeout: float) -> None:
    """For every mount of that backend and path; the later line counts; a host's own is its own."""
    gateway = configured(f"ProxyPass /app scgi://127.0.0.1/app max=9\n{lines}")
    gateway.ask("/app", port=8080)
    assert gateway.attempts[0].timeout == timeout


@behaviour("ProxySet")
def test_proxy_set_after_the_line(configured: Configured) -> None:
    """What ProxyPass says itself gives way to a later ProxySet, and not to an earlier one."""
    for lines, timeout in (
        ("ProxyPass / scgi://127.0.0.1/ timeout=5\nProxySet scgi://127.0.0.1 timeout=6", 6),
        ("ProxySet scgi://127.0.0.1 timeout=6\nProxyPass / scgi://127.0.0.1/ timeout=5", 5),
    ):
        gateway = configured(lines)
        gateway.ask()
        assert gateway.attempts[0].timeout == timeout


@behaviour("ProxyPass", "timeout=")
def test_each_mount_has_its_own(configured: Configured) -> None:
    """Parameters are the line's, and not those of the first line for the same backend."""
    gateway = configured(
        """
        ProxyPass /a scgi://127.0.0.1 timeout=5
        ProxyPass /b scgi://127.0.0.1/x timeout=6
        ProxyPass /c scgi://127.0.0.1
        """
    )
    for path, timeout in (("/a", 5), ("/b", 6), ("/c", 60)):
        assert gateway.ask(path).attempts[0].timeout == timeout
