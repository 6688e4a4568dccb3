"""A pool gives each call a connection, or every reason why not."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from scgiproxy.errors import (
    BackendBusy,
    BadResponse,
    ConnectFailed,
    NameNotFound,
    QueueTimeout,
    Unavailable,
)
from scgiproxy.interfaces import ICall, IDeadline
from scgiproxy.message.backend_url import TcpAddress, UnixAddress
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.place import Stage
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import BalancerSettings
from tests.conftest import LoggedErrors
from tests.pool.fakes import Call, Scene
from tests.pool.test_resolve import Names, hosts

S = BackendSettings


def alone(**settings: object) -> Scene:
    return Scene(S(**settings), balanced=False)  # type: ignore[arg-type]


class TestAlone:
    """One backend, no balancer."""

    def test_interfaces(self) -> None:
        call = alone().call()
        assert verifyObject(ICall, call)
        assert verifyObject(IDeadline, call.dispatch)

    def test_a_connection(self) -> None:
        scene = alone()
        call = scene.call()
        assert call.told == 0
        protocol = scene.dialer.dials[0].succeed()
        assert protocol is not None
        assert (call.backend, call.error, call.told) == (scene.backends[0], None, 1)
        assert call.address == scene.dialer.dials[0].address
        assert scene.in_flight() == [1]
        call.dispatch.release()
        assert scene.in_flight() == [0]

    def test_a_connection_before_dispatch_returns(self) -> None:
        scene = alone()
        scene.dialer.at_once = True
        call = scene.call()
        assert call.told == 1
        assert call.dispatch.stage is Stage.CONNECTED
        call.dispatch.release(sent=10, received=20)
        assert (scene.backends[0].bytes_sent, scene.backends[0].bytes_received) == (10, 20)

    def test_no_timer_and_no_queue_on_the_way(self) -> None:
        scene = alone()
        scene.dialer.at_once = True
        call = scene.call()
        assert scene.clock.getDelayedCalls() == []
        call.dispatch.release()
        assert len(scene.dialer.wheel) == 0

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            (S(), 60.0),
            (S(timeout=5.0), 5.0),
            (S(timeout=5.0, connect_timeout=2.0), 2.0),
            (S(connect_timeout=2.0), 2.0),
        ],
    )
    def test_timeouts(self, settings: BackendSettings, expected: float) -> None:
        scene = Scene(settings, balanced=False)
        scene.call()
        assert scene.dialer.dials[0].timeout == expected

    def test_options(self) -> None:
        scene = alone(keepalive=True)
        scene.call()
        assert scene.dialer.dials[0].options == {"keepalive": True, "wait_for_backlog": True}

    def test_failure_says_which_and_why(self) -> None:
        scene = alone()
        call = scene.call()
        reason = ConnectFailed("nobody listens")
        scene.fail(reason)
        assert type(call.error) is Unavailable
        assert str(call.error) == "unix:/a|scgi://a: nobody listens"
        assert call.error.reasons == (reason,)
        assert scene.in_flight() == [0]

    def test_each_request_tries_again(self) -> None:
        scene = alone()
        for _ in range(3):
            scene.call()
            scene.fail()
        assert scene.backends[0].errors == 3

    def test_disabled(self) -> None:
        """status=D: 503 without a connection."""
        scene = alone(disabled=True)
        call = scene.call()
        assert isinstance(call.error, Unavailable)
        assert str(call.error) == "unix:/a|scgi://a: it is disabled"
        assert scene.dialer.dials == []

    def test_no_variables(self) -> None:
        scene = alone()
        scene.dialer.at_once = True
        assert scene.call().dispatch.environment() == {}

    def test_releasing_twice_gives_back_once(self) -> None:
        scene = alone()
        scene.dialer.at_once = True
        one, other = scene.call(), scene.call()
        one.dispatch.release()
        one.dispatch.release(BadResponse("x"))
        one.dispatch.cancel()
        assert scene.in_flight() == [1]
        assert scene.backends[0].errors == 0
        other.dispatch.release()

    def test_a_call_that_raises(self, logged_errors: LoggedErrors) -> None:
        class Broken(Call):
            def connected(self, backend: object, address: object) -> None:  # type: ignore[override]
                raise RuntimeError("cannot")

        scene = alone()
        call = Broken()
        scene.pool.dispatch(call)
        assert scene.dialer.dials[0].succeed() is None
        assert isinstance(call.error, Unavailable)
        assert scene.in_flight() == [0]
        assert len(logged_errors.flush()) == 1

    def test_a_call_that_raises_at_the_bad_news(self, logged_errors: LoggedErrors) -> None:
        class Broken(Call):
            def dispatch_failed(self, error: object) -> None:
                raise RuntimeError("cannot")

        scene = alone(disabled=True)
        scene.pool.dispatch(Broken())
        assert len(logged_errors.flush()) == 1

    def test_what_does_not_fit_together(self) -> None:
        scene = alone()
        options = {"dialer": scene.dialer, "resolver": scene.resolver}
        with pytest.raises(ValueError, match="is no balancer"):
            Pool("x", scene.backends * 2, **options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="members"):
            Pool("x", scene.backends, settings=BalancerSettings(), **options)  # type: ignore[arg-type]

    def test_repr(self) -> None:
        scene = alone(max_connections=1)
        call, waiting = scene.call(), scene.call()
        assert repr(scene.pool).endswith("1 elected, 0 errors>; 1 waiting>")
        assert "dialling" in repr(call.dispatch)
        assert repr(waiting.dispatch) == "<Dispatch queued, no backend>"


class TestQueue:
    """`max` and `acquire`."""

    def test_first_come_first_served(self) -> None:
        scene = alone(max_connections=2)
        scene.dialer.at_once = True
        calls = [scene.call() for _ in range(5)]
        assert [call.told for call in calls] == [1, 1, 0, 0, 0]
        calls[1].dispatch.release()
        assert [call.told for call in calls] == [1, 1, 1, 0, 0]
        late = scene.call()
        calls[0].dispatch.release(BadResponse("x"))
        assert [call.told for call in (*calls, late)] == [1, 1, 1, 1, 0, 0]
        assert scene.in_flight() == [2]
        for call in (*calls[2:], late):
            call.dispatch.release()
        assert scene.in_flight() == [0]

    def test_a_failed_attempt_frees_its_place(self) -> None:
        scene = alone(max_connections=1)
        scene.call()
        waiting = scene.call()
        scene.fail()
        assert waiting.dispatch.stage is Stage.DIALLING
        scene.fail()
        assert isinstance(waiting.error, Unavailable)
        assert scene.in_flight() == [0]

    def test_a_cancelled_attempt_frees_its_place(self) -> None:
        scene = alone(max_connections=1)
        call, waiting = scene.call(), scene.call()
        call.dispatch.cancel()
        assert scene.dialer.dials[0].stopped
        assert waiting.dispatch.stage is Stage.DIALLING
        assert call.told == 0

    def test_acquire(self) -> None:
        scene = alone(max_connections=1, acquire=2.0)
        call = scene.call()
        scene.clock.advance(1)
        waiting = scene.call()
        scene.clock.advance(1.9)
        assert waiting.told == 0
        scene.clock.advance(0.3)
        assert type(waiting.error) is QueueTimeout
        assert "max=1" in str(waiting.error)
        assert scene.backends[0].errors == 0
        assert scene.clock.getDelayedCalls() == []
        call.dispatch.cancel()
        assert scene.in_flight() == [0]

    def test_without_acquire_one_waits_for_ever(self) -> None:
        scene = alone(max_connections=1)
        scene.call()
        waiting = scene.call()
        scene.clock.advance(1e6)
        assert waiting.told == 0
        assert scene.clock.getDelayedCalls() == []

    def test_leaving_the_queue(self) -> None:
        scene = alone(max_connections=1, acquire=2.0)
        call, waiting, last = scene.call(), scene.call(), scene.call()
        waiting.dispatch.cancel()
        call.dispatch.cancel()
        assert waiting.told == 0
        assert last.dispatch.stage is Stage.DIALLING
        assert scene.clock.getDelayedCalls() == []

    def test_a_long_queue_of_short_exchanges_does_not_recurse(self) -> None:
        class Short(Call):
            def connected(self, backend: object, address: object) -> object:  # type: ignore[override]
                super().connected(backend, address)
                self.dispatch.release()

        scene = alone(max_connections=1)
        scene.dialer.at_once = True
        first = scene.call()
        queue = [Short() for _ in range(3000)]
        for call in queue:
            scene.pool.dispatch(call)
        first.dispatch.release()
        assert {call.told for call in queue} == {1}
        assert scene.in_flight() == [0]

    def test_a_member_that_is_full_leaves_the_others_their_turn(self) -> None:
        """A request that has failed elsewhere waits; those behind it may go where it has been."""
        scene = Scene(S(max_connections=1, retry=0.0), S(max_connections=1), force_recovery=False)
        first, second = scene.call(), scene.call()
        assert scene.in_flight() == [1, 1]
        scene.dialer.dials[0].fail()
        assert first.dispatch.stage is Stage.QUEUED
        third = scene.call()
        assert third.dispatch.backend is scene.backends[0]
        fourth = scene.call()
        third.dispatch.cancel()
        assert fourth.dispatch.backend is scene.backends[0]
        second.dispatch.cancel()
        assert first.dispatch.backend is scene.backends[1]

    def test_one_that_has_been_elsewhere_is_served_before_the_first(self) -> None:
        """The first waits for a better member; the second has tried that one already."""
        scene = Scene(
            S(max_connections=1, retry=0.0),
            S(max_connections=1, lbset=1),
            force_recovery=False,
        )
        failing = scene.call()
        scene.pool.backends[0].limit = 2
        holding = scene.call()
        scene.pool.backends[0].limit = 1
        busy = scene.call()
        busy.dispatch.cancel()
        scene.backends[1].take()
        first = scene.call()
        scene.dialer.dials[0].fail(BackendBusy("full"))
        assert (first.dispatch.stage, failing.dispatch.stage) == (Stage.QUEUED, Stage.QUEUED)
        scene.backends[1].give_back()
        scene.pool.drain()
        assert failing.dispatch.backend is scene.backends[1]
        assert first.dispatch.stage is Stage.QUEUED
        holding.dispatch.cancel()
        assert first.dispatch.backend is scene.backends[0]

    def test_a_retry_that_comes_due_ends_the_wait(self) -> None:
        """Waiting for a place at one member, while a better one comes back."""
        scene = Scene(S(retry=2.0), S(max_connections=1, lbset=1), force_recovery=False)
        scene.call()
        scene.fail()
        waiting, behind = scene.call(), scene.call()
        assert waiting.dispatch.stage is Stage.QUEUED
        waiting.dispatch.cancel()
        scene.clock.advance(2.2)
        assert behind.dispatch.backend is scene.backends[0]

    def test_a_timeout_in_the_queue_after_a_failure_has_both_reasons(self) -> None:
        scene = Scene(S(), S(max_connections=1, acquire=1.0))
        calls = [scene.call() for _ in range(3)]
        scene.dialer.dials[0].fail(ConnectFailed("first"))
        scene.dialer.dials[2].stopConnecting()
        scene.clock.advance(2)
        error = calls[0].error
        assert isinstance(error, Unavailable)
        assert [type(reason) for reason in error.reasons] == [ConnectFailed, QueueTimeout]


class TestBalancer:
    """Several members."""

    def test_sequence(self) -> None:
        scene = Scene(S(load_factor=3), S(load_factor=2))
        assert " ".join(scene.serve() for _ in range(11)) == "a b a b a a b a b a a"

    def test_failover(self) -> None:
        """The failed member is left alone until its retry; one request then finds out."""
        scene = Scene(S(retry=10.0), S())
        call = scene.call()
        assert scene.fail() == "a"
        assert scene.where() == "b"
        scene.dialer.open()[0].succeed()
        call.dispatch.release()
        assert call.told == 1
        assert "".join(scene.serve() for _ in range(4)) == "bbbb"
        scene.clock.advance(10)
        assert "a" in "".join(scene.serve() for _ in range(3))

    def test_one_request_probes_while_others_go_elsewhere(self) -> None:
        scene = Scene(S(retry=1.0, load_factor=100), S())
        scene.call()
        scene.fail()
        scene.clock.advance(1)
        scene.dialer.at_once = True
        probe = scene.call()
        assert probe.backend is scene.backends[0]
        assert [scene.call().backend for _ in range(3)] == [scene.backends[1]] * 3
        probe.dispatch.answered(200)
        assert scene.call().backend is scene.backends[0]

    def test_a_bad_answer_puts_a_member_in_error(self) -> None:
        scene = Scene(S(), S())
        assert scene.serve(BadResponse("x")) == "a"
        assert "".join(scene.serve() for _ in range(3)) == "bbb"

    def test_a_client_that_leaves_does_not(self) -> None:
        scene = Scene(S(), S())
        scene.dialer.at_once = True
        scene.call().dispatch.cancel()
        assert "".join(scene.serve() for _ in range(4)) == "baba"
        assert [backend.errors for backend in scene.backends] == [0, 0]

    def test_busy_goes_elsewhere_and_does_not_count(self) -> None:
        """A full listen queue: at once to another member, patiently when there is none left."""
        scene = Scene(S(), S())
        call = scene.call()
        assert scene.dialer.dials[0].options["wait_for_backlog"] is False
        scene.fail(BackendBusy("full"))
        assert scene.where() == "b"
        assert scene.dialer.dials[1].options["wait_for_backlog"] is True
        call.dispatch.cancel()
        assert "".join(scene.serve() for _ in range(2)) in ("ab", "ba")

    def test_every_reason_is_kept(self) -> None:
        scene = Scene(S(), S(), S(standby=True))
        call = scene.call()
        reasons = [ConnectFailed(name) for name in "abc"]
        assert [scene.fail(reason) for reason in reasons] == ["a", "b", "c"]
        assert isinstance(call.error, Unavailable)
        assert call.error.reasons == tuple(reasons)
        assert str(call.error) == "no member of balancer://app could be used: a; b; c"
        assert call.told == 1

    @pytest.mark.parametrize(("attempts", "tried"), [(None, 3), (0, 1), (1, 2), (9, 3)])
    def test_maxattempts_is_additional_tries(self, attempts: int | None, tried: int) -> None:
        scene = Scene(S(), S(), S(), max_attempts=attempts)
        call = scene.call()
        while scene.dialer.open():
            scene.fail()
        assert len(scene.dialer.dials) == tried
        assert call.error is not None

    def test_no_force(self) -> None:
        """Two members down, forcerecovery Off: tried once, then 503 without a connection."""
        scene = Scene(S(retry=2.0), S(retry=2.0), force_recovery=False)
        scene.call()
        scene.fail()
        scene.fail()
        dials = len(scene.dialer.dials)
        call = scene.call()
        assert str(call.error) == (
            "no member of balancer://app could be used: unix:/a|scgi://a is in error for 2 s more,"
            " unix:/b|scgi://b is in error for 2 s more"
        )
        assert len(scene.dialer.dials) == dials
        scene.clock.advance(2)
        assert scene.serve() in "ab"

    def test_force(self) -> None:
        scene = Scene(S(), S())
        for _ in range(2):
            scene.call()
            scene.fail()
            scene.fail()
        assert len(scene.dialer.dials) == 4

    def test_waiting_for_a_member(self) -> None:
        """A balancer's timeout: 503 only after it."""
        scene = Scene(S(disabled=True), wait=2.0)
        call = scene.call()
        scene.clock.advance(1.9)
        assert call.told == 0
        scene.clock.advance(0.3)
        assert isinstance(call.error, Unavailable)
        assert "is disabled" in str(call.error)
        assert scene.clock.getDelayedCalls() == []

    def test_waiting_ends_when_a_retry_is_due(self) -> None:
        scene = Scene(S(retry=1.0), wait=5.0, force_recovery=False)
        scene.call()
        scene.fail()
        call = scene.call()
        assert scene.dialer.open() == []
        scene.clock.advance(1.2)
        assert scene.where() == "a"
        scene.dialer.open()[0].succeed()
        assert call.told == 1

    def test_waiting_ends_when_a_probe_is_answered(self) -> None:
        scene = Scene(S(retry=1.0), wait=5.0, force_recovery=False)
        scene.dialer.at_once = True
        scene.call().dispatch.release(BadResponse("x"))
        scene.clock.advance(1)
        probe, waiting = scene.call(), scene.call()
        assert (probe.told, waiting.told) == (1, 0)
        probe.dispatch.answered(200)
        assert waiting.told == 1

    def test_waiting_can_be_cancelled(self) -> None:
        scene = Scene(S(disabled=True), wait=2.0)
        call = scene.call()
        call.dispatch.cancel()
        assert scene.clock.getDelayedCalls() == []
        assert call.told == 0

    def test_variables(self) -> None:
        scene = Scene(S(route=b"r1"), S())
        scene.dialer.at_once = True
        assert scene.call().dispatch.environment() == {
            b"BALANCER_NAME": b"balancer://app",
            b"BALANCER_WORKER_NAME": b"scgi://a",
            b"BALANCER_WORKER_ROUTE": b"r1",
        }
        assert scene.call().dispatch.environment()[b"BALANCER_WORKER_ROUTE"] == b""

    def test_no_members(self) -> None:
        assert str(Scene().call().error) == (
            "no member of balancer://app could be used: it has no member"
        )


class TestNames:
    """Backends with host names, and several addresses."""

    def scene(self, **options: object) -> tuple[Scene, Names]:
        names = Names()
        scene = Scene(
            S(),
            balanced=False,
            names=names,
            addresses=[TcpAddress("app", 4000)],
            **options,
        )
        return scene, names

    def test_the_first_request_waits(self) -> None:
        scene, names = self.scene()
        call = scene.call()
        assert call.dispatch.stage is Stage.RESOLVING
        names.questions[0].answer("192.0.2.1")
        assert hosts([scene.dialer.dials[0].address]) == ["192.0.2.1"]
        assert scene.clock.getDelayedCalls() == []
        scene.dialer.dials[0].succeed()
        assert call.told == 1

    def test_each_address_is_tried(self) -> None:
        """And the one that works comes first for the next request."""
        scene, names = self.scene()
        call = scene.call()
        names.questions[0].answer("2001:db8::1", "192.0.2.1", "192.0.2.2")
        scene.dialer.dials[0].fail(ConnectFailed("first"))
        scene.dialer.dials[1].succeed()
        assert call.told == 1
        assert scene.backends[0].errors == 0
        assert scene.backends[0].elected == 1
        scene.call()
        assert hosts([scene.dialer.dials[2].address]) == ["192.0.2.1"]

    def test_all_addresses_fail(self) -> None:
        scene, names = self.scene()
        call = scene.call()
        names.questions[0].answer("192.0.2.1", "192.0.2.2")
        scene.dialer.dials[0].fail(ConnectFailed("first"))
        scene.dialer.dials[1].fail(ConnectFailed("second"))
        assert str(call.error) == "unix:/a|scgi://a: first; second"
        assert scene.backends[0].errors == 1

    def test_a_name_without_addresses_is_not_the_backends_fault(self) -> None:
        scene, names = self.scene()
        call = scene.call()
        names.questions[0].answer()
        assert isinstance(call.error, Unavailable)
        assert isinstance(call.error.reasons[0], NameNotFound)
        assert (scene.backends[0].errors, scene.in_flight()) == (0, [0])
        again = scene.call()
        names.advance(0)
        assert again.error is not None
        assert len(names.questions) == 1

    def test_a_name_server_that_does_not_answer(self) -> None:
        scene, _ = self.scene(connect_timeout=3.0)
        call = scene.call()
        scene.clock.advance(3.2)
        assert "within 3 s" in str(call.error)
        assert scene.in_flight() == [0]

    def test_leaving_while_the_name_is_asked_for(self) -> None:
        scene, names = self.scene()
        call = scene.call()
        call.dispatch.cancel()
        names.questions[0].answer("192.0.2.1")
        assert (call.told, scene.dialer.dials, scene.in_flight()) == (0, [], [0])
        assert scene.clock.getDelayedCalls() == []

    def test_failover_to_a_member_with_an_address(self) -> None:
        names = Names()
        scene = Scene(S(), S(), names=names, addresses=[TcpAddress("gone", 1), UnixAddress("/b")])
        call = scene.call()
        names.questions[0].answer()
        assert scene.where() == "b"
        scene.dialer.open()[0].succeed()
        assert call.told == 1
