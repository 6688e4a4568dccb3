"""Members are the same in the parent and in all workers."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import LogEvent, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from scgiproxy.errors import BadResponse, ConnectFailed
from scgiproxy.log.events import gateway_events
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.condition import Condition
from scgiproxy.pool.lookup import Found
from scgiproxy.rules.health import ProbeResult
from scgiproxy.web.manager.editing import NotDone
from tests.service.workers.gateway import BALANCER, WorkersGateway, make

__all__ = ["make"]

_asserts = SynchronousTestCase()


@pytest.fixture
def told() -> Any:
    lines: list[str] = []

    def observe(event: LogEvent) -> bool:
        lines.append(formatEvent(event))
        return False

    gateway_events.add(observe)
    yield lines
    gateway_events.remove(observe)


def edit(gateway: WorkersGateway, number: int = 1, **fields: str) -> Any:
    """Worker `number` gets a form. `lf` is ``w_lf``, a capital letter a flag."""
    worker = gateway.workers[number - 1]
    words = {_field(name): word for name, word in fields.items()}
    words = {"b": "b", "nonce": worker.balancer.nonce, **words}
    if not any(name.startswith("b_") for name in words):
        words.setdefault("w", "scgi://127.0.0.1:1")
    made = worker.members.change([worker.balancer], words, "somebody")
    gateway.settle()
    return made


def _field(name: str) -> str:
    if name in ("b", "w", "nonce") or name[:2] == "b_":
        return name
    return f"w_status_{name}" if name.isupper() else f"w_{name}"


def refused(made: Any) -> tuple[int, tuple[str, ...]]:
    error = _asserts.failureResultOf(made, NotDone).value
    return error.status, error.problems


class TestChanges:
    @pytest.mark.parametrize(
        ("fields", "what"),
        [
            ({"N": "1"}, lambda m: m.draining),
            ({"D": "1"}, lambda m: m.disabled),
            ({"S": "1"}, lambda m: m.stopped),
            ({"H": "1"}, lambda m: m.standby),
            ({"R": "1"}, lambda m: m.spare),
            ({"I": "1"}, lambda m: m.ignore_errors),
            ({"C": "1"}, lambda m: m.check_failed),
            ({"lf": "7.5"}, lambda m: m.factor == 750),
            ({"ls": "3"}, lambda m: m.lbset == 3),
            ({"wr": "r7"}, lambda m: m.route == b"r7"),
            ({"rr": "r8"}, lambda m: m.redirect == b"r8"),
            ({"max": "4"}, lambda m: m.limit == 4),
            (
                {"hm": "TCP", "hi": "2000"},
                lambda m: m.settings.health and m.settings.health.interval == 2,
            ),
        ],
    )
    def test_of_a_member_are_everywhere(self, make: Any, fields: Any, what: Any) -> None:
        gateway = make()
        assert not any(gateway.everywhere(lambda one: what(one.member())))
        made = edit(gateway, **fields)
        assert gateway.everywhere(lambda one: bool(what(one.member()))) == [True] * 3
        worker = gateway.workers[0]
        assert _asserts.successResultOf(made) == (worker.balancer, worker.member())

    @pytest.mark.parametrize(
        ("fields", "what"),
        [
            ({"b_lbm": "bybusyness"}, lambda p: p.method == "bybusyness"),
            ({"b_tmo": "2.5"}, lambda p: p.wait == 2.5),
            ({"b_max": "3"}, lambda p: p.max_attempts == 3),
            ({"b_sforce": "1"}, lambda p: p.no_failover),
            ({"b_ss": "A|b"}, lambda p: p.sticky and p.sticky.cookie == b"A"),
        ],
    )
    def test_of_a_balancer_are_everywhere(self, make: Any, fields: Any, what: Any) -> None:
        gateway = make()
        edit(gateway, 2, **fields)
        assert all(gateway.everywhere(lambda one: what(one.pool.settings)))

    def test_back_to_what_is_configured(self, make: Any) -> None:
        gateway = make()
        for weight in ("7", "1"):
            edit(gateway, lf=weight)
        assert gateway.everywhere(lambda one: one.member().factor) == [100] * 3
        assert gateway.everywhere(lambda one: one.balancer.saved().members)[0]

    def test_an_added_member_is_everywhere_and_one_tells_which(self, make: Any) -> None:
        gateway = make()
        made = edit(gateway, 2, b_wyes="1", b_nwrkr="scgi://user@127.0.0.1:9/")
        labels = [[m.label for m in one.pool.backends] for one in gateway.processes]
        assert labels[0] == labels[1] == labels[2]
        assert len(labels[0]) == 3
        _, member = _asserts.successResultOf(made)
        assert member is gateway.workers[1].member("9/")

    def test_all_problems_come_back_and_nothing_is_changed(self, make: Any) -> None:
        gateway = make()
        status, problems = refused(edit(gateway, lf="0", ls="x"))
        assert status == 400
        assert len(problems) == 2
        assert "w_lf" in problems[0]
        assert gateway.everywhere(lambda one: one.member().factor) == [100] * 3

    @pytest.mark.parametrize(
        ("fields", "status"),
        [({"nonce": "0" * 32}, 403), ({"nonce": ""}, 403), ({"w": "scgi://x"}, 404)],
    )
    def test_the_parent_refuses(self, make: Any, fields: Any, status: int) -> None:
        gateway = make()
        worker = gateway.workers[0]
        form = {"b": "b", "w": "scgi://127.0.0.1:1", "nonce": worker.balancer.nonce, "w_lf": "2"}
        made = worker.members.change([worker.balancer], {**form, **fields}, "")
        gateway.settle()
        assert refused(made)[0] == status

    @pytest.mark.parametrize(("form", "status"), [({}, 400), ({"b": "other"}, 404)])
    def test_a_balancer_that_is_not_to_be_seen_is_refused_at_once(
        self, make: Any, form: Any, status: int
    ) -> None:
        worker = make().workers[0]
        with pytest.raises(NotDone) as raised:
            worker.members.change([worker.balancer], form, "")
        assert raised.value.status == status

    def test_the_nonce_of_the_form_is_that_of_every_worker(self, make: Any) -> None:
        assert len(set(make(count=3).everywhere(lambda one: one.balancer.nonce))) == 1

    def test_is_answered_when_all_have_made_it(self, make: Any, told: list[str]) -> None:
        """One that hangs is waited for no longer than a second, and the log names it."""
        gateway = make()
        gateway.workers[1].pump.pump = lambda: False
        made = edit(gateway, D="1")
        assert gateway.workers[0].member().disabled
        _asserts.assertNoResult(made)
        gateway.pass_time(1.1)
        _asserts.successResultOf(made)
        assert told[-1].endswith("worker 2 has not made a change of a balancer within 1 s")

    def test_one_that_dies_meanwhile_is_not_waited_for(self, make: Any) -> None:
        gateway = make()
        other = gateway.workers[1]
        other.pump.pump = lambda: False
        made = edit(gateway, D="1")
        _asserts.assertNoResult(made)
        other.ends[0].stopReceivingBoxes(None)
        gateway.settle()
        _asserts.successResultOf(made)

    def test_without_a_parent_it_is_refused(self, make: Any) -> None:
        gateway = make()
        worker = gateway.workers[0]
        gateway.kill(worker)
        form = {"b": "b", "nonce": "", "w": "scgi://127.0.0.1:1", "w_lf": "2"}
        assert refused(worker.members.change([worker.balancer], form, ""))[0] == 503

    def test_are_logged_once(self, make: Any, told: list[str]) -> None:
        gateway = make(count=3)
        edit(gateway, D="1")
        assert [line for line in told if "disabled" in line] == [
            "scgi://127.0.0.1:1 of balancer://b: disabled (by somebody)"
        ]


class TestStart:
    def test_a_later_worker_has_everything(self, make: Any, told: list[str]) -> None:
        gateway = make()
        edit(gateway, N="1", lf="9")
        edit(gateway, b_lbm="bytraffic")
        edit(gateway, b_wyes="1", b_nwrkr="scgi://127.0.0.1:9")
        edit(gateway, w="scgi://127.0.0.1:9", max="3", D="0")
        gateway.workers[0].member(2).take()
        gateway.workers[0].member(2).give_back(ConnectFailed("gone"))
        gateway.settle()
        told.clear()
        late = gateway.start(2)
        gateway.settle()
        assert not told
        parent = gateway.parent
        for number in (1, 2, 9):
            original, copy = parent.member(number), late.member(number)
            assert late.balancer.fields_of(copy) == parent.balancer.fields_of(original)
            assert copy.condition is original.condition
            assert copy.settings == original.settings
        assert late.balancer.fields == parent.balancer.fields
        assert late.member(2).down_since == parent.member(2).down_since
        assert str(late.member(2).last_fault) == "gone"

    def test_counters_are_not_handed_on(self, make: Any) -> None:
        """Else those of a worker's predecessor would count twice."""
        gateway = make()
        gateway.parent.member().elected = 99
        assert gateway.start(3).member().elected == 0
        gateway.settle()
        assert gateway.workers[-1].member().elected == 0

    def test_preconnect_is_divided(self, make: Any) -> None:
        gateway = make(count=3)
        parts = [one.parts.readiness for one in gateway.processes]
        assert [(one.process, one.processes) for one in parts] == [(1, 1), (1, 3), (2, 3), (3, 3)]


class TestConditions:
    def test_a_failure_is_everybodys(self, make: Any, told: list[str]) -> None:
        gateway = make()
        one = gateway.workers[0].member()
        one.take()
        one.give_back(ConnectFailed("refused"))
        gateway.settle()
        assert gateway.everywhere(lambda p: p.member().condition) == [Condition.DOWN] * 3
        assert len(set(gateway.everywhere(lambda p: p.member().down_since))) == 1
        assert gateway.everywhere(lambda p: str(p.member().last_fault)) == ["refused"] * 3
        assert len([line for line in told if "is in error" in line]) == 1
        until = gateway.everywhere(lambda p: p.member().down_until - gateway.reactor.seconds())
        assert until == pytest.approx([5.0, 5.0, 5.02])

    def test_one_request_finds_out_for_all(self, make: Any, told: list[str]) -> None:
        gateway = make()
        first, second = (worker.member() for worker in gateway.workers)
        first.take()
        first.give_back(BadResponse("nonsense"))
        gateway.pass_time(5.01)
        now = gateway.reactor.seconds()
        assert first.usable(now)
        assert not second.usable(now)
        assert first.take()
        gateway.settle()
        gateway.pass_time(1.0)
        assert not second.usable(gateway.reactor.seconds())
        assert gateway.parent.member().condition is Condition.PROBATION
        first.answered()
        gateway.settle()
        assert gateway.everywhere(lambda p: p.member().condition) == [Condition.UP] * 3
        assert len(set(gateway.everywhere(lambda p: p.member().up_since))) == 1
        assert len([line for line in told if "is up again" in line]) == 1

    def test_whose_prober_dies_is_found_out_by_another(self, make: Any) -> None:
        gateway = make()
        first, second = (worker.member() for worker in gateway.workers)
        first.take()
        first.give_back(BadResponse("nonsense"))
        gateway.pass_time(5.5)
        first.take()
        gateway.settle()
        assert not second.usable(gateway.reactor.seconds())
        gateway.kill(gateway.workers[0])
        gateway.pass_time(0.02)
        assert second.usable(gateway.reactor.seconds())

    def test_a_request_that_did_not_find_out_leaves_it_to_another(self, make: Any) -> None:
        gateway = make()
        first, second = (worker.member() for worker in gateway.workers)
        first.take()
        first.give_back(BadResponse("nonsense"))
        gateway.pass_time(5.5)
        first.take()
        gateway.settle()
        first.give_back(probing=True)
        gateway.pass_time(0.02)
        assert second.usable(gateway.reactor.seconds())
        assert first.usable(gateway.reactor.seconds())

    def test_a_forced_recovery_is_everybodys(self, make: Any) -> None:
        gateway = make()
        worker = gateway.workers[0]
        for number in (1, 2):
            worker.member(number).take()
            worker.member(number).give_back(ConnectFailed("refused"))
        gateway.pass_time(0.02)
        assert worker.call().backend is not None
        gateway.pass_time(0.02)
        assert gateway.everywhere(lambda p: p.member().condition) == [Condition.RECOVERING] * 3

    def test_what_is_found_at_the_same_moment_ends_alike(self, make: Any) -> None:
        """One answers again while the other one fails: what the parent heard last counts."""
        gateway = make()
        first, second = (worker.member() for worker in gateway.workers)
        first.take()
        second.take()
        first.give_back(ConnectFailed("refused"))
        gateway.settle()
        gateway.pass_time(6)
        first.take()
        gateway.settle()
        gateway.pass_time(1)
        first.answered()
        second.give_back(BadResponse("cut off"))
        gateway.settle()
        gateway.pass_time(1)
        assert len(set(gateway.everywhere(lambda p: p.member().condition))) == 1

    def test_the_parents_check_is_everybodys(self, make: Any) -> None:
        gateway = make()
        original = gateway.parent.member()
        original.last_probe = ProbeResult(1000.0, False, "no", 0.5)
        original.checked(False)
        gateway.settle()
        assert gateway.everywhere(lambda p: p.member().check_failed) == [True] * 3
        assert gateway.everywhere(lambda p: p.member().last_probe.told) == ["no"] * 3
        original.checked(True)
        gateway.pass_time(0.1)
        assert gateway.everywhere(lambda p: p.member().check_failed) == [False] * 3

    def test_who_waits_for_a_member_is_served_when_it_is_up(self, make: Any) -> None:
        gateway = make(BALANCER.replace("growth=2", "growth=2 timeout=30 forcerecovery=Off"))
        for number in (1, 2):
            edit(gateway, w=f"scgi://127.0.0.1:{number}", C="1")
        call = gateway.workers[1].call()
        assert call.told == 0
        gateway.parent.member().checked(True)
        gateway.pass_time(0.1)
        assert call.backend is gateway.workers[1].member()

    def test_one_that_ignores_errors_is_told_of_at_intervals(self, make: Any) -> None:
        gateway = make()
        edit(gateway, I="1")
        sent: list[Any] = []
        worker = gateway.workers[0]
        tell = worker.link.tell
        worker.link.tell = lambda topic, value: (sent.append(topic), tell(topic, value))
        for _ in range(100):
            worker.member().take()
            worker.member().give_back(ConnectFailed("refused"))
            gateway.reactor.advance(0.0001)
        gateway.settle()
        assert 1 <= sent.count("members.found out") <= 3
        assert gateway.everywhere(lambda p: p.member().condition) == [Condition.UP] * 3

    def test_the_parent_looks_after_who_cannot_be_reached(self, make: Any) -> None:
        gateway = make()
        checks = gateway.parent.parts.checks
        checks.start()
        one = gateway.workers[0].member()
        one.take()
        one.give_back(ConnectFailed("refused"))
        gateway.pass_time(1.5)
        (dial,) = gateway.parent.dialer.open()
        dial.succeed()
        gateway.settle()
        now = gateway.reactor.seconds()
        assert all(worker.member().usable(now) for worker in gateway.workers)
        checks.stop()


class TestNames:
    def test_members_that_are_discovered(self, make: Any) -> None:
        gateway = make(
            "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://app.example discover=srv\n"
        )
        (discovery,) = gateway.parent.parts.balancing.discoveries
        found = [Found(TcpAddress(f"10.0.0.{n}", n), n, 2.0 * n, "x.example") for n in (1, 2)]
        discovery.take(tuple(found))
        discovery.on_found()
        gateway.settle()
        late = gateway.start(3)
        gateway.settle()
        for process in gateway.processes:
            assert [
                (one.label, one.lbset, one.factor, one.address) for one in process.pool.backends
            ] == [
                (f"scgi://10.0.0.{n}:{n}", n, 200 * n, TcpAddress(f"10.0.0.{n}", n)) for n in (1, 2)
            ]
        late.member(2).take()
        late.member(2).give_back(BadResponse("nonsense"))
        gateway.pass_time(0.02)
        assert gateway.everywhere(lambda p: p.member(2).condition) == [Condition.DOWN] * 4
        discovery.take(tuple(found[:1]))
        discovery.on_found()
        gateway.settle()
        assert gateway.everywhere(lambda p: len(p.pool.backends)) == [1] * 4

    def test_addresses_are_asked_for_by_the_parent_alone(self, make: Any) -> None:
        gateway = make("ProxyPass / scgi://app.example:7/\n")
        worker = gateway.workers[0]
        call = worker.call()
        assert call.told == 0
        worker.parts.resolver.start()
        address = TcpAddress("app.example", 7)
        known = gateway.parent.parts.resolver.hosts[address]
        known.addressResolved(IPv4Address("TCP", "10.0.0.1", 7))
        known.addressResolved(IPv6Address("TCP", "fe80::1", 7, 0, 3))
        known.resolutionComplete()
        gateway.settle()
        assert call.address == IPv4Address("TCP", "10.0.0.1", 7)
        late = gateway.start(3)
        gateway.settle()
        assert late.parts.resolver.hosts[address].current() == known.known

    def test_a_name_without_addresses_is_told_to_those_who_wait(self, make: Any) -> None:
        gateway = make("ProxyPass / scgi://app.example:7/\n")
        call = gateway.workers[0].call()
        gateway.parent.parts.resolver.hosts[TcpAddress("app.example", 7)].resolutionComplete()
        gateway.settle()
        assert "no address" in str(call.error)
