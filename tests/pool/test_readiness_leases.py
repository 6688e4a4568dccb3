"""Whatever happens to requests and to connections that are kept ready: `max` holds, and all is given
back."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scgiproxy.errors import TruncatedResponse
from scgiproxy.pool.place import Stage
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Call, Dial
from tests.pool.keeping import GetRequest, Keeping, KeptEnd, PostRequest

GONE = TruncatedResponse("it closed")


class Requests(RuleBasedStateMachine):
    """The test is the clients, the backends and the clock."""

    keeping: Keeping

    @initialize(
        counts=st.lists(st.integers(0, 4), min_size=1, max_size=3),
        most=st.sampled_from([None, 1, 2, 4]),
        balanced=st.booleans(),
    )
    def begin(self, counts: list[int], most: int | None, balanced: bool) -> None:
        members = [BackendSettings(preconnect=one, max_connections=most) for one in counts]
        self.keeping = Keeping(*members[: None if balanced else 1], balanced=balanced)
        self.most = most
        self.calls: list[Call] = []

    @rule(post=st.booleans())
    def ask(self, post: bool) -> None:
        self.calls.append(self.keeping.scene.call(PostRequest() if post else GetRequest()))

    @precondition(lambda self: self.keeping.dialer.open())
    @rule(data=st.data(), works=st.booleans())
    def answer_dial(self, data: st.DataObject, works: bool) -> None:
        dial: Dial = data.draw(st.sampled_from(self.keeping.dialer.open()))
        if works:
            self.keeping.ends.append(KeptEnd(dial, self.keeping.clock, 0))
        else:
            dial.fail()

    @precondition(lambda self: self.connected)
    @rule(data=st.data(), how=st.sampled_from(["release", "fault", "cancel", "retry"]))
    def end(self, data: st.DataObject, how: str) -> None:
        dispatch = data.draw(st.sampled_from(self.connected)).dispatch
        if how == "cancel":
            dispatch.cancel()
        elif how != "retry" or not dispatch.retry(GONE):
            dispatch.release(None if how == "release" else GONE)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.calls)).dispatch.cancel()

    @precondition(lambda self: self.idle)
    @rule(data=st.data(), how=st.sampled_from(["close", "unnoticed", "bytes"]))
    def backend_acts(self, data: st.DataObject, how: str) -> None:
        end: KeptEnd = data.draw(st.sampled_from(self.idle))
        if how == "close":
            end.close()
        elif how == "bytes":
            end.transport.deliver(b"x")
        else:
            end.close_unnoticed()

    @rule(seconds=st.sampled_from([0.0, 0.125, 1.0, 2.5, 31.0]))
    def wait(self, seconds: float) -> None:
        self.keeping.clock.advance(seconds)

    @rule(data=st.data(), flag=st.sampled_from(["disabled", "draining", "check_failed"]))
    def change(self, data: st.DataObject, flag: str) -> None:
        backend = data.draw(st.sampled_from(self.keeping.backends))
        setattr(backend, flag, not getattr(backend, flag))

    @rule(again=st.booleans())
    def stop(self, again: bool) -> None:
        self.keeping.readiness.stop()
        if again:
            self.keeping.readiness.start()

    @property
    def connected(self) -> list[Call]:
        return [call for call in self.calls if call.dispatch.stage is Stage.CONNECTED]

    @property
    def idle(self) -> list[KeptEnd]:
        """The ends that are kept ready."""
        kept = [
            one
            for route in self.keeping.scene.pool.routes.values()
            if route.ready is not None
            for one in route.ready._ready
        ]
        return [end for end in self.keeping.ends if end.protocol in kept]

    @invariant()
    def max_holds(self) -> None:
        """Connections that are kept, that are being made for that, and those of requests."""
        for backend, route in self.keeping.scene.pool.routes.items():
            ready = route.ready
            if ready is not None and self.most is not None:
                assert backend.in_flight + len(ready) + len(ready._attempts) <= self.most

    @invariant()
    def places_are_those_of_the_calls(self) -> None:
        busy = (Stage.CONNECTED, Stage.DIALLING, Stage.RESOLVING)
        held = [call for call in self.calls if call.dispatch.stage in busy]
        assert sum(self.keeping.scene.in_flight()) == len(held)

    def teardown(self) -> None:
        if not hasattr(self, "keeping"):
            return
        idle = self.idle
        self.keeping.readiness.stop()
        assert all(not end.open for end in idle)
        for call in self.calls:
            call.dispatch.cancel()
        assert sum(self.keeping.scene.in_flight()) == 0
        assert self.keeping.dialer.open() == []
        assert len(self.keeping.dialer.wheel) == 0


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=100, stateful_step_count=40)
