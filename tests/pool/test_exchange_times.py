"""What a dispatch tells the statistics: the times of each attempt, and how often it tried again."""

from __future__ import annotations

import pytest

from scgiproxy.errors import BackendBusy, HeadTimeout, TruncatedResponse
from scgiproxy.pool.histogram import Histogram
from scgiproxy.pool.statistics import BackendStatistics
from scgiproxy.rules.backend import BackendSettings
from tests.pool.fakes import Call, Scene

S = BackendSettings
GONE = TruncatedResponse("it closed")


def connect(scene: Scene, seconds: float, call: Call | None = None) -> Call:
    """A call whose connection takes so long."""
    call = call or scene.call()
    scene.clock.advance(seconds)
    scene.dialer.open()[-1].succeed()
    return call


def times(statistics: BackendStatistics) -> list[tuple[int, float]]:
    """How many there were, and their sum: to connect, to begin the answer, and in all."""
    histograms: tuple[Histogram, ...] = (
        statistics.connect,
        statistics.first_byte,
        statistics.overall(),
    )
    return [(one.count, pytest.approx(one.sum)) for one in histograms]


def test_the_times_of_an_exchange() -> None:
    of = Scene(S(), balanced=False)
    call = connect(of, 0.5)
    of.clock.advance(2)
    call.dispatch.answered(200)
    of.clock.advance(4)
    call.dispatch.release()
    assert times(of.backends[0].statistics) == [(1, 0.5), (1, 2), (1, 6)]
    call.dispatch.release()
    assert times(of.backends[0].statistics) == [(1, 0.5), (1, 2), (1, 6)]


def test_who_never_answered_has_no_first_byte() -> None:
    of = Scene(S(), balanced=False)
    call = connect(of, 0.5)
    of.clock.advance(60)
    call.dispatch.release(HeadTimeout("slow"))
    assert times(of.backends[0].statistics) == [(1, 0.5), (0, 0), (1, 60)]
    assert of.backends[0].statistics.errors == {"backend.head_timeout": 1}


def test_how_long_a_client_stayed_is_no_time_of_the_backend() -> None:
    of = Scene(S(), balanced=False)
    connect(of, 0.5).dispatch.cancel()
    assert times(of.backends[0].statistics) == [(0, 0)] * 3
    assert of.backends[0].statistics.errors == {}


def test_each_attempt_has_its_own_times() -> None:
    """That of the first ends where the next begins."""
    of = Scene(S(), S())
    call = connect(of, 0.5)
    of.clock.advance(3)
    assert call.dispatch.retry(GONE)
    connect(of, 1, call)
    of.clock.advance(2)
    call.dispatch.answered(200)
    of.clock.advance(4)
    call.dispatch.release()
    a, b = (backend.statistics for backend in of.backends)
    assert times(a) == [(1, 0.5), (0, 0), (1, 3)]
    assert times(b) == [(1, 1), (1, 2), (1, 6)]
    assert (a.errors, b.errors) == ({GONE.log_key: 1}, {})


@pytest.mark.parametrize("how", ["connect", "repeat"])
def test_each_further_attempt_is_one_retry(how: str) -> None:
    of = Scene(S(), S(), S())
    call = of.call()
    for count in range(3):
        assert of.pool.statistics.retries == count
        if how == "connect":
            of.fail()
        else:
            of.dialer.open()[-1].succeed()
            assert call.dispatch.retry(GONE) is (count < 2)
    assert of.pool.statistics.retries == 2
    call.dispatch.release(GONE)
    assert of.pool.statistics.retries == 2
    assert [sum(one.statistics.errors.values()) for one in of.backends] == [1, 1, 1]


def test_who_was_only_busy_was_not_tried() -> None:
    """Neither going elsewhere nor coming back is a retry; after a failure it is one."""
    of = Scene(S(), S())
    call = of.call()
    of.fail(BackendBusy("full"))
    assert of.where() == "b"
    assert of.pool.statistics.retries == 0
    of.fail()
    assert of.where() == "a"
    assert of.pool.statistics.retries == 1
    connect(of, 0, call).dispatch.release()
    assert of.pool.statistics.retries == 1


def test_a_retry_that_never_begins_is_none() -> None:
    """The next member is full, and the client leaves the queue."""
    of = Scene(S(), S(max_connections=1))
    connect(of, 0)
    connect(of, 0)
    call = of.call()
    of.fail()
    assert of.pool.queued == 1
    of.clock.advance(2)
    call.dispatch.cancel()
    assert of.pool.statistics.retries == 0
    queue = of.pool.statistics.queue
    assert (queue.count, queue.sum) == (1, pytest.approx(2))
