"""Balancers in every state that there is, for the tests of the page and for its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scgiproxy.errors import ConnectFailed, HeadTimeout
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, Surroundings
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.pool.resolve import Resolver
from scgiproxy.pool.timeline import CHART
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings, Sticky
from scgiproxy.rules.health import CheckMethod, HealthCheck, ProbeResult
from scgiproxy.web.gatewaynumbers import GatewayNumbers
from scgiproxy.wire.deadline import DeadlineWheel
from scgiproxy.wire.dial import Dialer

SOFTWARE = "scgiproxy/1.2.3"
NONCE = "5f2c1d9e8a7b4c3d"


class Stage:
    """Balancers of a gateway that serves nobody; `clock` is a reactor or a Clock."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.dialer = Dialer(clock, DeadlineWheel(clock))
        self.resolver = Resolver(clock)
        self.balancers: list[ManagedBalancer] = []
        self.started = clock.seconds() - 93_784

    def numbers(self) -> GatewayNumbers:
        return GatewayNumbers(
            now=self.clock.seconds(),
            started=self.started,
            software=SOFTWARE,
        )

    def balancer(
        self, name: str, members: Sequence[tuple[str, dict[str, Any]]], **settings: Any
    ) -> ManagedBalancer:
        """One with members by URL and settings."""
        settings = {"nonce": NONCE, **settings}
        backends = []
        for url, given in members:
            found = parse_backend_url(url)
            assert found.address is not None
            options = BackendSettings(**given)
            backends.append(
                Backend(
                    found.label,
                    found.address,
                    found.path,
                    options,
                    clock=self.clock,
                    balancer=name,
                )
            )
        pool = Pool(
            name,
            backends,
            dialer=self.dialer,
            resolver=self.resolver,
            settings=BalancerSettings(**settings),
        )
        made = ManagedBalancer(
            pool,
            name,
            methods=BUILT_IN,
            surroundings=Surroundings(self.clock, None),
            resolver=self.resolver,
        )
        self.balancers.append(made)
        return made

    def busy(
        self,
        member: Backend,
        rate: int,
        seconds: float,
        wobble: int = 7,
        errors: Mapping[int, str] | None = None,
    ) -> None:
        """It has been answering for two minutes; `errors` by how many seconds ago."""
        now = self.clock.seconds()
        statistics = member.statistics
        for ago in range(CHART, 0, -1):
            many = max(rate + (ago * 13 % wobble) - wobble // 2 + (ago % 40 < 12) * rate // 2, 0)
            for number in range(many):
                took = seconds * (1 + (number * 7 + ago) % 5 / 4) * (6 if number % 37 == 36 else 1)
                at = now - ago
                begun = at - took
                statistics.record(at, begun, begun + 0.0004, begun + took / 2)
            if errors and ago in errors:
                statistics.record_error(now - ago, errors[ago])
                member.errors += 1
            member.elected += many
            member.bytes_sent += many * 731
            member.bytes_received += many * 20_123
        member.in_flight = max(rate // 4, 1)


HEALTH = HealthCheck(CheckMethod.GET, 5.0, 2, 3, b"/health")


def full_stage(clock: Any) -> Stage:
    """Two balancers: members in every state, and next to nothing."""
    stage = Stage(clock)
    now = clock.seconds()
    shop = stage.balancer(
        "shop",
        [
            (
                "scgi://10.0.0.11:4000",
                {"route": b"a", "load_factor": 2.0, "max_connections": 32, "health": HEALTH},
            ),
            ("scgi://10.0.0.12:4000", {"route": b"b", "max_connections": 32, "health": HEALTH}),
            ("scgi://10.0.0.13:4000", {"route": b"c", "health": HEALTH}),
            ("unix:/run/shop/blue.sock|scgi://blue", {"route": b"blue", "draining": True}),
            ("scgi://10.0.0.14:4000", {"route": b"d", "load_factor": 4.0, "slow_start": 120.0}),
            ("scgi://standby.example.net:4000", {"standby": True, "lbset": 1, "health": HEALTH}),
            ("scgi://10.0.0.15:4000", {"disabled": True}),
        ],
        method="leasttime",
        sticky=Sticky(b"ROUTEID", b"ROUTEID"),
        growth=3,
        max_attempts=2,
    )
    first, second, third, blue, slow, standby, _ = shop.pool.backends
    refused = dict.fromkeys((71, 70, 12, 11), "backend.connect")
    stage.busy(first, 40, 0.011)
    stage.busy(second, 18, 0.013, errors={44: "backend.head_timeout"})
    stage.busy(third, 9, 0.02, errors=refused)
    stage.busy(blue, 4, 0.02)
    stage.busy(slow, 9, 0.009)
    slow.up_since = now - 31
    slow.warm(now)
    third.in_flight = 0
    third.fail(ConnectFailed("10.0.0.13:4000: connection refused"))
    third.last_fault_at = now - 10
    third.down_until = now + 50
    third.last_probe = ProbeResult(now - 2, False, "10.0.0.13:4000: connection refused", 0.0004)
    second.last_fault = HeadTimeout("no response head within 5 s")
    second.last_fault_at = now - 44
    for member, ago in ((first, 1.2), (second, 4.1)):
        member.last_probe = ProbeResult(now - ago, True, "status 200", 0.0021)
    standby.check_failed = True
    standby.last_probe = ProbeResult(now - 3, False, "status 503", 0.0043)
    blue.in_flight = 3
    shop.pool.statistics.retries = 6
    for waited in (0.002, 0.004, 0.02):
        shop.pool.statistics.queue.record(waited)
    stage.balancer("admin", [("scgi://127.0.0.1:4100", {})])
    return stage


def crowded_stage(clock: Any) -> Stage:
    """Sixteen members with long names."""
    stage = Stage(clock)
    names = [
        f"unix:/srv/applications/customer-portal/releases/2026-11-22/run/worker-{n:02}.sock|scgi://portal"
        if n % 2
        else f"scgi://worker-{n:02}.customer-portal.production.eu-central.example.com:4{n:03}/api/v2"
        for n in range(16)
    ]
    made = stage.balancer(
        "customer-portal-production-eu-central",
        [
            (name, {"route": f"worker-{n:02}".encode(), "lbset": n // 8})
            for n, name in enumerate(names)
        ],
    )
    for n, member in enumerate(made.pool.backends):
        stage.busy(member, n, 0.003 * (n + 1))
        if n in (3, 4):
            member.fail(
                ConnectFailed(
                    "worker-03.customer-portal.production.eu-central.example.com:4003: no connection"
                    " within 5 s (addresses 10.11.12.13, 2001:db8::1234:5678:9abc:def0 tried)"
                )
            )
    return stage


STAGES = {"full": full_stage, "crowded": crowded_stage, "empty": Stage}
