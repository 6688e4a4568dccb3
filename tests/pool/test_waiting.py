"""Who waits for a place is served first come first, and nobody is in the way of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.errors import BackendBusy, ConnectFailed, Unavailable
from scgiproxy.pool.place import Stage
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.balancer import Sticky
from tests.pool.fakes import Call, Request, Scene

S = BackendSettings
STICKY = Sticky(b"SID", b"")


def scene(*limits: int) -> Scene:
    """Members with so many places and the routes a, b, c; all accept at once."""
    made = Scene(
        *(
            S(max_connections=limit, route=name.encode())
            for name, limit in zip("abc", limits, strict=False)
        ),
        sticky=STICKY,
    )
    made.dialer.at_once = True
    return made


def ask(of: Scene, route: str = "") -> Call:
    """A request of a session of that member, or of none."""
    return of.call(Request(cookie=f"SID=x.{route}".encode() if route else None))


def where(*calls: Call) -> str:
    """The members that they are with; ``.`` waits."""
    return "".join(call.backend.label[-1] if call.backend else "." for call in calls)


def test_sessions_wait_for_their_member_and_others_pass() -> None:
    of = scene(1, 2)
    calls = [ask(of, "a"), ask(of, "a"), ask(of, "a"), ask(of), ask(of, "b")]
    assert where(*calls) == "a..bb"
    calls[0].dispatch.release()
    assert where(*calls) == "aa.bb"
    calls[1].dispatch.release()
    assert where(*calls) == "aaabb"


def test_a_place_goes_to_who_came_first_whatever_he_waits_for() -> None:
    of = scene(1, 1)
    first, second = ask(of, "a"), ask(of, "b")
    free, stuck = ask(of), ask(of, "a")
    assert where(free, stuck) == ".."
    first.dispatch.release()
    assert where(free, stuck) == "a."
    free.dispatch.release()
    assert where(free, stuck) == "aa"
    second.dispatch.release()


def test_a_session_before_a_free_one() -> None:
    of = scene(1, 1)
    first, second = ask(of, "a"), ask(of, "b")
    stuck, free = ask(of, "a"), ask(of)
    first.dispatch.release()
    assert where(stuck, free) == "a."
    second.dispatch.release()
    assert where(stuck, free) == "ab"


def test_a_session_whose_member_stays_full_is_in_nobodys_way() -> None:
    of = scene(1, 1)
    first, second = ask(of, "a"), ask(of, "b")
    waiting = [ask(of, "a"), ask(of), ask(of, "a"), ask(of), ask(of, "b")]
    for expected in (".b...", ".b.b.", ".b.bb"):
        served = [call for call in (second, *waiting) if call.dispatch.stage is Stage.CONNECTED]
        served[-1].dispatch.release()
        assert where(*waiting) == expected
    assert first.dispatch.stage is Stage.CONNECTED


def test_sessions_of_nobody_wait_with_the_others() -> None:
    """Whatever route a client makes up, it is no kind of its own."""
    of = scene(1)
    first = ask(of, "a")
    waiting = [ask(of, f"zz{number}") for number in range(50)]
    assert len(of.pool._queue.kinds) == 1
    for call in waiting:
        first.dispatch.release()
        first = call
        assert where(call) == "a"


def test_who_has_been_elsewhere_waits_for_less() -> None:
    of = scene(1, 1)
    of.dialer.at_once = False
    tried = ask(of)
    holding = ask(of)
    of.dialer.dials[1].succeed()
    of.backends[0].ignore_errors = True
    of.dialer.dials[0].fail()
    assert tried.dispatch.stage is Stage.QUEUED
    of.dialer.at_once = True
    busy = ask(of)
    behind = ask(of)
    assert where(tried, busy, behind) == ".a."
    busy.dispatch.release()
    assert where(tried, busy, behind) == ".aa"
    holding.dispatch.release()
    assert where(tried, behind) == "ba"


def test_a_member_that_loses_its_route_frees_those_who_wait_for_it() -> None:
    """Flags, routes and sets may change at any time."""
    of = scene(1, 1)
    first, _ = ask(of, "a"), ask(of, "b")
    stuck, free = ask(of, "a"), ask(of)
    of.backends[0].route = b"other"
    of.pool.set_backends(of.backends)
    assert len(of.pool._queue.kinds) == 1
    first.dispatch.release()
    assert where(stuck, free) == "a."


def test_a_larger_limit_serves_those_who_wait() -> None:
    of = scene(1)
    calls = [ask(of) for _ in range(4)]
    of.backends[0].limit = 3
    of.pool.set_backends(of.backends)
    assert where(*calls) == "aaa."
    of.backends[0].limit = None
    of.pool.set_backends(of.backends)
    assert where(*calls) == "aaaa"


def test_a_new_member_serves_those_who_wait() -> None:
    of = scene(1, 5)
    a, b = of.backends
    of.pool.set_backends([a])
    calls = [ask(of) for _ in range(3)]
    assert where(*calls) == "a.."
    of.pool.set_backends([a, b])
    assert where(*calls) == "abb"


def test_a_member_that_goes_leaves_its_sessions_to_the_others() -> None:
    of = scene(1, 5)
    calls = [ask(of, "a"), ask(of, "a")]
    assert where(*calls) == "a."
    of.pool.set_backends(of.backends[1:])
    assert where(*calls) == "ab"


def test_all_who_wait_are_counted() -> None:
    of = scene(1, 1)
    calls = [ask(of, "a"), ask(of, "b"), ask(of, "a"), ask(of), ask(of, "b")]
    assert of.pool.queued == 3
    assert repr(of.pool).endswith("; 3 waiting>")
    for call in calls:
        call.dispatch.cancel()
    assert of.pool.queued == 0
    assert of.pool._queue.kinds == {}


def test_who_waits_at_the_end_is_told() -> None:
    """Nothing of these requests has been sent: their clients may know it."""
    of = scene(1, 1)
    calls = [ask(of, "a"), ask(of, "b"), ask(of, "a"), ask(of)]
    left = ask(of, "b")
    left.dispatch.cancel()
    of.pool.turn_away()
    assert [call.told for call in (*calls, left)] == [1, 1, 1, 1, 0]
    for call in calls[2:]:
        assert isinstance(call.error, Unavailable)
        assert str(call.error).endswith("before the gateway stopped")
    assert where(*calls) == "ab.."
    assert of.pool.queued == 0
    for call in calls[:2]:
        call.dispatch.release()
    assert [backend.in_flight for backend in of.backends] == [0, 0]
    assert len(of.dialer.wheel) == 0


def test_a_busy_one_comes_back_to_the_end_of_the_queue() -> None:
    of = Scene(S(max_connections=1), S(max_connections=1))
    call = of.call()
    of.fail(BackendBusy("full"))
    other = of.call()
    assert name(other) == "a"
    of.dialer.open()[0].fail()
    assert call.dispatch.stage is Stage.QUEUED
    other.dispatch.cancel()
    assert name(call) == "a"


def test_the_first_looks_first_when_a_retry_is_due() -> None:
    """Also among those whose time comes at the same moment."""
    of = Scene(S(retry=1.0), wait=60.0, force_recovery=False)
    of.call()
    of.fail()
    of.dialer.at_once = True
    waiting = [of.call() for _ in range(30)]
    of.clock.advance(1.2)
    assert [call.told for call in waiting] == [1] + [0] * 29
    waiting[0].dispatch.answered(200)
    assert {call.told for call in waiting} == {1}


def name(call: Call) -> str:
    assert call.dispatch.backend is not None
    return call.dispatch.backend.label[-1]


def test_who_waits_is_served_before_the_one_whose_coming_forces_a_recovery() -> None:
    of = Scene(S(route=b"a", retry=0.0), S(route=b"b", retry=0.0), sticky=STICKY, wait=60.0)
    lost = ask(of, "b")
    of.dialer.open()[0].fail(ConnectFailed("x"))
    lost.dispatch.cancel()
    probing = ask(of, "b")
    waiting = ask(of, "a")
    of.dialer.open()[-1].fail(BackendBusy("x"))
    assert waiting.dispatch.stage is Stage.QUEUED
    other = ask(of, "a")
    of.dialer.open()[-1].fail(ConnectFailed("x"))
    probing_too = ask(of, "a")
    assert [call.dispatch.stage for call in (waiting, other)] == [Stage.QUEUED] * 2
    of.dialer.at_once = True
    last = ask(of)
    assert [call.dispatch.stage for call in (probing, probing_too)] == [Stage.DIALLING] * 2
    assert where(waiting, other) == "bb"
    assert last.backend is not None


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "zz"]), st.integers(0, 30))),
)
def test_nobody_overtakes(limits: list[int], steps: list[tuple[str, int]]) -> None:
    """Of two that wait for the same, who came first is served first; a session is served by its
    own member; and no place is free that somebody waits for."""
    of = scene(*limits)
    names = "abc"[: len(limits)]
    asked: list[tuple[str, Call]] = []
    for route, number in steps:
        connected = [call for _, call in asked if call.dispatch.stage is Stage.CONNECTED]
        if number < len(connected):
            connected[number].dispatch.release()
        asked.append((route if route in names else "", ask(of, route)))
        waiting = {kind for kind, call in asked if call.backend is None}
        for kind in {kind for kind, _ in asked}:
            of_kind = where(*(call for each, call in asked if each == kind))
            assert "." not in of_kind.rstrip(".")
            assert not kind or set(of_kind) <= {kind, "."}
        for member in of.backends:
            assert member.full() or not waiting & {"", member.label[-1]}
    for _, call in asked:
        call.dispatch.cancel()
    assert of.pool.queued == 0
    assert of.in_flight() == [0] * len(limits)
