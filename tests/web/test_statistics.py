"""What is counted of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.web.statistics import ConnectionPhase, MountStatistics, by_class
from tests.web.gateway_numbers import NOW, STARTED, everything, numbers

GIVEN = st.lists(
    st.tuples(
        st.sampled_from([b"GET", b"HEAD", b"POST", b"PATCH", b"TRACE", b"BREW", b"get", b"-"]),
        st.sampled_from([0, 101, 200, 206, 304, 404, 499, 500, 599, 600, 999, 1000, 70_000]),
    )
)

KNOWN = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"}


@given(GIVEN)
def test_each_request_is_in_one_class_of_one_method(requests: list[tuple[bytes, int]]) -> None:
    """Whatever a client calls its method, and whatever a Resource calls its status."""
    statistics = MountStatistics()
    wanted: dict[tuple[str, str], int] = {}
    for method, status in requests:
        statistics.record(NOW, 0.1, method, status, 0, 0)
        name = method.decode() if method.decode() in KNOWN else "other"
        of_status = "none" if not status else f"{status // 100}xx" if status < 600 else "other"
        wanted[name, of_status] = wanted.get((name, of_status), 0) + 1
    told = statistics.answers()
    assert {key: count for key, count in told.items() if count} == wanted
    assert statistics.requests == len(requests) == statistics.overall().count
    assert sum(by_class(told).values()) == len(requests)
    # What a method has not had yet is told as 0, so that its first one is seen to be new.
    for method_name in {method for method, _ in wanted}:
        assert {(method_name, f"{n}xx") for n in (2, 3, 4, 5)} <= set(told)
    assert sum(statistics.chart(NOW + 1).errors) == sum(status >= 500 for _, status in requests)


def test_bytes_and_answers_that_were_broken_off() -> None:
    statistics = MountStatistics()
    statistics.record(NOW, 0.1, b"POST", 200, 10, 1000)
    statistics.record(NOW, 0.1, b"GET", 200, 0, 500, aborted=True)
    assert (statistics.bytes_received, statistics.bytes_sent) == (10, 1500)
    assert statistics.aborted == 1


def test_repr() -> None:
    statistics = MountStatistics("a", "/b/")
    statistics.record(NOW, 0.1, b"GET", 200, 0, 0)
    statistics.in_flight += 2
    assert repr(statistics) == "<MountStatistics a/b/ 1 requests, 2 in flight>"


def test_connections_of_several_phases() -> None:
    made = numbers(connections={ConnectionPhase.IDLE: 3, ConnectionPhase.SENDING: 2})
    assert made.connections_in(ConnectionPhase.IDLE, ConnectionPhase.READING) == 3
    assert made.connections_in(*ConnectionPhase) == 5


@pytest.mark.parametrize(("now", "uptime"), [(STARTED + 59.9, 59), (STARTED - 10, 0)])
def test_uptime(now: float, uptime: int) -> None:
    """Also with a clock that was set back."""
    assert numbers(now=now).uptime == uptime


def test_every_backend_with_its_pool() -> None:
    assert [(pool.name, backend.label) for pool, backend in everything().backends()] == [
        ("scgi://[::1]:4000", "scgi://[::1]:4000"),
        ("balancer://app", "scgi://app:4000"),
        ("balancer://app", "scgi://app:4001"),
    ]
