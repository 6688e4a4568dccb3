"""What each number is called, and what is added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from scgiproxy.pool.condition import BACKEND_STATES
from scgiproxy.pool.histogram import BUCKETS
from scgiproxy.web.gatewaynumbers import GatewayNumbers
from scgiproxy.web.metricfamilies import families
from tests.web.gateway_numbers import HOSTILE, STARTED, Backend, Pool, everything, mount, numbers


def samples(made: GatewayNumbers, name: str) -> dict[tuple[str, ...], float]:
    """The values of one name, by the values of the labels in their order; each is there once."""
    found = [
        (tuple(sample.labels.values()), sample.value)
        for family in families(made)
        for sample in family.samples
        if sample.name == f"scgiproxy_{name}"
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_the_gateway() -> None:
    made = everything()
    assert samples(made, "build_info") == {("scgiproxy", "1.2.3"): 1}
    assert samples(made, "start_time_seconds") == {(): STARTED}
    assert samples(made, "config_last_reload_successful") == {(): 1}
    assert samples(made, "config_last_reload_success_timestamp_seconds") == {(): STARTED}
    assert samples(made, "connections") == {
        ("reading",): 1,
        ("waiting",): 2,
        ("sending",): 3,
        ("idle",): 4,
        ("closing",): 5,
    }
    assert samples(made, "connections_room") == {(): 20}
    assert samples(made, "accepting") == {(): 0}
    assert samples(made, "accepting_pauses_total") == {(): 3}
    assert samples(made, "connections_refused_total") == {(): 4}
    assert samples(made, "spooled_bodies") == {(): 2}
    assert samples(made, "spooled_bytes") == {(): 3_000_000}


def test_a_configuration_that_could_not_be_read() -> None:
    """What is in force is the one before it."""
    made = replace(everything(), configured=STARTED + 60, is_current=False)
    assert samples(made, "config_last_reload_successful") == {(): 0}
    assert samples(made, "config_last_reload_success_timestamp_seconds") == {(): STARTED + 60}


def test_a_mount() -> None:
    made = everything()
    app = ("app", "/app/")
    found = samples(made, "requests_total")
    assert {labels: value for labels, value in found.items() if value} == {
        (*app, "GET", "2xx"): 20,
        (*app, "other", "5xx"): 1,
    }
    assert found[(*app, "GET", "5xx")] == 0
    none = ("app", "none")
    assert samples(made, "requests_in_flight") == {none: 0, app: 2}
    assert samples(made, "responses_aborted_total") == {none: 0, app: 1}
    assert samples(made, "request_body_bytes_total") == {none: 0, app: 200}
    assert samples(made, "response_body_bytes_total") == {none: 0, app: 20_000}
    assert samples(made, "request_duration_seconds_count")[app] == 21
    assert abs(samples(made, "request_duration_seconds_sum")[app] - 4.5) < 1e-9


def test_buckets_are_cumulative() -> None:
    found = samples(everything(), "request_duration_seconds_bucket")
    counts = {bound: count for (_, path, bound), count in found.items() if path == "/app/"}
    assert [float(bound) for bound in counts] == list(BUCKETS)
    assert counts["0.064"] == 0
    assert counts["0.128"] == counts["2.048"] == 20
    assert counts["4.096"] == counts["+Inf"] == 21


def test_a_pool() -> None:
    made = everything()
    alone, app = ("scgi://[::1]:4000",), ("balancer://app",)
    assert samples(made, "queued_requests") == {alone: 0, app: 3}
    assert samples(made, "retries_total") == {alone: 0, app: 4}
    assert samples(made, "queue_duration_seconds_count") == {alone: 0, app: 1}
    assert samples(made, "queue_duration_seconds_sum") == {alone: 0, app: 0.25}


def test_a_backend() -> None:
    made = everything()
    balancer = "balancer://app"
    first, second = (balancer, "scgi://app:4000"), (balancer, "scgi://app:4001")

    def told(name: str) -> Mapping[tuple[str, ...], float]:
        return {key: value for key, value in samples(made, name).items() if key[0] == balancer}

    assert told("backend_up") == {first: 1, second: 0}
    assert told("backend_state") == {
        **{(*first, state): state == "up" for state in BACKEND_STATES},
        **{(*second, state): state == "down" for state in BACKEND_STATES},
    }
    assert told("backend_errors_total") == {(*second, "backend.connect"): 1}
    assert told("backend_requests_in_flight") == {first: 2, second: 0}
    assert told("backend_requests_total") == {first: 12, second: 0}
    assert told("backend_sent_bytes_total") == {first: 4096, second: 0}
    assert told("backend_received_bytes_total") == {first: 0, second: 5000}
    assert told("backend_connect_duration_seconds_sum") == {first: 1, second: 0}
    assert told("backend_first_byte_duration_seconds_sum") == {first: 0.25, second: 0}
    assert told("backend_response_duration_seconds_sum") == {first: 2, second: 0}


def test_what_has_the_same_labels_is_added_up() -> None:
    """Two series of the same labels are an error to Prometheus."""
    backends = [Backend("scgi://a:1", elected=3), Backend("scgi://a:1", "disabled", elected=4)]
    for backend in backends:
        backend.statistics.record(STARTED, STARTED - 3, STARTED - 2, STARTED - 1)
        backend.statistics.record_error(STARTED, "backend.connect")
    made = numbers(
        mounts=[mount("", "/a/", 2), mount("", "/a/", 3)],
        pools=[Pool("scgi://a:1", [backend], balanced=False, queued=1) for backend in backends],
    )
    assert samples(made, "requests_total")["", "/a/", "GET", "2xx"] == 5
    assert samples(made, "request_duration_seconds_count") == {("", "/a/"): 5}
    assert samples(made, "queued_requests") == {("scgi://a:1",): 2}
    backend_labels = ("scgi://a:1", "scgi://a:1")
    assert samples(made, "backend_requests_total") == {backend_labels: 7}
    assert samples(made, "backend_connect_duration_seconds_count") == {backend_labels: 2}
    assert samples(made, "backend_errors_total") == {(*backend_labels, "backend.connect"): 2}
    # Up only if all of them are; each of their states is told.
    assert samples(made, "backend_up") == {backend_labels: 0}
    states = {state for (*_, state), value in samples(made, "backend_state").items() if value}
    assert states == {"up", "disabled"}


def test_nothing_of_a_client_makes_a_series() -> None:
    served = mount()
    for number in range(500):
        served.record(STARTED, 0.1, b"M%d" % number, number, 0, 0)
    methods = {method for _, _, method, _ in samples(numbers(mounts=[served]), "requests_total")}
    assert methods == {"other"}


def test_text_that_is_no_utf_8() -> None:
    """It is told as escapes, so that the whole can be encoded."""
    for family in families(everything(HOSTILE)):
        for sample in family.samples:
            for value in sample.labels.values():
                value.encode()


def test_pieces_are_small_and_families_together() -> None:
    """No piece takes long to write, and no family is begun twice."""
    made = numbers(
        mounts=[mount(path=f"/{number}/", requests=1) for number in range(50)],
        pools=[Pool(f"{number}", [Backend(), Backend("b")]) for number in range(50)],
    )
    pieces = list(families(made))
    assert max(len(piece.samples) for piece in pieces) <= len(BUCKETS) + 2
    names = [name for name, _ in groupby(piece.name for piece in pieces)]
    assert len(names) == len(set(names))
