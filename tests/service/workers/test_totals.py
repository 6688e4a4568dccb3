"""The numbers of several workers, added up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY, Counter
from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs, formatEvent

from scgiproxy.errors import ConnectFailed
from scgiproxy.rules.health import ProbeResult
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.numbers import take_numbers
from scgiproxy.service.workers.link import Link, LinkLost
from scgiproxy.service.workers.totals import INTERVAL, PATIENCE
from scgiproxy.web.gatewaynumbers import GatewayNumbers, TimelineNumbers
from scgiproxy.web.statistics import ConnectionPhase
from tests.service.workers.cluster import START, Cluster

PAGES = ("metrics", "server-status", "balancer-manager")


# -- what happens in a process, and what is to be told of it -----------------------------------


def answer(parts: GatewayParts, mount: int, seconds: float, status: int, gone: bool) -> None:
    statistics = list(parts.mount_statistics())[mount]
    now = parts.reactor.seconds()
    statistics.record(now, seconds, b"POST", status, 10, 1000, gone)


def exchange(parts: GatewayParts, pool: int, seconds: float, status: int, gone: bool) -> None:
    member = parts.pools[pool].backends[-1]
    now = parts.reactor.seconds()
    member.elected += 1
    member.bytes_sent += status
    member.bytes_received += 2 * status
    member.statistics.record(now, now - 2 * seconds, now - seconds, None if gone else now)


def fault(parts: GatewayParts, pool: int, seconds: float, status: int, gone: bool) -> None:
    member = parts.pools[pool].backends[0]
    key = "backend.connect" if gone else "backend.status"
    member.errors += 1
    member.statistics.record_error(parts.reactor.seconds(), key)
    parts.pools[pool].statistics.queue.record(seconds)
    parts.pools[pool].statistics.retries += status // 200


events = st.tuples(
    st.integers(0, 2),
    st.sampled_from([answer, exchange, fault]),
    st.integers(0, 1),
    st.floats(0, 200),
    st.sampled_from([0, 200, 302, 404, 503]),
    st.booleans(),
)
pauses = st.floats(0, 3) | st.floats(3, 200)
steps = st.lists(events | pauses, max_size=40)


def timeline(shown: TimelineNumbers, now: float, page: str, about: Any) -> Any:
    """All that a page shows of it."""
    found: list[Any] = [about(shown.spent)]
    if page == "metrics":
        overall = shown.overall()
        found += [overall.counts, about(overall.sum)]
    else:
        recent, chart = shown.recent(now), shown.chart(now)
        found += [recent.counts, about(recent.sum)]
        found += [list(chart.requests), list(chart.errors), about(list(chart.latencies))]
    return found


def everything(numbers: GatewayNumbers, page: str, about: Any = lambda value: value) -> Any:
    """All that `page` shows of what is counted; seconds are added up in another order."""
    now = numbers.now
    mounts = [
        [
            *(mount.server, mount.path, mount.requests, mount.answers(), mount.aborted),
            *(mount.bytes_received, mount.bytes_sent, timeline(mount, now, page, about)),
        ]
        for mount in numbers.mounts
    ]
    pools = [
        [
            *(pool.name, pool.balanced, pool.statistics.retries),
            *(pool.statistics.queue.counts, about(pool.statistics.queue.sum)),
        ]
        for pool in numbers.pools
    ]
    members = [
        [
            *(pool.name, member.label, member.state_name, member.status_words, member.limit),
            *(member.elected, member.bytes_sent, member.bytes_received),
            *(member.statistics.errors, timeline(member.statistics, now, page, about)),
            member.statistics.connect.counts if page == "metrics" else None,
            member.statistics.first_byte.counts if page == "metrics" else None,
        ]
        for pool, member in numbers.backends()
    ]
    if page == "balancer-manager":
        return [], pools, members
    return mounts, pools, members


def alone(page: str, parts: GatewayParts) -> Any:
    numbers = take_numbers(parts)
    if page == "balancer-manager":
        pools = [pool for pool in parts.pools if pool.balanced]
        numbers = GatewayNumbers(now=numbers.now, started=numbers.started, pools=pools)
    return everything(numbers, page, pytest.approx)


@settings(max_examples=60)
@given(steps, st.sampled_from(PAGES), st.integers(1, 3))
def test_several_processes_tell_what_one_would_have_counted(
    steps: list[Any], page: str, asked: int
) -> None:
    """Whatever was counted where and when, whichever worker is asked, however often they told."""
    cluster = Cluster(3)
    one = GatewayParts(cluster.config, cluster.reactor)
    for step in steps:
        if isinstance(step, float):
            cluster.advance(step, step=7.0)
            continue
        number, happens, *what = step
        happens(cluster.workers[number + 1].parts, *what)
        happens(one, *what)
    numbers = cluster.ask(page, asked)
    assert numbers.now == cluster.reactor.seconds()
    assert everything(numbers, page) == alone(page, one)
    # And nothing is counted twice.
    assert everything(cluster.ask(page), page) == alone(page, one)


@settings(max_examples=30)
@given(steps, st.integers(1, 3))
def test_nothing_gets_less_when_a_worker_ends(steps: list[Any], ends: int) -> None:
    cluster = Cluster(3)
    for step in steps:
        if not isinstance(step, float):
            number, happens, *what = step
            happens(cluster.workers[number + 1].parts, *what)
    cluster.end(ends)
    asked = 1 + ends % 3
    before = everything(cluster.ask("metrics", asked), "metrics")
    cluster.start(ends)
    assert everything(cluster.ask("metrics", ends), "metrics") == before


def test_a_killed_worker_takes_its_last_second_with_it() -> None:
    cluster = Cluster()
    parts = cluster.workers[2].parts
    answer(parts, 0, 0.1, 200, False)
    cluster.advance(INTERVAL)
    answer(parts, 0, 0.1, 200, False)
    next(parts.mount_statistics()).in_flight = 3
    cluster.kill(2)
    (mount, *_) = cluster.ask("metrics").mounts
    assert (mount.requests, mount.in_flight) == (1, 0)


# -- what workers are at -----------------------------------------------------------------------


def test_what_is_at_this_moment_is_added_up_and_ends_with_its_worker() -> None:
    cluster = Cluster()
    for number, worker in cluster.workers.items():
        parts = worker.parts
        list(parts.mount_statistics())[1].in_flight = number
        parts.pools[0].backends[0].in_flight = 10 * number
        parts.pools[0].backends[0].load = 7
        parts.spool_space.bodies, parts.spool_space.memory = 1, 1000 * number
    clients = [
        cluster.workers[1].client(),
        cluster.workers[2].client(),
        cluster.workers[2].client(),
    ]
    numbers = cluster.ask("server-status", 2)
    assert numbers.mounts[1].in_flight == 3
    assert numbers.pools[0].backends[0].in_flight == 30
    assert numbers.pools[0].backends[0].load == 14
    assert (numbers.spooled_bodies, numbers.spooled_bytes) == (2, 3000)
    assert numbers.connections_in(*ConnectionPhase) == 3
    room = [take_numbers(worker.parts).room for worker in cluster.workers.values()]
    assert numbers.room == sum(room)
    cluster.kill(2)
    numbers = cluster.ask("server-status")
    assert numbers.mounts[1].in_flight == 1
    assert numbers.pools[0].backends[0].in_flight == 10
    assert numbers.connections_in(*ConnectionPhase) == 1
    for client in clients:
        client.leave()


def test_what_is_known_of_a_member_is_what_the_parent_knows() -> None:
    cluster = Cluster()
    member = cluster.parts.pools[0].backends[0]
    member.fail(ConnectFailed("127.0.0.1:4001: connection refused"))
    member.last_probe = ProbeResult(START, False, "status 503", 0.25)
    (pool,) = cluster.ask("balancer-manager", 2).pools
    told = pool.backends[0]
    assert (told.state_name, told.status_words) == ("down", "Init Err ")
    assert told.errors == 1
    assert told.last_fault is not None
    assert (told.last_fault.log_key, str(told.last_fault)) == (
        "backend.connect",
        "127.0.0.1:4001: connection refused",
    )
    assert (told.last_fault_at, told.down_until) == (START, START + 60)
    assert told.last_probe == member.last_probe
    assert told.last_probe.seconds == 0.25


def test_a_member_that_is_gone_counts_for_nothing() -> None:
    """What a worker still tells of one that name servers do not know any more."""
    cluster = Cluster()
    exchange(cluster.workers[1].parts, 0, 0.1, 200, False)
    pool = cluster.parts.pools[0]
    pool.set_backends(pool.backends[:1])
    (told,) = cluster.ask("balancer-manager").pools
    assert [member.elected for member in told.backends] == [0]


def test_of_each_worker() -> None:
    cluster = Cluster()
    cluster.advance(5.0)
    answer(cluster.workers[2].parts, 0, 0.1, 200, False)
    cluster.kill(1)
    cluster.advance(5.0)
    cluster.start(1)
    answer(cluster.workers[2].parts, 0, 0.1, 200, False)
    first, second = cluster.ask("metrics", 2).workers
    assert (first.number, second.number) == (1, 2)
    assert (first.requests, second.requests) == (0, 2)
    assert (first.restarts, second.restarts) == (1, 0)
    assert (first.started, second.started) == (START + 10, START)
    assert first.pid == second.pid > 0
    assert second.processor.user > 0
    assert cluster.ask("metrics").restarts == 1


def test_processor_time_is_that_of_all_processes() -> None:
    cluster = Cluster(3)
    numbers = cluster.ask("server-status")
    # They are the same process here, each time a little later.
    one = take_numbers(cluster.parts).processor
    assert 3.5 * one.user < numbers.processor.user <= 4 * one.user


def test_the_registries_of_all_workers() -> None:
    counter = Counter("coffee_cups", "Cups of coffee.")
    try:
        counter.inc(3)
        families = {one.name: one for one in cluster_metrics()}
        samples = [
            sample for sample in families["coffee_cups"].samples if sample.name.endswith("_total")
        ]
        assert [(one.labels, one.value) for one in samples] == [
            ({"worker": "1"}, 3.0),
            ({"worker": "2"}, 3.0),
        ]
        assert "process_cpu_seconds" in families
    finally:
        REGISTRY.unregister(counter)


def cluster_metrics() -> Any:
    return Cluster().ask("metrics").registries


# -- when it is told ---------------------------------------------------------------------------


def heard_by(link: Link) -> list[str]:
    """The topics that this end of a link is told or asked about from now on."""
    topics: list[str] = []
    respond = link._respond

    def heard(topic: str, value: Any) -> Any:
        topics.append(topic)
        return respond(topic, value)

    link._respond = heard  # type: ignore[method-assign]
    return topics


def said(cluster: Cluster, number: int) -> list[str]:
    """What this worker's parent hears."""
    return heard_by(cluster.workers[number].parents_end)


def asked(cluster: Cluster, number: int) -> list[str]:
    """What this worker hears."""
    return heard_by(cluster.workers[number].link)


def test_nothing_is_told_while_nothing_happens() -> None:
    cluster = Cluster()
    cluster.advance(2.0)
    topics = said(cluster, 1)
    cluster.advance(30.0)
    assert topics == []
    answer(cluster.workers[1].parts, 0, 0.1, 200, False)
    cluster.advance(30.0)
    assert topics == ["1 counted"]


def test_who_asks_meanwhile_waits_for_the_next_round() -> None:
    """What a worker had told before may lack what the client has just done."""
    cluster = Cluster(3)
    for worker in cluster.workers.values():
        worker.frozen = True
    topics = asked(cluster, 3)
    found: list[Any] = []
    waiting = [
        cluster.workers[number].parts.numbers("server-status", 0.0) for number in (1, 2, 3, 1, 2)
    ]
    for one in waiting:
        one.addCallback(found.append)  # type: ignore[union-attr]
    for worker in cluster.workers.values():
        worker.frozen = False
    cluster.settle()
    assert len(found) == 5
    assert 1 < topics.count("1 counted") < 5


def test_those_who_look_at_events_share_a_round() -> None:
    """However many pages on however many workers: the workers are asked once in the interval, and
    the answer is made once."""
    cluster = Cluster(3)
    topics = asked(cluster, 2)
    for _ in range(4):
        for number in (1, 2, 3):
            cluster.ask("balancer-manager", number, age=0.5)
    assert topics == ["1 counted"]
    cluster.advance(0.6, step=0.6)
    exchange(cluster.workers[3].parts, 0, 0.1, 200, False)
    (pool,) = cluster.ask("balancer-manager", 1, age=0.5).pools
    assert pool.backends[1].elected == 1
    # What changes meanwhile is there for who does not want anything old.
    exchange(cluster.workers[3].parts, 0, 0.1, 200, False)
    assert cluster.ask("balancer-manager", 2, age=0.5).pools[0].backends[1].elected == 1
    assert cluster.ask("balancer-manager", 2).pools[0].backends[1].elected == 2


def test_a_worker_that_does_not_answer() -> None:
    """The page is there all the same, with what it told before; and what it tells late counts."""
    cluster = Cluster()
    answer(cluster.workers[2].parts, 0, 0.1, 200, False)
    cluster.advance(3.0)
    cluster.workers[2].frozen = True
    answer(cluster.workers[2].parts, 0, 0.1, 200, False)
    found: list[GatewayNumbers] = []
    with capturedLogs() as events:
        for _ in range(2):
            cluster.workers[1].parts.numbers("server-status", 0.0).addCallback(found.append)  # type: ignore[union-attr]
            cluster.advance(PATIENCE + 0.1, step=0.1)
    assert [numbers.mounts[0].requests for numbers in found] == [1, 1]
    assert [worker.silent for worker in found[-1].workers] == [False, True]
    (told,) = (formatEvent(event) for event in events)
    assert (
        told == "worker 2 does not answer within 1 s: what is shown of it is what it told 3 s ago"
    )
    # Nobody waits for it twice: it tells everything when it answers.
    topics = asked(cluster, 2)
    cluster.workers[2].frozen = False
    cluster.settle()
    assert topics == ["1 counted"]
    numbers = cluster.ask("server-status")
    assert numbers.mounts[0].requests == 2
    assert not any(worker.silent for worker in numbers.workers)


def test_a_parent_that_is_gone() -> None:
    cluster = Cluster()
    worker = cluster.workers[1]
    cluster.kill(1)
    found: list[Any] = []
    worker.parts.numbers("metrics", 0.0).addErrback(found.append)  # type: ignore[union-attr]
    (failure,) = found
    assert failure.check(LinkLost)


def test_a_parent_that_does_not_answer() -> None:
    cluster = Cluster()
    worker = cluster.workers[1]
    worker.frozen = True
    found: list[Any] = []
    worker.parts.numbers("metrics", 0.0).addErrback(found.append)  # type: ignore[union-attr]
    cluster.advance(5.0)
    (failure,) = found
    assert str(failure.value) == "the parent has not answered within 5 s"
    worker.totals._telling.stop()
    cluster.reactor.advance(0)


def test_nobody_waits_any_more() -> None:
    """The client has left: nothing is left behind."""
    cluster = Cluster()
    waiting: Any = cluster.workers[1].parts.numbers("server-status", 0.0)
    found: list[Any] = []
    waiting.addErrback(found.append)
    waiting.cancel()
    cluster.settle()
    assert found[0].check(CancelledError)
    cluster.end(1)
    cluster.end(2)
    assert cluster.reactor.getDelayedCalls() == []


def test_a_page_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no numbers for coffee"):
        Cluster().ask("coffee")


# -- pages -------------------------------------------------------------------------------------


def page(cluster: Cluster, number: int, path: str) -> Any:
    client = cluster.workers[number].client().get(path)
    cluster.settle()
    for _ in range(2000):
        if client.received.endswith(b"0\r\n\r\n") or (client.answers and client.answers[0].whole):
            break
        cluster.reactor.advance(0)
    (answer,) = client.answers
    client.leave()
    return answer


@pytest.mark.parametrize("path", ["/status", "/status?auto", "/balancers", "/balancers?xml=1"])
def test_each_worker_shows_the_same(path: str) -> None:
    cluster = Cluster()
    for number in (1, 2):
        exchange(cluster.workers[number].parts, 0, 0.1, 200, False)
    first, second = page(cluster, 1, path), page(cluster, 2, path)
    assert first.status == second.status == 200
    if "?" in path:
        # The request for the page itself is one more, and nonces are another's affair.
        texts = [
            [line for line in one.body.splitlines() if b"Balancer" in line or b"httpd" in line]
            for one in (first, second)
        ]
        texts = [[line for line in lines if b"nonce" not in line] for lines in texts]
        assert texts[0] == texts[1] != []
    assert len(first.body) == pytest.approx(len(second.body), abs=40)


def test_the_manager_tells_the_sum() -> None:
    cluster = Cluster()
    for number in (1, 2):
        exchange(cluster.workers[number].parts, 0, 0.1, 200, False)
    cluster.advance(2.0)
    found = json.loads(page(cluster, 2, "/balancers?format=json").body)
    (balancer,) = found["balancers"]
    assert [member["elected"] for member in balancer["members"]] == [0, 2]
    assert sum(balancer["members"][1]["chart"]["requests"]) == 2


def test_metrics_of_workers() -> None:
    text = page(cluster := Cluster(), 2, "/metrics").body.decode()
    assert "\nscgiproxy_workers 2.0\n" in text
    assert "\nscgiproxy_worker_restarts_total 0.0\n" in text
    assert '\nscgiproxy_worker_requests_total{worker="2"} 0.0\n' in text
    assert '\nprocess_resident_memory_bytes{worker="1"} ' in text
    text = page(cluster, 2, "/metrics").body.decode()
    assert '\nscgiproxy_worker_requests_total{worker="2"} 1.0\n' in text


def test_without_the_parent_there_is_no_page() -> None:
    cluster = Cluster()
    worker = cluster.workers[1]
    client = worker.client()
    cluster.kill(1)
    with capturedLogs() as events:
        client.get("/status")
    assert client.answers[0].status == 503
    (told,) = (formatEvent(event) for event in events)
    assert told == (
        "/status cannot be answered now: there is no connection to the other end of worker 1's link"
    )
    client.leave()


def test_a_client_that_leaves_while_it_waits() -> None:
    cluster = Cluster()
    client = cluster.workers[1].client().get("/status")
    assert not client.answers
    client.leave()
    cluster.settle()
    cluster.end(1)
    cluster.end(2)
    assert cluster.parts.wheel is not None
