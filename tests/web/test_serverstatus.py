"""``SetHandler server-status``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scgiproxy.web.page import shown
from scgiproxy.web.serverstatus import ServerStatusResource
from scgiproxy.web.statistics import MountStatistics
from tests.web.answers import Answer
from tests.web.documents import document, rows, told
from tests.web.gateway_numbers import (
    HOSTILE,
    NOW,
    STARTED,
    Backend,
    Pool,
    everything,
    mount,
    numbers,
    several,
)
from tests.web.resources import H, ask, plugin

NOTHING = "\N{EN DASH}"


def answer(made: Any, query: bytes = b"") -> Answer:
    return ask(ServerStatusResource(lambda: made), b"GET /status" + query + H + b"\r\n")


def summary(root: Any) -> dict[str, str]:
    return told(root, 0)


def connections(root: Any) -> dict[str, str]:
    return told(root, 1)


def test_the_summary() -> None:
    root = document(answer(everything()))
    assert root.findtext("head/title") == "Status of a"
    found = summary(root)
    assert found.pop("Started")
    assert found == {
        "Software": "scgiproxy/1.2.3",
        "Uptime": "1 day 2 hours 3 minutes 4 seconds",
        "Requests": "21",
        "Requests a second": "0.35",
        "Requests in progress": "6",
        "p50 · p90 · p99": "99 ms · 99 ms · 2.7 s",
        "Errors in the last minute": "1",
        "Received": "200 B",
        "Sent": "19.5 KiB",
        "Spooled bodies": "2, 2.86 MiB",
    }


def test_the_configuration() -> None:
    """Which one is in force, if it is not that of the start, or if its file is in disorder."""
    followed = summary(document(answer(replace(everything(), configured=STARTED + 60))))
    assert followed["Configuration"].startswith("of ")
    kept = summary(document(answer(replace(everything(), is_current=False))))
    assert kept["Configuration"].startswith("of the start; its file has errors since then")


def test_connections_by_phase() -> None:
    assert connections(document(answer(everything()))) == {
        "reading a request": "1",
        "waiting for a backend": "2",
        "sending an answer": "3",
        "idle, kept alive": "4",
        "closing": "5",
        "room for more": "20",
        "accepting has paused": "3",
        "refused by address": "4",
    }


def test_mounts() -> None:
    no_mount, served = rows(document(answer(everything())), "Mounts")
    assert no_mount["Mount"] == "no mount"
    assert no_mount["p50"] == NOTHING
    assert served == {
        "Mount": "/app/",
        "Server": "app",
        "Requests": "21",
        "2xx": "20",
        "3xx": "0",
        "4xx": "0",
        "5xx": "1",
        "Aborted": "1",
        "In flight": "2",
        "A second": "0.35",
        "p50": "99 ms",
        "p90": "99 ms",
        "p99": "2.7 s",
        "Received": "200 B",
        "Sent": "19.5 KiB",
        "Two minutes": "",
    }


def test_backends() -> None:
    alone, up, down = rows(document(answer(everything())), "Backends")
    assert (alone["Backend"], alone["Balancer"]) == ("scgi://[::1]:4000", "")
    assert up == {
        "Backend": "scgi://app:4000",
        "Balancer": "balancer://app",
        "State": "up",
        "In flight": "2 of 8",
        "Chosen": "12",
        "Errors": "0",
        "p50": "1.9 s",
        "p90": "1.9 s",
        "p99": "1.9 s",
        "Received": "0 B",
        "Sent": "4 KiB",
        "Two minutes": "",
    }
    assert (down["State"], down["Errors"], down["p50"]) == ("down", "1", NOTHING)


def test_workers() -> None:
    """Each process, if there are several; and one that says nothing is told."""
    first, second = rows(document(answer(several())), "Workers")
    assert first.pop("Uptime") == "1 day 2 hours 3 minutes 4 seconds"
    assert first == {
        "Worker": "1",
        "Process": "4711",
        "Requests": "1\N{NARROW NO-BREAK SPACE}200",
        "Connections": "7",
        "In progress": "3",
        "Processor time": "2.2 s",
        "Restarts": "0",
    }
    assert (second["Uptime"], second["Restarts"]) == ("does not answer", "3")
    assert b"Workers" not in answer(everything()).body


@pytest.mark.parametrize(
    ("age", "a_second"), [(5, "20"), (10.5, "9.52"), (0.25, "100"), (60, "1.67"), (600, "1.67")]
)
def test_rates_of_a_gateway_that_has_just_started(age: float, a_second: str) -> None:
    """They are over the time since the start, and over a whole second at least."""
    started = NOW - age
    busy = MountStatistics("a", "/b/")
    for _ in range(100):
        busy.record(NOW - min(age, 5), 0.1, b"GET", 200, 0, 0)
    root = document(answer(numbers(mounts=[busy], started=started, now=NOW + 0.1)))
    assert summary(root)["Requests a second"] == a_second
    assert rows(root, "Mounts")[0]["A second"] == a_second


def test_many_requests_a_second() -> None:
    """Whole numbers, in groups of three, and no exponent."""
    served = mount()
    for _ in range(90_000):
        served.record(NOW - 2, 0.001, b"GET", 200, 0, 0)
    root = document(answer(numbers(mounts=[served])))
    found = summary(root)
    assert found["Requests a second"] == "1\N{NARROW NO-BREAK SPACE}500"
    assert found["Requests"] == "90\N{NARROW NO-BREAK SPACE}000"


def test_the_chart_shows_when() -> None:
    """The first is of all mounts together."""
    root = document(answer(everything()))
    drawn, *_ = root.iter("svg")
    assert drawn.get("aria-label") == "21 requests and 1 errors in 120 seconds"
    values, bad = (path.get("d") for path in drawn)
    assert values == "M115 32v-32h1v32z"
    assert bad == "M115 32v-1.52h1v1.52z"


def test_nothing_is_there_yet() -> None:
    root = document(answer(numbers(mounts=[MountStatistics()])))
    assert summary(root)["Requests"] == "0"
    assert [heading.text for heading in root.iter("h2")][-1] == "Mounts"


def test_hostile_names_are_text() -> None:
    """Of whatever a configuration can say."""
    root = document(answer(everything(HOSTILE)))
    _, served = rows(root, "Mounts")
    assert (served["Mount"], served["Server"]) == (shown(f"/{HOSTILE}/"), shown(HOSTILE))
    _, up, _ = rows(root, "Backends")
    assert up["Balancer"] == "balancer://" + shown(HOSTILE)
    assert list(root.iter("script")) == []


def test_the_busiest_of_many() -> None:
    """In the order of the configuration; the others are counted."""
    mounts = [mount(path=f"/{number}/") for number in range(150)]
    for number in (149, 0, 120):
        for _ in range(number + 1):
            mounts[number].record(NOW, 0.1, b"GET", 200, 0, 0)
    backends = [Backend(f"scgi://{number}:1", elected=number) for number in range(150)]
    root = document(answer(numbers(mounts=mounts, pools=[Pool("balancer://b", backends)])))
    shown_mounts = [row["Mount"] for row in rows(root, "Mounts")]
    assert len(shown_mounts) == 100
    assert shown_mounts[0] == "/0/"
    assert shown_mounts[-2:] == ["/120/", "/149/"]
    assert rows(root, "Backends")[0]["Backend"] == "scgi://50:1"
    told = [paragraph.text for paragraph in root.iter("p")]
    assert told[:2] == ["50 more, with fewer requests, are not shown."] * 2


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (b"", None),
        (b"?refresh=5", "5"),
        (b"?refresh", "1"),
        (b"?refresh=", "1"),
        (b"?refresh=0", "1"),
        (b"?refresh=-3", "1"),
        (b"?refresh=soon", "1"),
        (b"?refresh=99999", "3600"),
        (b"?refresh=9999999999999999999", "1"),
        (b"?refresh=%0d%0aX:%20y", "1"),
        (b"?refresh=%C2%B2", "1"),
        (b"?refresh=5&auto", "5"),
        (b"?norefresh=5", None),
    ],
)
def test_refresh(query: bytes, seconds: str | None) -> None:
    assert answer(everything(), query)["refresh"] == seconds


@pytest.mark.parametrize("query", [b"?auto", b"?auto=", b"?refresh=3&auto", b"?auto&x=1"])
def test_for_programs(query: bytes) -> None:
    found = answer(everything(), query)
    assert found["content-type"] == "text/plain; charset=utf-8"
    assert found["cache-control"] == "no-store"
    assert found["x-content-type-options"] == "nosniff"
    lines = found.body.decode().splitlines()
    assert lines[:2] == ["a", "ServerVersion: scgiproxy/1.2.3"]
    assert "Total Accesses: 21" in lines


@pytest.mark.parametrize("query", [b"?AUTO", b"?automatic", b"?x=auto"])
def test_for_people(query: bytes) -> None:
    document(answer(everything(), query))


@pytest.mark.parametrize("query", [b"", b"?auto"])
def test_head(query: bytes) -> None:
    gateway = plugin(ServerStatusResource(everything))
    client = gateway.client().send(b"HEAD /" + query + H + b"\r\n")
    assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.received.endswith(b"\r\n\r\n")
    gateway.finish(client)


def test_other_methods() -> None:
    found = ask(ServerStatusResource(everything), b"PUT /" + H + b"Content-Length: 0\r\n\r\n")
    assert (found.status, found["allow"]) == (405, "GET, HEAD")
