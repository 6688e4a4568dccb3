"""What is kept ready, when, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport

from scgiproxy.errors import ConnectFailed, TruncatedResponse
from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.readiness import AT_ONCE, FIRST_PAUSE, LONGEST_IDLE, LONGEST_PAUSE
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Call
from tests.pool.keeping import GetRequest, Keeping, KeptEnd, PostRequest
from tests.pool.probing import put_in_error
from tests.pool.test_resolve import Names

GONE = TruncatedResponse("it closed")
REFUSED = ConnectFailed("nobody there")


def kept(count: int = 2, **settings: Any) -> BackendSettings:
    return BackendSettings(preconnect=count, **settings)


@pytest.fixture(autouse=True)
def all_is_given_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After `stop` nothing is left of any of them."""
    made: list[Keeping] = []
    original = Keeping.__init__

    def note(self: Keeping, *settings: Any, **options: Any) -> None:
        original(self, *settings, **options)
        made.append(self)

    monkeypatch.setattr(Keeping, "__init__", note)
    yield
    for keeping in made:
        keeping.readiness.stop()
        in_use = {id(end) for end in keeping.ends if type(end.protocol) is Protocol}
        assert not [end for end in keeping.ends if end.open and id(end) not in in_use]
        keeping.turn()
        assert not keeping.dialer.open()
        assert len(keeping.dialer.wheel) == 0
        assert not keeping.clock.getDelayedCalls()


# -- making them -------------------------------------------------------------------------------


def test_nothing_happens_before_the_start() -> None:
    keeping = Keeping(kept(), start=False)
    keeping.readiness.update()
    keeping.turn()
    assert keeping.dialer.dials == []
    assert keeping.scene.pool.routes[keeping.backends[0]].ready is None
    keeping.readiness.start()
    assert keeping.dialer.dials == []
    keeping.accept()
    assert len(keeping.ready()) == 2


def test_only_who_says_so_has_any() -> None:
    keeping = Keeping(kept(3), kept(0))
    keeping.accept()
    assert [end.name for end in keeping.ends] == ["a"] * 3
    assert keeping.scene.pool.routes[keeping.backends[1]].ready is None


@pytest.mark.parametrize("balanced", [True, False])
def test_members_and_backends_that_stand_alone(balanced: bool) -> None:
    keeping = Keeping(kept(), balanced=balanced)
    keeping.accept()
    assert len(keeping.ready()) == 2
    call = keeping.scene.call(GetRequest())
    assert call.backend is keeping.backends[0]
    assert call.dispatch.kept


def test_many_are_made_a_few_at_a_time() -> None:
    keeping = Keeping(kept(3 * AT_ONCE))
    keeping.turn()
    assert len(keeping.dialer.open()) == AT_ONCE
    keeping.dialer.open()[0].succeed().makeConnection(StringTransport())
    keeping.turn()
    assert len(keeping.dialer.open()) == AT_ONCE


def test_those_that_are_up_at_once() -> None:
    """As on the same machine."""
    keeping = Keeping(kept(AT_ONCE + 1))

    def dial(*words: Any, **named: Any) -> Any:
        made = original(*words, **named)
        keeping.ends.append(KeptEnd(made, keeping.clock, len(keeping.ends) + 1))
        return made

    original = keeping.dialer.dial
    keeping.dialer.dial = dial  # type: ignore[method-assign]
    keeping.turn()
    assert len(keeping.ready()) == len(keeping.ends) == AT_ONCE + 1


def test_a_refused_one_is_no_fault_and_makes_pauses() -> None:
    keeping = Keeping(kept(3))
    assert keeping.refuse() == 3
    waited = [0.0]
    while len(waited) < 9:
        keeping.clock.advance(0.125)
        waited[-1] += 0.125
        if keeping.dialer.open():
            keeping.refuse()
            waited.append(0.0)
    assert waited[0] <= FIRST_PAUSE + 1.25
    assert waited[-2] >= LONGEST_PAUSE
    assert keeping.backends[0].errors == 0
    assert keeping.backends[0].usable(0.0)


class TestNames:
    """A backend with a host name."""

    def keeping(self) -> tuple[Keeping, Names]:
        names = Names()
        keeping = Keeping(kept(1), names=names, addresses=[TcpAddress("app", 4000)], balanced=False)
        return keeping, names

    def hosts(self, keeping: Keeping) -> list[str]:
        return [dial.address.host for dial in keeping.dialer.open()]

    def test_they_are_made_when_the_name_is_resolved(self) -> None:
        keeping, names = self.keeping()
        keeping.turn()
        assert keeping.dialer.dials == []
        names.questions[-1].answer("192.0.2.1")
        keeping.turn()
        assert self.hosts(keeping) == ["192.0.2.1"]

    def test_until_then_it_is_asked_for_now_and_then(self) -> None:
        keeping, names = self.keeping()
        keeping.turn()
        names.questions[-1].answer()
        keeping.advance(1.25)
        assert keeping.dialer.dials == []
        names.advance(10)
        keeping.advance(1.25)
        names.questions[-1].answer("192.0.2.1")
        keeping.turn()
        assert self.hosts(keeping) == ["192.0.2.1"]

    def test_addresses_one_after_the_other(self) -> None:
        """The one that works is the first one then, for requests too."""
        keeping, names = self.keeping()
        keeping.turn()
        names.questions[-1].answer("192.0.2.1", "192.0.2.2")
        keeping.turn()
        keeping.dialer.open()[0].fail()
        assert self.hosts(keeping) == ["192.0.2.2"]
        keeping.dialer.open()[0].succeed().makeConnection(StringTransport())
        route = keeping.ready().route
        assert [one.host for one in route.addresses.current()] == ["192.0.2.2", "192.0.2.1"]
        call = keeping.scene.call(GetRequest())
        assert call.dispatch.kept
        assert call.address == IPv4Address("TCP", "192.0.2.2", 4000)

    @pytest.mark.parametrize("how", ["by a request", "by a look"])
    def test_another_address(self, how: str) -> None:
        keeping, names = self.keeping()
        keeping.turn()
        names.questions[-1].answer("192.0.2.1")
        keeping.turn()
        transport = StringTransport()
        keeping.dialer.open()[0].succeed().makeConnection(transport)
        names.advance(100)
        keeping.ready().route.addresses.current()
        names.questions[-1].answer("192.0.2.7")
        if how == "by a request":
            call = keeping.scene.call(GetRequest())
            assert not call.dispatch.kept
            call.dispatch.cancel()
        else:
            keeping.clock.advance(1.25)
        assert transport.disconnecting
        keeping.turn()
        assert self.hosts(keeping) == ["192.0.2.7"]


# -- using them --------------------------------------------------------------------------------


def test_the_oldest_is_used_and_replaced() -> None:
    keeping = Keeping(kept(), balanced=False)
    keeping.accept()
    call = keeping.scene.call(GetRequest())
    assert call.told == 1
    assert type(keeping.ends[0].protocol) is Protocol
    assert keeping.ends[0].protocol.transport is keeping.ends[0].transport
    assert keeping.dialer.open() == []
    keeping.accept()
    assert len(keeping.ready()) == 2
    assert keeping.backends[0].in_flight == 1
    call.dispatch.release()


def test_without_one_that_is_ready_one_is_made() -> None:
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    calls = [keeping.scene.call(GetRequest()) for _ in range(2)]
    (dial,) = keeping.dialer.open()
    dial.succeed()
    assert [call.dispatch.kept for call in calls] == [True, False]
    for call in calls:
        call.dispatch.release()


@pytest.mark.parametrize(
    "found", [b"", b"noise", ConnectionResetError()], ids=["end", "bytes", "reset"]
)
@pytest.mark.parametrize(
    ("request_class", "open_ones"), [(GetRequest, [3]), (PostRequest, [])], ids=["get", "post"]
)
def test_what_the_socket_knows_counts(found: Any, request_class: Any, open_ones: list[int]) -> None:
    """The end of one that the reactor has not told of yet. A POST then avoids others of its age."""
    keeping = Keeping(kept(3), balanced=False)
    keeping.accept()
    keeping.ends[0].close_unnoticed(found)
    keeping.ends[1].close_unnoticed(found)
    call = keeping.scene.call(request_class())
    assert call.dispatch.kept is bool(open_ones)
    assert keeping.open == open_ones
    call.dispatch.cancel()


def test_a_call_that_is_cancelled_meanwhile() -> None:
    """Connecting is put off to the end of the turn, and the client has left until then."""
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    put_off: list[Any] = []
    keeping.dialer.put_off = put_off.append  # type: ignore[method-assign]
    call = keeping.scene.call(GetRequest())
    call.dispatch.cancel()
    put_off.pop()()
    assert (call.told, len(keeping.ready()), keeping.backends[0].in_flight) == (0, 1, 0)


def test_one_that_is_lost_meanwhile() -> None:
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    put_off: list[Any] = []
    keeping.dialer.put_off = put_off.append  # type: ignore[method-assign]
    call = keeping.scene.call(GetRequest())
    keeping.ends[0].close()
    put_off.pop()()
    (dial,) = keeping.dialer.open()
    dial.succeed()
    assert (call.told, call.dispatch.kept) == (1, False)
    call.dispatch.release()


def test_keeping_ends_meanwhile() -> None:
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    put_off: list[Any] = []
    keeping.dialer.put_off = put_off.append  # type: ignore[method-assign]
    call = keeping.scene.call(GetRequest())
    keeping.readiness.stop()
    put_off.pop()()
    assert keeping.scene.where() == "a"
    call.dispatch.cancel()


# -- stale ones --------------------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [True, False])
def test_a_stale_one_is_replaced_by_a_new_one_to_the_same(balanced: bool) -> None:
    """It is no fault and no attempt, and takes nothing from the budget."""
    keeping = Keeping(kept(), balanced=balanced, max_attempts=0)
    keeping.accept()
    call = keeping.scene.call(GetRequest())
    assert call.dispatch.retry(GONE, sent=100)
    assert keeping.scene.where() == "a"
    assert keeping.scene.in_flight()[0] == 1
    keeping.dialer.open()[0].succeed()
    backend = keeping.backends[0]
    assert (call.told, call.backend) == (2, backend)
    assert (backend.errors, backend.elected, backend.bytes_sent) == (0, 1, 100)
    dispatch = call.dispatch
    assert (dispatch.attempts, dispatch.repeats, dispatch.reasons) == (0, 0, ())
    assert keeping.scene.pool.budget.granted == 0
    # What is new is judged like any other.
    assert not dispatch.retry(GONE)
    dispatch.release(GONE)
    assert backend.errors == 1


def test_the_new_one_may_fail() -> None:
    """Then it goes to the next member, as a request does that could not be connected."""
    keeping = Keeping(kept(1), kept(0))
    keeping.accept()
    call = keeping.scene.call(GetRequest())
    assert call.dispatch.retry(GONE)
    assert keeping.scene.fail() == "a"
    assert keeping.scene.where() == "b"
    assert keeping.backends[0].errors == 1
    assert not keeping.backends[0].usable(0.0)
    call.dispatch.cancel()


def test_a_post_avoids_the_age_at_which_they_are_closed() -> None:
    """The backend may be closing it at this very moment; a GET could be repeated."""
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    keeping.advance(4)
    keeping.ends[0].close()
    keeping.advance(5)
    assert keeping.open == [2]
    age = keeping.clock.seconds() - next(iter(keeping.ready()._ready)).since
    assert 2 < age < 8
    call = keeping.scene.call(PostRequest())
    assert not call.dispatch.kept
    assert keeping.open == []
    call.dispatch.cancel()
    keeping.accept()
    keeping.advance(3)
    call = keeping.scene.call(GetRequest())
    assert call.dispatch.kept
    call.dispatch.cancel()


@pytest.mark.parametrize("age", [1.0, 9.0])
def test_a_post_uses_those_of_other_ages(age: float) -> None:
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    keeping.advance(4)
    keeping.ends[0].close()
    while not keeping.open:
        keeping.advance(0.125)
    keeping.advance(age)
    call = keeping.scene.call(PostRequest())
    assert call.dispatch.kept
    call.dispatch.release()


@pytest.mark.parametrize(("age", "used"), [(0.5, False), (1.0, False), (1.5, True)])
def test_a_backend_may_be_late(age: float, used: bool) -> None:
    """That one lives a little longer does not show yet that it is not about to be closed."""
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    keeping.advance(0.125)
    keeping.ends[0].close()
    while not keeping.open:
        keeping.advance(0.125)
    keeping.advance(age)
    call = keeping.scene.call(PostRequest())
    assert call.dispatch.kept is used
    call.dispatch.cancel()


def test_one_that_lives_longer_shows_that_it_was_no_habit() -> None:
    """The backend was stopped once, say."""
    keeping = Keeping(kept(1), balanced=False)
    keeping.accept()
    keeping.advance(0.5)
    keeping.ends[0].close()
    keeping.advance(5)
    assert keeping.open == [2]
    call = keeping.scene.call(GetRequest())
    call.dispatch.release()
    keeping.accept()
    keeping.advance(0.5)
    call = keeping.scene.call(PostRequest())
    assert call.dispatch.kept
    call.dispatch.release()


# -- looking after them ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "say something"])
def test_one_that_the_backend_gives_up_is_closed_at_once(how: str) -> None:
    keeping = Keeping(kept(), balanced=False)
    keeping.accept()
    if how == "close":
        keeping.ends[0].close()
    else:
        keeping.ends[0].transport.deliver(b"Status: 200 OK\r\n\r\n")
    assert keeping.open == [2]
    assert len(keeping.ready()) == 1


def test_a_backend_that_keeps_closing_them_is_left_alone_more_and_more() -> None:
    keeping = Keeping(kept(4), balanced=False)
    for _ in range(40 * 8):
        keeping.accept()
        for end in keeping.ends:
            end.close()
        keeping.clock.advance(0.125)
    assert 4 * 4 <= len(keeping.ends) <= 4 * 6


def test_one_that_is_used_makes_up_for_that() -> None:
    keeping = Keeping(kept(2), balanced=False)
    keeping.accept()
    keeping.ends[0].close()
    call = keeping.scene.call(GetRequest())
    assert call.dispatch.kept
    keeping.accept()
    assert len(keeping.ready()) == 2
    call.dispatch.release()


def test_who_finds_none_makes_the_pause_short() -> None:
    """After a second, and not after a minute, there are some again, if there are requests."""
    keeping = Keeping(kept(1), balanced=False)
    for _ in range(30 * 8):
        keeping.accept()
        for end in keeping.ends:
            end.close()
        keeping.clock.advance(0.125)
    for _ in range(3):
        before = len(keeping.ends)
        call = keeping.scene.call(GetRequest())
        assert not call.dispatch.kept
        call.dispatch.cancel()
        for _ in range(8 + 10):
            keeping.accept()
            keeping.ends[-1].close()
            keeping.clock.advance(0.125)
        assert len(keeping.ends) > before


def test_none_gets_old() -> None:
    keeping = Keeping(kept(), balanced=False)
    keeping.accept()
    keeping.advance(LONGEST_IDLE - 2)
    assert keeping.open == [1, 2]
    keeping.advance(4)
    assert keeping.open == [3, 4]
    assert keeping.ends[0].transport.closed == "closed"


@pytest.mark.parametrize("flag", ["disabled", "stopped", "draining", "check_failed", "failed"])
def test_who_is_not_to_be_used_has_none(flag: str) -> None:
    keeping = Keeping(kept(), kept())
    keeping.accept()
    backend = keeping.backends[0]
    if flag == "failed":
        put_in_error(backend, REFUSED)
    else:
        setattr(backend, flag, True)
    keeping.advance(1.25)
    assert [len(keeping.ready(index)) for index in (0, 1)] == [0, 2]
    if flag == "failed":
        backend.proved()
    else:
        setattr(backend, flag, False)
    keeping.advance(1.25)
    assert [len(keeping.ready(index)) for index in (0, 1)] == [2, 2]


def test_members_come_and_go() -> None:
    keeping = Keeping(kept(1), kept(1))
    pool = keeping.scene.pool
    first, second = keeping.backends
    pool.set_backends([second])
    keeping.readiness.update()
    keeping.accept()
    assert [end.name for end in keeping.ends] == ["b"]
    pool.set_backends([first, second])
    keeping.readiness.update()
    keeping.accept()
    assert [end.name for end in keeping.ends] == ["b", "a"]
    pool.set_backends([first])
    keeping.readiness.update()
    assert [end.open for end in keeping.ends] == [False, True]


def test_one_that_was_away_between_two_updates() -> None:
    """It has another route."""
    keeping = Keeping(kept(1), kept(1))
    keeping.accept()
    pool = keeping.scene.pool
    pool.set_backends(keeping.backends[1:])
    pool.set_backends(keeping.backends)
    keeping.readiness.update()
    keeping.accept()
    assert len(keeping.open) == 2
    assert len(keeping.ready()) == 1


# -- limits ------------------------------------------------------------------------------------


def test_they_count_as_connections() -> None:
    """With those in flight there are never more than `max`."""
    keeping = Keeping(kept(3, max_connections=4), balanced=False)
    calls: list[Call] = []
    most = []
    keeping.accept()
    for _ in range(4):
        most.append(len(keeping.open))
        calls.append(keeping.scene.call(GetRequest()))
        assert calls[-1].dispatch.kept
        keeping.accept()
    assert most == [3, 4, 4, 4]
    assert len(keeping.open) == 4
    for call in calls:
        call.dispatch.release()


def test_room_is_made_for_a_request_that_uses_none() -> None:
    keeping = Keeping(kept(2, max_connections=2), balanced=False)
    keeping.turn()
    assert len(keeping.dialer.open()) == 2
    calls = [keeping.scene.call(GetRequest()) for _ in range(2)]
    assert len(keeping.dialer.open()) == 2
    assert {dial.factory for dial in keeping.dialer.open()} == {call.dispatch for call in calls}
    for call in calls:
        call.dispatch.cancel()


def test_a_lower_limit_is_noticed() -> None:
    keeping = Keeping(kept(4, max_connections=4), balanced=False)
    keeping.accept()
    keeping.backends[0].limit = 1
    keeping.advance(1.25)
    assert len(keeping.ready()) == 1


def test_stopping_while_they_are_made() -> None:
    keeping = Keeping(kept(), balanced=False)
    keeping.turn()
    dials = keeping.dialer.open()
    keeping.readiness.stop()
    assert [dial.stopped for dial in dials] == [True, True]
    assert keeping.scene.pool.routes[keeping.backends[0]].ready is None
    keeping.readiness.start()
    keeping.accept()
    assert len(keeping.ready()) == 2
