"""Whatever happens to the calls of a pool, no place is lost, and none is given twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from scgiproxy.errors import BackendBusy, BadResponse, ConnectFailed, TruncatedResponse
from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.place import Stage
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from scgiproxy.rules.sticky import redirect_chain
from tests.pool.fakes import Call, Request, Scene
from tests.pool.test_resolve import Names

SETTINGS = st.builds(
    BackendSettings,
    max_connections=st.sampled_from([None, 1, 2]),
    acquire=st.sampled_from([None, 1.0]),
    retry=st.sampled_from([0.0, 2.0, 60.0]),
    lbset=st.sampled_from([0, 0, 1]),
    standby=st.sampled_from([False, False, True]),
    spare=st.sampled_from([False, False, False, True]),
    draining=st.sampled_from([False, False, False, True]),
    disabled=st.sampled_from([False, False, False, True]),
    route=st.sampled_from([b"", b"r1", b"r2"]),
    redirect=st.sampled_from([b"", b"", b"r1", b"r2"]),
    eject_rate=st.sampled_from([None, None, 0.5]),
)
HOLDING = (Stage.RESOLVING, Stage.DIALLING, Stage.CONNECTED)


def rank(backend: Backend) -> tuple[int, bool, bool]:
    return backend.lbset, backend.standby, backend.spare


class Leases(RuleBasedStateMachine):
    """Random calls, connections, failures, departures and times."""

    @initialize(
        members=st.lists(SETTINGS, min_size=1, max_size=3),
        balanced=st.booleans(),
        wait=st.sampled_from([0.0, 3.0]),
        force=st.booleans(),
        named=st.booleans(),
        most=st.sampled_from([None, None, 0, 1]),
        bound=st.booleans(),
        statuses=st.sampled_from([frozenset[int](), frozenset((503,))]),
    )
    def begin(
        self,
        members: list[BackendSettings],
        balanced: bool,
        wait: float,
        force: bool,
        named: bool,
        most: int | None,
        bound: bool,
        statuses: frozenset[int],
    ) -> None:
        if not balanced:
            members, wait = members[:1], 0.0
        self.names = Names()
        self.scene = Scene(
            *members,
            balanced=balanced,
            wait=wait,
            force_recovery=force,
            max_attempts=most,
            no_failover=bound,
            fail_on_status=statuses,
            sticky=Sticky(b"SID", b""),
            names=self.names,
            addresses=[
                TcpAddress(f"host{index}", 1) if named else UnixAddress(f"/{index}")
                for index in range(len(members))
            ],
        )
        self.calls: list[Call] = []
        self.repeated: dict[Call, int] = {}

    @rule(at_once=st.booleans(), route=st.sampled_from([None, None, b"r1", b"r2", b"r3"]))
    def dispatch(self, at_once: bool, route: bytes | None) -> None:
        self.scene.dialer.at_once = at_once
        cookie = None if route is None else b"SID=x." + route
        self.calls.append(self.scene.call(Request(cookie=cookie)))

    @precondition(lambda self: self.scene.dialer.open())
    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.scene.dialer.open())).succeed()

    @precondition(lambda self: self.scene.dialer.open())
    @rule(data=st.data(), kind=st.sampled_from([ConnectFailed, BackendBusy]))
    def fail(self, data: st.DataObject, kind: type[ConnectFailed]) -> None:
        data.draw(st.sampled_from(self.scene.dialer.open())).fail(kind("x"))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.calls)).dispatch.cancel()

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), fault=st.sampled_from([None, BadResponse("x")]))
    def release(self, data: st.DataObject, fault: BadResponse | None) -> None:
        data.draw(st.sampled_from(self.calls)).dispatch.release(fault)

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), at_once=st.booleans())
    def retry(self, data: st.DataObject, at_once: bool) -> None:
        self.scene.dialer.at_once = at_once
        call = data.draw(st.sampled_from(self.calls))
        before = call.told, call.dispatch.stage, call.dispatch.backend
        if call.dispatch.retry(TruncatedResponse("gone")):
            self.repeated[call] = self.repeated.get(call, 0) + 1
            assert before[1] is Stage.CONNECTED
            assert call.dispatch.backend is not before[2]
        else:
            assert (call.told, call.dispatch.stage, call.dispatch.backend) == before

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), status=st.sampled_from([200, 503]))
    def answer(self, data: st.DataObject, status: int) -> None:
        data.draw(st.sampled_from(self.calls)).dispatch.answered(status)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.5, 70.0]))
    def advance(self, seconds: float) -> None:
        self.scene.clock.advance(seconds)
        self.names.advance(seconds)

    @precondition(lambda self: self.names.questions)
    @rule(data=st.data(), count=st.integers(0, 2))
    def resolve(self, data: st.DataObject, count: int) -> None:
        question = data.draw(st.sampled_from(self.names.questions))
        self.names.questions.remove(question)
        question.answer(*[f"192.0.2.{number}" for number in range(count)])

    @invariant()
    def places_are_those_of_the_calls_that_hold_one(self) -> None:
        for backend in self.scene.backends:
            holding = [call for call in self.calls if call.dispatch.backend is backend]
            assert backend.in_flight == len(holding)
            assert backend.limit is None or backend.in_flight <= backend.limit
            assert {call.dispatch.stage for call in holding} <= set(HOLDING)

    @invariant()
    def each_call_is_told_at_most_once(self) -> None:
        for call in self.calls:
            due = 1 + self.repeated.get(call, 0)
            assert call.told <= due
            if call.dispatch.stage is Stage.CONNECTED or call.error is not None:
                assert call.told == due

    @invariant()
    def repeated_requests_are_counted(self) -> None:
        under_way = sum(
            count for call, count in self.repeated.items() if call.dispatch.stage is not Stage.ENDED
        )
        assert self.scene.pool.budget.repeated == under_way

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        now = self.scene.clock.seconds()
        queued = [call for call in self.calls if call.dispatch.stage is Stage.QUEUED]
        assert len(queued) == self.scene.pool.queued
        for call in queued:
            open_to_it = self.open_to(call, now)
            for backend in open_to_it:
                assert (
                    backend.full()
                    # A retry that has just come due is seen at the next tick.
                    or 0 < backend.down_until >= now - 0.125
                    # One of a better set or class is waited for.
                    or any(rank(other) < rank(backend) and other.full() for other in open_to_it)
                )

    def open_to(self, call: Call, now: float) -> list[Backend]:
        """The members that may serve it; its session's, if that has one."""
        usable = [
            backend
            for backend in self.scene.backends
            if backend.usable(now) and backend not in call.dispatch.tried
        ]
        session = call.dispatch.session
        if session is not None:
            members = sorted(self.scene.backends, key=lambda one: one.standby)
            own = redirect_chain(members, session.route, lambda one: one in usable)
            if own is not None:
                return [own]
            routes = {one.route for one in members}
            if session.route in routes and self.scene.pool.settings.no_failover:
                return []
        found = [backend for backend in usable if not backend.draining]
        return [one for one in found if not one.spare or one.standby or self.is_needed(one, found)]

    def is_needed(self, spare: Backend, found: list[Backend]) -> bool:
        """It is for one of its set that is out, and no spare before it is."""
        same = [one for one in self.scene.backends if one.lbset == spare.lbset and not one.standby]
        out = [one for one in same if not one.spare and one not in found]
        spares = [one for one in same if one.spare and one in found]
        return spare in spares[: len(out)]

    def teardown(self) -> None:
        """When all have left, nothing is left of them."""
        if not hasattr(self, "scene"):
            return
        for call in self.calls:
            call.dispatch.cancel()
        assert self.scene.in_flight() == [0] * len(self.scene.backends)
        assert self.scene.pool.queued == 0
        assert self.scene.pool.budget.repeated == 0
        assert len(self.scene.dialer.wheel) == 0
        assert self.scene.dialer.open() == []
        assert self.scene.clock.getDelayedCalls() == []


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=150, stateful_step_count=40)
