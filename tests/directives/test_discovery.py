"""discover=: members that a name server knows, while the gateway runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.nameservers import ConfiguredServer, NameServers, SystemServers
from scgiproxy.rules.discovery import member_route
from tests.certificates import authority
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway
from tests.pool.names import FakeNames
from tests.web.tlsend import TlsEnd

ONE, TWO, THREE = (f"192.0.2.{number}:4001" for number in (1, 2, 3))
BALANCER = """
    ProxyPass / balancer://app/ {parameters}
    <Proxy balancer://app>
      BalancerMember scgi://app.example:4001{path} discover=a {words}
      {more}
    </Proxy>
"""


def balancer(words: str = "", *, parameters: str = "", more: str = "", path: str = "") -> str:
    return BALANCER.format(words=words, parameters=parameters, more=more, path=path)


class Known:
    """Gateways whose name server is the test; `names` has its zone."""

    def __init__(self, configured: Configured) -> None:
        self._configured = configured
        self.names = FakeNames()
        self.asked: list[tuple[NameServers, object]] = []
        self.gateways: list[ConfiguredGateway] = []

    def resolver(self, _: object, servers: NameServers, hosts: object = None) -> FakeNames:
        """What stands in for a StubResolver."""
        self.asked.append((servers, hosts))
        return self.names

    def start(self, text: str) -> ConfiguredGateway:
        """A gateway that has asked, and was answered."""
        gateway: ConfiguredGateway = self._configured(text)
        self.gateways.append(gateway)
        for discovery in gateway.parts.balancing.discoveries:
            discovery.start()
        self.settle(gateway)
        return gateway

    def settle(self, gateway: ConfiguredGateway) -> None:
        gateway.settle()
        self.names.answer()

    def change(self, gateway: ConfiguredGateway, *addresses: str) -> None:
        """Let the name have these addresses, and the gateway hear of it."""
        self.names.addresses("app.example", *addresses, ttl=1)
        gateway.advance(2)
        self.settle(gateway)

    def close(self) -> None:
        for gateway in self.gateways:
            for discovery in gateway.parts.balancing.discoveries:
                discovery.stop()


@pytest.fixture
def known(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Known]:
    made = Known(configured)
    monkeypatch.setattr("scgiproxy.pool.stub_resolver.StubResolver", made.resolver)
    made.names.addresses("app.example", "192.0.2.1", "192.0.2.2", ttl=1)
    yield made
    made.close()


def turns(gateway: ConfiguredGateway, number: int) -> list[str]:
    return [where for _ in range(number) for where in gateway.ask().where]


@behaviour("discover=", "BalancerMember")
def test_every_address_is_a_member(known: Known) -> None:
    """Each with the parameters of the line, a name of its own, and the path of the URL."""
    gateway = known.start(balancer("max=3", path="/base", parameters="pathinfo=on"))
    asked = [gateway.ask("/x") for _ in range(2)]
    assert [one.where for one in asked] == [[ONE], [TWO]]
    assert [one.variables["BALANCER_WORKER_NAME"] for one in asked] == [
        f"scgi://{ONE}/base",
        f"scgi://{TWO}/base",
    ]
    assert asked[0].variables["PATH_INFO"] == "/base/x"
    assert [backend.limit for backend in gateway.parts.pools[0].backends] == [3, 3]


@behaviour("discover=")
def test_members_come_and_go(known: Known) -> None:
    """Who stays goes on with its counters, who is gone gets no new request."""
    gateway = known.start(balancer())
    assert turns(gateway, 4) == [ONE, TWO, ONE, TWO]
    known.change(gateway, "192.0.2.2", "192.0.2.3")
    assert [backend.elected for backend in gateway.parts.pools[0].backends] == [2, 0]
    assert set(turns(gateway, 4)) == {TWO, THREE}


@behaviour("discover=")
def test_no_request_is_lost(known: Known) -> None:
    """One that is under way at a member that has gone ends in peace."""
    gateway = known.start(balancer())
    client = gateway.send("/")
    end = gateway.accept()
    assert gateway.attempts[-1].where == ONE
    known.change(gateway, "192.0.2.2")
    assert not client.received
    end.answer(HELLO).close()
    gateway.settle()
    assert client.answers[0].body == b"hello"
    assert turns(gateway, 2) == [TWO, TWO]


@behaviour("discover=", "max=")
def test_a_member_that_comes_back_still_has_its_requests(known: Known) -> None:
    """Its places are taken; once they are free it is used again."""
    gateway = known.start(balancer("max=1"))
    known.change(gateway, "192.0.2.1")
    client = gateway.send("/")
    end = gateway.accept()
    known.change(gateway, "192.0.2.2")
    known.change(gateway, "192.0.2.1")
    waiting = gateway.send("/")
    gateway.advance(1)
    assert not waiting.received
    assert [attempt.where for attempt in gateway.attempts] == [ONE]
    end.answer(HELLO).close()
    gateway.settle()
    assert client.answers[0].status == 200
    gateway.accept().answer(HELLO).close()
    gateway.settle()
    assert waiting.answers[0].status == 200


@behaviour("discover=", "retry=")
def test_a_member_in_error_stays_so(known: Known) -> None:
    gateway = known.start(balancer("retry=1h"))
    gateway.down = {ONE}
    assert turns(gateway, 2) == [ONE, TWO, TWO]
    known.change(gateway, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert ONE not in turns(gateway, 4)


@behaviour("discover=", "lbset=", "loadfactor=")
def test_address_records_say_nothing_of_sets_and_shares(known: Known) -> None:
    gateway = known.start(
        balancer("lbset=1 loadfactor=2", more="BalancerMember scgi://127.0.0.1:4009")
    )
    assert turns(gateway, 2) == ["127.0.0.1:4009"] * 2
    gateway.down = {"127.0.0.1:4009"}
    assert turns(gateway, 1) == ["127.0.0.1:4009", ONE]
    assert {one.factor for one in gateway.parts.pools[0].backends} == {100, 200}


@behaviour("discover=")
def test_service_records(known: Known) -> None:
    """Priority is the set, weight the load factor, and both may change."""
    names = known.names
    service = "_app._tcp.example"
    for number in (1, 2, 3):
        names.addresses(f"{number}.example", f"192.0.2.{number}")
    first, third = (10, 10, 4001, "1.example"), (20, 1, 4001, "3.example")
    names.services(service, first, (10, 20, 4001, "2.example"), third)
    gateway = known.start(
        "ProxyPass / balancer://app/\nBalancerMember balancer://app scgi://_app._tcp.example discover=srv"
    )
    assert turns(gateway, 6) == [TWO, ONE, TWO, TWO, ONE, TWO]
    names.services(service, first, (30, 20, 4001, "2.example"), third)
    gateway.advance(70, 1)
    known.settle(gateway)
    assert turns(gateway, 3) == [ONE] * 3
    gateway.down = {ONE, THREE}
    assert turns(gateway, 1) == [ONE, THREE, TWO]


@behaviour("discover=")
def test_what_is_not_known_yet(known: Known) -> None:
    """Stands for no member; other lines of the balancer do."""
    known.names.remove("app.example")
    gateway = known.start(balancer())
    assert gateway.ask().status == 503
    known.change(gateway, "192.0.2.1")
    assert turns(gateway, 1) == [ONE]
    known.names.remove("app.example")
    other = known.start(balancer(more="BalancerMember scgi://127.0.0.1:4009"))
    assert turns(other, 2) == ["127.0.0.1:4009"] * 2


@behaviour("discover=")
def test_the_last_good_set_stays(known: Known) -> None:
    gateway = known.start(balancer())
    known.names.remove("app.example")
    gateway.advance(200, 1)
    known.settle(gateway)
    assert turns(gateway, 2) == [ONE, TWO]


@behaviour("discover=", "BalancerMember")
def test_an_address_that_is_written_too(known: Known) -> None:
    """Is one member: that of the first line which has it."""
    gateway = known.start(balancer(more=f"BalancerMember scgi://{TWO} max=7"))
    assert [one.limit for one in gateway.parts.pools[0].backends] == [None, None]
    known.change(gateway, "192.0.2.1")
    assert [one.limit for one in gateway.parts.pools[0].backends] == [None, 7]


@behaviour("discover=", "slowstart=")
def test_slow_start(known: Known) -> None:
    """Of those that come to others; at first all have their whole share at once."""
    gateway = known.start(balancer("slowstart=10min"))
    assert turns(gateway, 4) == [ONE, TWO, ONE, TWO]
    known.change(gateway, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert turns(gateway, 20).count(THREE) == 0
    gateway.advance(700, 1)
    assert turns(gateway, 30).count(THREE) >= 9


HEADER = (
    '\nHeader add Set-Cookie "R=.%{BALANCER_WORKER_ROUTE}e; path=/" env=BALANCER_ROUTE_CHANGED\n'
)


@behaviour("discover=", "stickysession=", "route=", "Header")
@pytest.mark.parametrize(("words", "front"), [("", ".*"), ("route=app", "app-.*")])
def test_sessions(known: Known, words: str, front: str) -> None:
    """Each member has a route of its own, which every gateway knows, and which tells no address."""
    text = balancer(words, parameters="stickysession=R") + HEADER
    gateway = known.start(text)
    first = gateway.ask()
    cookie = str(first["set-cookie"]).partition(";")[0]
    assert "192" not in cookie
    prefix = words.removeprefix("route=").encode()
    route = member_route(prefix, TcpAddress("192.0.2.1", 4001)).decode()
    assert cookie == f"R=.{route}"
    assert [gateway.ask("/", f"Cookie: {cookie}").where for _ in range(3)] == [[ONE]] * 3
    known.change(gateway, "192.0.2.3", "192.0.2.1")
    assert gateway.ask("/", f"Cookie: {cookie}").where == [ONE]
    other = known.start(text)
    other.ask()
    assert other.ask("/", f"Cookie: {cookie}").where == [ONE]
    known.change(gateway, "192.0.2.3")
    moved = gateway.ask("/", f"Cookie: {cookie}")
    assert moved.where == [THREE]
    assert moved["set-cookie"] is not None


@behaviour("discover=", "maxheader=")
def test_the_limit_of_the_header_block(known: Known) -> None:
    """Holds though no member was known when it was worked out."""
    gateway = known.start(balancer("maxheader=1000"))
    assert gateway.ask("/", "X-Long: " + "x" * 1000).status == 431


@behaviour("ProxyResolver", "discover=")
@pytest.mark.parametrize(
    ("line", "servers"),
    [
        ("ProxyResolver 192.0.2.53", ["192.0.2.53:53"]),
        ("ProxyResolver [2001:db8::53]:5353", ["[2001:db8::53]:5353"]),
    ],
)
@pytest_twisted.ensureDeferred
async def test_name_server(known: Known, line: str, servers: list[str]) -> None:
    """One resolver for all names; without the line it is the system's, with its hosts file."""
    known.start(f"{line}\n{balancer()}" + balancer().replace("app", "other"))
    ((asked, hosts),) = known.asked[-1:]
    assert isinstance(asked, ConfiguredServer)
    assert hosts is None
    assert [str(one) for one in await asked.addresses()] == servers
    known.start(balancer())
    asked, hosts = known.asked[-1]
    assert isinstance(asked, SystemServers)
    assert str(hosts) == "/etc/hosts"


@behaviour("discover=")
def test_members_are_told_of(known: Known) -> None:
    """Who looks after members hears of every change of theirs, and of nothing else."""
    gateway: ConfiguredGateway = known.start(balancer())
    changes: list[int] = []
    count: Callable[[], None] = lambda: changes.append(len(gateway.parts.pools[0].backends))  # noqa: E731
    gateway.parts.balancing.members_changed = count
    known.change(gateway, "192.0.2.2")
    known.change(gateway, "192.0.2.2")
    known.change(gateway, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert changes == [1, 3]


@behaviour("discover=", "SSLProxyCACertificateFile")
@pytest.mark.parametrize(("name", "is_trusted"), [("app.example", True), ("192.0.2.1", False)])
def test_certificate_of_a_member_that_was_found(
    known: Known, tmp_path: Path, name: str, is_trusted: bool
) -> None:
    """It is for the name that was asked for: a name server that lies finds nobody for it."""
    (tmp_path / "ca.pem").write_bytes(authority().certificate)
    gateway = known.start(
        f"SSLProxyCACertificateFile {tmp_path}/ca.pem\n{balancer()}".replace("scgi://", "scgis://")
    )
    (pool,) = gateway.parts.pools
    assert [one.label for one in pool.backends] == [
        "scgis://192.0.2.1:4001",
        "scgis://192.0.2.2:4001",
    ]
    gateway.send("/")
    tls = TlsEnd(gateway.accept(), authority().issue(name))
    gateway.settle()
    tls.pump()
    assert tls.server_name == b"app.example"
    assert bool(tls.data) is is_trusted
