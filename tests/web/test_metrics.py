"""``SetHandler metrics``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scgiproxy.web.metrics import GatewayCollector, MetricsResource, prefers_openmetrics
from tests.conftest import LoggedErrors
from tests.web.answers import Answer
from tests.web.gateway_numbers import HOSTILE, everything, mount, numbers, several
from tests.web.promlint import faults
from tests.web.resources import H, ask, plugin

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends."""
WANTS_OPENMETRICS = b"Accept: application/openmetrics-text\r\n"


def scrape(made: Any, accept: bytes = b"") -> Answer:
    return ask(MetricsResource(lambda: made), b"GET /" + H + accept + b"\r\n")


def families(made: Any) -> dict[str, Metric]:
    return {family.name: family for family in parse_text(scrape(made).body.decode())}


def series(family: Metric) -> dict[Any, float]:
    """The values by name and labels."""
    return {(each.name, *sorted(each.labels.items())): each.value for each in family.samples}


@pytest.mark.parametrize("text", ["app", HOSTILE], ids=["plain", "hostile"])
def test_the_text_keeps_to_promtools_rules(text: str) -> None:
    """Every family: its name, type, help and labels; and no series twice, which Prometheus refuses."""
    found = families(everything(text))
    assert {name: faults(family) for name, family in found.items()} == {name: [] for name in found}
    for family in found.values():
        assert len(series(family)) == len(family.samples)
    assert sum(name.startswith("scgiproxy_") for name in found) > 20


def test_several_processes_keep_to_them_too() -> None:
    """What each process has of its own has its number as a label."""
    found = families(several())
    assert {name: faults(family) for name, family in found.items()} == {name: [] for name in found}
    assert series(found["scgiproxy_workers"]) == {("scgiproxy_workers",): 2}
    assert series(found["scgiproxy_worker_restarts"]) == {("scgiproxy_worker_restarts_total",): 3}
    assert series(found["scgiproxy_worker_requests"]) == {
        ("scgiproxy_worker_requests_total", ("worker", "1")): 1200,
        ("scgiproxy_worker_requests_total", ("worker", "2")): 5,
    }
    assert series(found["scgiproxy_worker_connections"]) == {
        ("scgiproxy_worker_connections", ("worker", "1")): 7,
        ("scgiproxy_worker_connections", ("worker", "2")): 0,
    }
    assert series(found["coffee_cups"]) == {
        ("coffee_cups_total", ("worker", "1")): 3,
        ("coffee_cups_total", ("worker", "2")): 4,
    }
    assert "process_cpu_seconds" not in found


def test_one_process_says_nothing_of_workers() -> None:
    assert not [name for name in families(everything()) if "worker" in name]


@pytest.mark.parametrize("text", ["app", HOSTILE], ids=["plain", "hostile"])
def test_openmetrics_says_the_same(text: str) -> None:
    """Its parser is strict: order, units, one description of each family, the end."""
    answer = scrape(everything(text), WANTS_OPENMETRICS)
    assert answer["content-type"] == OPENMETRICS
    assert answer.body.endswith(b"\n# EOF\n")
    own = {
        family.name: family
        for family in parse_openmetrics(answer.body.decode())  # type: ignore[no-untyped-call]
        if family.name.startswith("scgiproxy")
    }
    plain = families(everything(text))
    for name, family in own.items():
        same = plain[name + "_info" if family.type == "info" else name]
        assert series(family) == series(same)
    assert own["scgiproxy_request_duration_seconds"].unit == "seconds"
    assert own["scgiproxy_response_body_bytes"].unit == "bytes"


def test_each_family_is_described_once() -> None:
    """Also where its series are so many that they are written in several pieces."""
    made = numbers(mounts=[mount(path=f"/{number}/", requests=1) for number in range(100)])
    lines = scrape(made).body.decode().splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(described) == len(set(described))
    assert sum(line.startswith("scgiproxy_requests_in_flight{") for line in lines) == 100
    own_registry = CollectorRegistry()
    own_registry.register(GatewayCollector(lambda: made))
    whole = generate_latest(own_registry).decode().splitlines()
    assert [line for line in whole if "scgiproxy" in line] == [
        line for line in lines if "scgiproxy" in line
    ]


def test_the_process_is_told_of_too() -> None:
    found = families(numbers())
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "python_info"} <= set(found)


def test_what_a_plugin_counts_with_prometheus_client_is_there() -> None:
    """In its own registry, the default one."""
    counter = Counter("coffee_cups", "Cups of coffee.")
    try:
        counter.inc(3)
        (sample, *_) = families(numbers())["coffee_cups"].samples
        assert (sample.name, sample.value) == ("coffee_cups_total", 3.0)
    finally:
        REGISTRY.unregister(counter)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ('Application/OpenMetrics-Text;Version="1.0.0"', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;version=x", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
        ("application/openmetrics-text;q=nan", False),
        ("application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.5", False),
        ("text/plain;version=0.0.4;q=0.3,application/openmetrics-text;q=0.5", True),
        ("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=1.0.0;q=0.9", True),
        (PROMETHEUS_3, True),
        (";;,,=;q", False),
        ("\xff;\xff=\xff", False),
    ],
)
def test_which_format(accept: str, wanted: bool) -> None:
    assert prefers_openmetrics(accept.encode("latin-1")) is wanted
    answer = scrape(numbers(), b"Accept: " + accept.encode("latin-1") + b"\r\n")
    assert answer["content-type"] == (OPENMETRICS if wanted else PLAIN)


def test_fields_of_the_answer() -> None:
    answer = scrape(numbers())
    assert answer.status == 200
    assert answer["cache-control"] == "no-store"
    assert answer["vary"] == "Accept"
    assert answer["x-content-type-options"] == "nosniff"


def test_head() -> None:
    gateway = plugin(MetricsResource(numbers))
    client = gateway.client().send(b"HEAD /" + H + b"\r\n")
    gateway.settle()
    assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert PLAIN.encode() in client.received
    assert client.received.endswith(b"\r\n\r\n")
    gateway.finish(client)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE"])
def test_other_methods(method: bytes) -> None:
    answer = ask(MetricsResource(numbers), method + b" /" + H + b"Content-Length: 0\r\n\r\n")
    assert answer.status == 405
    assert answer["allow"] == "GET, HEAD"


def many() -> Any:
    return numbers(mounts=[mount(path=f"/{number}/") for number in range(300)])


def test_requests_have_their_turn_while_the_text_is_made() -> None:
    """A scrape of many mounts takes a while, and is written in pieces."""
    gateway = plugin(MetricsResource(many))
    client = gateway.client().get()
    other = gateway.client().send(b"HEAD /" + H + b"\r\n")
    assert other.received.startswith(b"HTTP/1.1 200 OK\r\n")
    before = client.received
    assert before.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not before.endswith(b"0\r\n\r\n")
    while gateway.clock.getDelayedCalls() and not client.received.endswith(b"0\r\n\r\n"):
        gateway.clock.advance(0)
    assert client.answer.whole
    assert len(client.received) > 10 * len(before)
    gateway.finish(client, other)


def test_a_client_that_leaves_early() -> None:
    """Nothing more is collected for it, and nothing is left behind."""
    gateway = plugin(MetricsResource(many))
    client = gateway.client().get()
    gateway.finish(client)


def test_numbers_that_cannot_be_had(logged_errors: LoggedErrors) -> None:
    """A failure before the first byte is an error page."""

    def fail() -> Any:
        raise RuntimeError("no numbers")

    assert ask(MetricsResource(fail)).status == 500
    (event,) = logged_errors.flush()
    assert "no numbers" in event["log_failure"].getErrorMessage()


def test_a_failure_in_the_middle_is_seen(logged_errors: LoggedErrors) -> None:
    """The answer must not look whole."""

    class Broken:
        def collect(self) -> Iterator[Metric]:
            raise RuntimeError("broken collector")

        def describe(self) -> list[Metric]:
            return []

    broken = Broken()
    REGISTRY.register(broken)
    try:
        gateway = plugin(MetricsResource(numbers))
        client = gateway.client().get()
        gateway.advance(1)
        assert client.closed == "aborted"
        assert not client.answer.whole
        (event,) = logged_errors.flush()
        assert "broken collector" in event["log_failure"].getErrorMessage()
    finally:
        REGISTRY.unregister(broken)
    gateway.finish(client)
