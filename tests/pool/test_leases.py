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

from scgiproxy.errors import BackendBusy, BadResponse, ConnectFailed
from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.pool.attempt import Stage
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Call, Scene
from tests.pool.test_resolve import Names

SETTINGS = st.builds(
    BackendSettings,
    max_connections=st.sampled_from([None, 1, 2]),
    acquire=st.sampled_from([None, 1.0]),
    retry=st.sampled_from([0.0, 2.0, 60.0]),
    lbset=st.sampled_from([0, 0, 1]),
    standby=st.sampled_from([False, False, True]),
    disabled=st.sampled_from([False, False, False, True]),
)
HOLDING = (Stage.RESOLVING, Stage.DIALLING, Stage.CONNECTED)


def rank(backend: Backend) -> tuple[int, bool]:
    return backend.settings.lbset, backend.settings.standby


class Leases(RuleBasedStateMachine):
    """Random calls, connections, failures, departures and times."""

    @initialize(
        members=st.lists(SETTINGS, min_size=1, max_size=3),
        balanced=st.booleans(),
        wait=st.sampled_from([0.0, 3.0]),
        force=st.booleans(),
        named=st.booleans(),
    )
    def begin(
        self,
        members: list[BackendSettings],
        balanced: bool,
        wait: float,
        force: bool,
        named: bool,
    ) -> None:
        if not balanced:
            members, wait = members[:1], 0.0
        self.names = Names()
        self.scene = Scene(
            *members,
            balanced=balanced,
            wait=wait,
            force_recovery=force,
            names=self.names,
            addresses=[
                TcpAddress(f"host{index}", 1) if named else UnixAddress(f"/{index}")
                for index in range(len(members))
            ],
        )
        self.calls: list[Call] = []

    @rule(at_once=st.booleans())
    def dispatch(self, at_once: bool) -> None:
        self.scene.dialer.at_once = at_once
        self.calls.append(self.scene.call())

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
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.calls)).dispatch.answered(200)

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
            assert call.told <= 1
            if call.dispatch.stage is Stage.CONNECTED or call.error is not None:
                assert call.told == 1

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        now = self.scene.clock.seconds()
        queued = [call for call in self.calls if call.dispatch.stage is Stage.QUEUED]
        assert len(queued) == self.scene.pool.queued
        for call in queued:
            open_to_it = [
                backend
                for backend in self.scene.backends
                if backend.usable(now) and backend not in call.dispatch.tried
            ]
            for backend in open_to_it:
                assert (
                    backend.full()
                    # A retry that has just come due is seen at the next tick.
                    or 0 < backend.down_until >= now - 0.125
                    # One of a better set or class is waited for.
                    or any(rank(other) < rank(backend) and other.full() for other in open_to_it)
                )

    def teardown(self) -> None:
        """When all have left, nothing is left of them."""
        if not hasattr(self, "scene"):
            return
        for call in self.calls:
            call.dispatch.cancel()
        assert self.scene.in_flight() == [0] * len(self.scene.backends)
        assert self.scene.pool.queued == 0
        assert len(self.scene.dialer.wheel) == 0
        assert self.scene.dialer.open() == []
        assert self.scene.clock.getDelayedCalls() == []


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
