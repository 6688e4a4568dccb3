"""Balancers become pools: their methods, and the members that a name stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.config.load import load_text
from scgiproxy.config.model import Balancer, Member, Position
from scgiproxy.errors import ConfigError
from scgiproxy.message.backend_url import TcpAddress, parse_backend_url
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, MethodFactory
from scgiproxy.pool.lookup import Found
from scgiproxy.pool.route import Route
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from scgiproxy.rules.changes import member_change
from scgiproxy.rules.discovery import DiscoverySettings, RecordKind
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.members import BalancerMembers
from scgiproxy.service.root import GatewayService

DISCOVERED = "BalancerMember balancer://b scgi://app.example discover=a\n"
BALANCER = "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://127.0.0.1:4000\n"


def parts(text: str) -> GatewayParts:
    config = load_text("Listen 127.0.0.1:81\n" + text, file_name="f", environment={})
    return GatewayParts(config, MemoryReactorClock())


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parts(text)
    return [str(problem) for problem in raised.value.problems]


class Mine:
    """A method of a plugin."""

    name = "mine"

    def choose(self, candidates: Sequence[Any], request: object) -> Any:
        return candidates[-1]


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, Mine]:
    """Let there be plugins' methods of these names."""
    plugins = {name: Mine() for name in names}

    def find() -> Mapping[str, MethodFactory]:
        return {**BUILT_IN, **{name: lambda _, it=it: it for name, it in plugins.items()}}

    monkeypatch.setattr("scgiproxy.service.balancing.find_methods", find)
    return plugins


class TestMethods:
    @pytest.mark.parametrize("name", BUILT_IN)
    def test_built_in(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Plugins are not looked for: that imports every file of theirs."""
        monkeypatch.setattr("scgiproxy.service.balancing.find_methods", None)
        made = parts(f"{BALANCER}ProxySet balancer://b lbmethod={name}")
        assert made.pools[0]._selection.method.name == name

    def test_of_a_plugin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plugins = install(monkeypatch, "mine")
        made = parts(f"{BALANCER}ProxySet balancer://b lbmethod=mine")
        assert made.pools[0]._selection.method is plugins["mine"]

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("by_requests", "byrequests"),
            ("ByRequests", "byrequests"),
            ("leastime", "leasttime"),
            ("ip_hash", "iphash"),
            ("mein", "mine"),
        ],
    )
    def test_a_near_miss(self, name: str, near: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name is case-sensitive, as in Apache."""
        install(monkeypatch, "mine")
        (error,) = errors(f"{BALANCER}ProxySet balancer://b lbmethod={name}")
        known = ", ".join([*BUILT_IN, "mine"])
        assert error == (
            f"f:4: lbmethod: expected one of {known}, got {name!r}; did you mean {near}?"
        )

    def test_every_line_is_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of balancers that nothing goes to, and those that a later line replaces."""
        install(monkeypatch)
        told = errors(
            f"{BALANCER}ProxySet balancer://b lbmethod=none\nProxySet balancer://b lbmethod=byrequests\n"
            "<Proxy balancer://other lbmethod=none>\n</Proxy>"
        )
        assert [error.partition(": ")[0] for error in told] == ["f:4", "f:6"]
        assert all("got 'none'" in error and "did you mean" not in error for error in told)

    def test_a_plugin_that_is_no_good(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Told at the line that made us look, and only if one did."""

        def find() -> Mapping[str, MethodFactory]:
            raise ValueError("the balancing method of the plugin a.B is none: it has no name")

        monkeypatch.setattr("scgiproxy.service.balancing.find_methods", find)
        assert errors(f"{BALANCER}ProxySet balancer://b lbmethod=mine") == [
            "f:4: lbmethod: the balancing method of the plugin a.B is none: it has no name"
        ]
        parts(f"{BALANCER}ProxySet balancer://b lbmethod=iphash")


def test_settings_are_the_pools(tmp_path: Any) -> None:
    made = parts(
        f"HeartbeatStorage {tmp_path}/hb\n{BALANCER}"
        "ProxySet balancer://b lbmethod=heartbeat stickysession=S nofailover=on maxattempts=1"
    )
    (pool,) = made.pools
    assert pool.settings is made.config.balancers["b"].settings
    assert pool._selection.method._storage.path == f"{tmp_path}/hb"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "directive", "line"),
    [
        ("ProxyPass / scgi://[fe80::1%nowhere]/", "ProxyPass", 2),
        ("<Location /a>\nProxyPass scgi://[fe80::1%nowhere]/\n</Location>", "ProxyPass", 3),
        (
            f"{BALANCER}BalancerMember balancer://b scgi://[fe80::1%nowhere]:1",
            "BalancerMember",
            4,
        ),
        (
            f"ProxyResolver [fe80::1%nowhere]\n{BALANCER}{DISCOVERED}",
            "ProxyResolver",
            2,
        ),
    ],
)
def test_an_interface_that_is_not_there(text: str, directive: str, line: int) -> None:
    """Only this machine knows; so it is told when the parts are made."""
    assert errors(text) == [
        f"f:{line}: {directive}: fe80::1%nowhere: this machine has no network interface 'nowhere'"
    ]


class TestDiscoveries:
    TEXT = (
        "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://app.example:4001 discover=a\n"
        "BalancerMember balancer://b scgi://_app._tcp.example discover=srv\n"
        "BalancerMember balancer://b scgi://127.0.0.1:4000\n"
    )

    def test_one_for_each_line(self) -> None:
        found = parts(self.TEXT).balancing.discoveries
        assert [discovery.settings for discovery in found] == [
            DiscoverySettings(RecordKind.ADDRESS, "app.example", 4001),
            DiscoverySettings(RecordKind.SERVICE, "_app._tcp.example", 4000),
        ]

    def test_they_run_while_the_service_does(self) -> None:
        """Nothing is asked before the start, and nothing after the stop; and so with checks and
        connections that are kept ready."""
        config = load_text("Listen 127.0.0.1:81\n" + self.TEXT, environment={})
        reactor = MemoryReactorClock()
        service = GatewayService(config, reactor)
        running = [discovery._running for discovery in service.parts.balancing.discoveries]
        assert (running, service.parts.checks._running) == ([False, False], False)
        assert not service.parts.readiness._running
        assert reactor.getDelayedCalls() == []
        for _ in range(2):
            service.startService()
            assert all(discovery._running for discovery in service.parts.balancing.discoveries)
            assert service.parts.checks._running
            assert service.parts.readiness._running
            assert service.stopService().called
            assert not any(one._running for one in service.parts.balancing.discoveries)
            assert not service.parts.checks._running
            assert not service.parts.readiness._running
            assert reactor.getDelayedCalls() == []

    def found(self, made: GatewayParts, number: int, *found: Found) -> None:
        made.balancing.discoveries[number]._apply(found)

    def test_what_was_changed_of_a_member_stays(self) -> None:
        """Before a request can go there, and whatever a record says later."""
        made = parts(self.TEXT)
        managed = made.balancing.managed["b"]
        one = Found(TcpAddress("192.0.2.1", 4000), 1, 2.0, "app")
        two = Found(TcpAddress("192.0.2.2", 4000), 1, 2.0, "app")
        self.found(made, 1, one, two)
        member = managed.member("scgi://192.0.2.1:4000")
        managed.change_member(member, member_change({"w_lf": "5", "w_status_D": "1"}))
        self.found(made, 1, replace(one, load_factor=3.0, lbset=2), two)
        assert (member.full_factor, member.lbset, member.disabled) == (500, 2, True)
        self.found(made, 1, two)
        seen: list[bool] = []

        class Routes(dict[Backend, Route]):
            """Those of the pool, which tell how the member is when it gets it."""

            def __setitem__(self, backend: Backend, route: Route) -> None:
                if backend.label == member.label:
                    seen.append(backend.disabled)
                super().__setitem__(backend, route)

        managed.pool.routes = Routes(managed.pool.routes)
        self.found(made, 1, one, two)
        assert seen == [True]
        assert managed.member(member.label) is not member

    def test_an_added_member_stays_when_others_come(self) -> None:
        made = parts("ProxyPass / balancer://b/ growth=2\n" + DISCOVERED)
        managed = made.balancing.managed["b"]
        added = managed.add("scgi://192.0.2.7")
        self.found(made, 0, Found(TcpAddress("192.0.2.1", 4000), 0, 1.0, "app"))
        assert managed.pool.backends[-1] is added
        assert managed.growth_left == 1
        # And gives its place back when a name server knows of it as well.
        self.found(made, 0, Found(TcpAddress("192.0.2.7", 4000), 0, 1.0, "app"))
        assert (managed.added, managed.growth_left) == ([], 2)


def _member(url: str, kind: RecordKind | None = None, **settings: Any) -> Member:
    parsed = parse_backend_url(url)
    discovery = None
    if kind is not None and isinstance(parsed.address, TcpAddress):
        discovery = DiscoverySettings(kind, parsed.address.host, parsed.address.port)
    return Member(parsed, BackendSettings(**settings), Position("f", 1), discovery)


class Names:
    """Nobody is asked: the test says what was found."""


class Served:
    """A pool as far as members are concerned."""

    def __init__(self, *members: Member) -> None:
        self.clock = MemoryReactorClock()
        self.members = BalancerMembers(Balancer("b", members, BalancerSettings()), self.clock)
        self.backends: tuple[Backend, ...] = tuple(self.members.backends)
        self.changes = 0
        pool: Any = self
        names: Any = Names()
        self.discoveries = list(self.members.discoveries(pool, names, self._changed))

    def set_backends(self, backends: Sequence[Backend]) -> None:
        self.backends = tuple(backends)

    def _changed(self) -> None:
        self.changes += 1

    def find(self, number: int, *hosts: str | Found) -> None:
        """Let the line of that number have found these."""
        found = [
            Found(TcpAddress(host, 4000), 0, 1.0, "app") if isinstance(host, str) else host
            for host in hosts
        ]
        self.discoveries[number]._apply(tuple(found))

    @property
    def labels(self) -> list[str]:
        return [backend.label.removeprefix("scgi://") for backend in self.backends]


class TestMembers:
    def test_they_keep_the_order_of_their_lines(self) -> None:
        served = Served(
            _member("scgi://a", RecordKind.ADDRESS),
            _member("scgi://127.0.0.1:1"),
            _member("scgi://b", RecordKind.ADDRESS),
        )
        assert served.labels == ["127.0.0.1:1"]
        served.find(1, "192.0.2.2", "192.0.2.1")
        served.find(0, "192.0.2.9")
        assert served.labels == [
            "192.0.2.9:4000",
            "127.0.0.1:1",
            "192.0.2.2:4000",
            "192.0.2.1:4000",
        ]

    def test_the_same_object_as_long_as_it_is_there(self) -> None:
        served = Served(_member("scgi://a", RecordKind.ADDRESS))
        served.find(0, "192.0.2.1", "192.0.2.2")
        first, second = served.backends
        served.find(0, "192.0.2.2", "192.0.2.3")
        assert served.backends[0] is second
        served.find(0, "192.0.2.1")
        assert served.backends[0] is not first

    def test_or_has_a_request_left(self) -> None:
        served = Served(_member("scgi://a", RecordKind.ADDRESS))
        served.find(0, "192.0.2.1")
        (first,) = served.backends
        first.take()
        served.find(0, "192.0.2.2")
        served.find(0, "192.0.2.3")
        served.find(0, "192.0.2.1")
        assert served.backends[0] is first
        first.give_back()
        served.find(0, "192.0.2.2")
        served.find(0, "192.0.2.1")
        assert served.backends[0] is not first

    def test_two_lines_that_find_the_same(self) -> None:
        """There is one member at one place, and it is not lost with one of the lines."""
        served = Served(
            _member("scgi://a", RecordKind.ADDRESS),
            _member("scgi://b", RecordKind.ADDRESS, max_connections=5),
        )
        served.find(0, "192.0.2.1")
        served.find(1, "192.0.2.1", "192.0.2.2")
        assert served.labels == ["192.0.2.1:4000", "192.0.2.2:4000"]
        served.find(0, "192.0.2.3")
        assert served.labels == ["192.0.2.3:4000", "192.0.2.1:4000", "192.0.2.2:4000"]
        assert served.backends[1].limit == 5

    def test_those_that_were_added_while_it_runs_stay(self) -> None:
        served = Served(_member("scgi://a", RecordKind.ADDRESS))
        added = Backend(
            "scgi://192.0.2.7:4000",
            TcpAddress("192.0.2.7", 4000),
            b"",
            BackendSettings(),
            clock=served.clock,
            balancer="b",
        )
        served.find(0, "192.0.2.1")
        served.set_backends([*served.backends, added])
        served.find(0, "192.0.2.2")
        assert served.labels == ["192.0.2.2:4000", "192.0.2.7:4000"]
        served.find(0, "192.0.2.7")
        assert served.labels == ["192.0.2.7:4000"]
        assert served.changes == 3

    def test_what_a_record_does_not_change_is_left_alone(self) -> None:
        """Somebody may have changed it by hand."""
        address = TcpAddress("192.0.2.1", 4000)
        served = Served(_member("scgi://a", RecordKind.SERVICE))
        served.find(0, Found(address, 0, 2.0, "app"))
        (member,) = served.backends
        member.full_factor, member.lbset = 700, 7
        served.find(0, Found(address, 0, 2.0, "app"), Found(TcpAddress("::1", 1), 1, 1.0, "x"))
        assert (member.full_factor, member.lbset) == (700, 7)
        served.find(0, Found(address, 1, 3.0, "app"))
        assert (member.full_factor, member.factor, member.lbset) == (300, 300, 1)

    def test_flags_and_path_of_the_line(self) -> None:
        served = Served(_member("scgi://a/base%20x", RecordKind.ADDRESS, disabled=True))
        served.find(0, "::1")
        (member,) = served.backends
        assert (member.label, member.path, member.disabled) == (
            "scgi://[::1]:4000/base%20x",
            b"/base%20x",
            True,
        )
        assert (member.member, member.balancer) == (True, "b")

    def test_members_that_are_found_later_have_connections_ready(self) -> None:
        text = (
            "ProxyPass / balancer://b/\n"
            "BalancerMember balancer://b scgi://app.example:4001 discover=a preconnect=1\n"
        )
        reactor = MemoryReactorClock()
        config = load_text("Listen 127.0.0.1:81\n" + text, environment={})
        service = GatewayService(config, reactor)
        service.startService()
        discovery = service.parts.balancing.discoveries[0]
        discovery._apply((Found(TcpAddress("192.0.2.1", 4001), 0, 1.0, "app.example"),))
        reactor.advance(0)
        assert [client[:2] for client in reactor.tcpClients] == [("192.0.2.1", 4001)]
        assert service.stopService().called
