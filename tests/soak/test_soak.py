"""The soak itself: what it takes for growth and for a wrong answer, and a short one."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.http_client import Response
from tests.soak.clients import KINDS, Crowd, Visit, WrongError, expect
from tests.soak.readings import AT_REST, Reading, Trend, busy, slope
from tests.soak.soaking import soak, soaking


def trend(*resident: int, descriptors: int = 17, threads: int = 2) -> Trend:
    """A reading each 40 seconds, after as many of the warm-up."""
    warm = [Reading(n * 40.0, 60_000, 17, 2) for n in range(len(resident))]
    rest = [
        Reading((len(warm) + n) * 40.0, kib, 17 + (descriptors - 17) * (n > 2), 2)
        for n, kib in enumerate(resident)
    ]
    return Trend([*warm, *rest[:-1], Reading(rest[-1].seconds, resident[-1], descriptors, threads)])


NOISY = (70_000, 70_900, 70_100, 71_000, 70_200, 70_800, 70_300, 70_700)
GROWING = tuple(70_000 + 300 * n for n in range(8))


def test_noise_and_an_outlier_are_no_growth() -> None:
    assert trend(*NOISY).wrong() == []
    assert trend(*NOISY[:-1], 90_000).wrong() == []
    assert trend(*GROWING[::-1]).wrong() == []


def test_growth() -> None:
    (line,) = trend(*GROWING).wrong()
    assert line == "memory grew by 2100 KiB, and 1421 are allowed"


def test_too_few_readings_say_nothing_of_memory() -> None:
    few = trend(70_000, 75_000, 80_000)
    assert few.growth is None
    assert few.wrong() == []


@pytest.mark.parametrize(
    ("held", "said"), [({"descriptors": 20}, "by 3"), ({"threads": 3}, "by 1")]
)
def test_what_else_may_not_grow(held: dict[str, int], said: str) -> None:
    (line,) = trend(*NOISY, **held).wrong()
    assert f"{next(iter(held))} grew {said}" in line
    assert trend(*NOISY, descriptors=19).wrong() == []


def test_slope_is_that_of_most_points() -> None:
    assert slope([(0, 0), (1, 2), (2, 4), (3, 6), (4, 1000)]) == 2


def test_what_is_under_way_at_rest() -> None:
    idle = "".join(f'scgiproxy_{name}{{path="/"}} 0.0\n' for name in AT_REST)
    assert busy(idle) == []
    asking = 'scgiproxy_requests_in_flight{server="",path="none"} 1.0\n'
    assert busy(idle + asking) == []
    assert busy(idle + 'scgiproxy_queued_requests{pool="a"} 2.0\n') == [
        'queued_requests{pool="a"} 2.0'
    ]
    with pytest.raises(ValueError, match="no queued_requests among"):
        busy(idle.replace("queued", "other"))


def test_what_an_answer_has_to_be() -> None:
    answer = Response(b"HTTP/1.1", 200, b"OK", (), b"hello")
    expect(answer, 200, b"hello")
    with pytest.raises(WrongError, match="not 404"):
        expect(answer, 404)
    with pytest.raises(WrongError, match="another body"):
        expect(answer, 200, b"jello")
    with pytest.raises(WrongError, match="whole: False"):
        expect(Response(b"HTTP/1.1", 200, b"OK", (), b"hel", complete=False), 200)


@contextmanager
def serving(answer: bytes) -> Iterator[tuple[str, int]]:
    """Somebody who answers everything so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


@pytest.mark.parametrize(
    "kind",
    [
        Visit.downloads,
        Visit.uploads,
        Visit.is_refused_early,
        Visit.downloads_a_file,
        Visit.sends_slowly,
        Visit.sends_too_slowly,
        Visit.sends_garbage,
        Visit.meets_a_fault,
    ],
    ids=lambda kind: kind.__name__,
)
def test_another_answer_is_wrong(kind: object) -> None:
    with serving(WHOLE) as address, pytest.raises((WrongError, OSError)):
        kind(Visit(address, random.Random(2)))  # type: ignore[operator]


def test_a_crowd_tells_what_it_has_seen() -> None:
    with serving(WHOLE) as address:
        crowd = Crowd(address, 2, 0.01, 1)
        crowd.go()
        while len(crowd.wrong) < 5:
            crowd.rest()
            crowd.go()
        crowd.stop()
    assert sum(crowd.visits.values()) >= 5
    assert any("WrongError" in line for line in crowd.wrong)


@pytest.mark.e2e
@pytest.mark.parametrize("workers", [1, 2])
def test_a_short_one(workers: int) -> None:
    """One round, with everything that happens in one."""
    with soaking(8, 0.1, 5, workers) as course:
        soak(course, 5, 12, lambda _: None, reloads=True)
        assert course.judge() == []
        assert course.gateway.reloads == 2
        assert len(course.rests) == 1
        assert sum(course.crowd.visits.values()) > 50
        assert len(course.crowd.visits) > len(KINDS) / 2
        # A traceback would be found.
        with (course.gateway.folder / "gateway.log").open("a") as log:
            log.write("Traceback (most recent call last):\n  and so on\n")
        assert course.judge() == ["Traceback (most recent call last):\n  and so on"]
