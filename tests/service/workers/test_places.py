"""`max` and busyness across workers: pools, over links in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scgiproxy.pool.place import Stage
from tests.service.workers.gateway import BALANCER, Worker, WorkersGateway, make

__all__ = ["make"]

LIMITED = "ProxyPass / scgi://127.0.0.1:1/ max=3\n"


def in_flight(gateway: WorkersGateway, number: int = 1) -> int:
    return sum(_member(worker, number).in_flight for worker in gateway.workers)


def _member(process: Any, number: int) -> Any:
    return next(one for one in process.pool.backends if f":{number}" in one.label)


def edit(gateway: WorkersGateway, **fields: str) -> None:
    worker = gateway.workers[0]
    form = {"b": "b", "nonce": worker.balancer.nonce, "w": "scgi://127.0.0.1:1"}
    worker.members.change([worker.balancer], {**form, **fields}, "")
    gateway.settle()


class TestMax:
    @pytest.mark.parametrize(
        "text", [LIMITED, BALANCER.replace(":1 ", ":1 max=3 ").replace(":2 ", ":2 status=D ")]
    )
    def test_is_that_of_all_together(self, make: Any, text: str) -> None:
        gateway = make(text)
        calls = [worker.call() for _ in range(5) for worker in gateway.workers]
        gateway.settle()
        assert in_flight(gateway) == 3
        for served in range(1, 11):
            done = next(call for call in calls if call.dispatch.stage is Stage.CONNECTED)
            done.dispatch.release()
            gateway.settle()
            gateway.pass_time(0.06)
            assert in_flight(gateway) == min(3, 10 - served)
        assert all(call.dispatch.stage is Stage.ENDED for call in calls)

    def test_one_worker_may_have_them_all(self, make: Any) -> None:
        gateway = make(LIMITED)
        for _ in range(4):
            gateway.workers[0].call()
        gateway.settle()
        assert gateway.workers[0].pool.queued == 1
        assert in_flight(gateway) == 3

    def test_a_freed_place_goes_to_another_worker_at_once(self, make: Any) -> None:
        gateway = make(LIMITED)
        one, other = gateway.workers
        calls = [one.call() for _ in range(3)]
        gateway.settle()
        waiting = other.call()
        gateway.settle()
        assert waiting.told == 0
        calls[0].dispatch.release()
        gateway.settle()
        assert waiting.told == 1

    def test_places_of_a_dead_worker_come_back(self, make: Any) -> None:
        gateway = make(LIMITED)
        one, other = gateway.workers
        for _ in range(3):
            one.call()
        gateway.settle()
        waiting = [other.call() for _ in range(3)]
        gateway.settle()
        gateway.kill(one)
        gateway.settle()
        assert all(call.told for call in waiting)
        gateway.start(1)
        gateway.settle()
        late = gateway.workers[-1].call()
        gateway.pass_time(0.1)
        waiting[0].dispatch.release()
        gateway.settle()
        assert late.told

    def test_a_worker_that_holds_some_says_nothing(self, make: Any) -> None:
        gateway = make("ProxyPass / scgi://127.0.0.1:1/ max=8\n")
        worker = gateway.workers[0]
        worker.link.tell = None
        for _ in range(20):
            calls = [worker.call() for _ in range(4)]
            assert all(call.told for call in calls)
            for call in calls:
                call.dispatch.release()

    def test_that_is_new_counts_what_is_in_flight(self, make: Any) -> None:
        gateway = make(BALANCER.replace(":2 ", ":2 status=D "))
        calls = [worker.call() for _ in range(2) for worker in gateway.workers]
        edit(gateway, w_max="3")
        waiting = gateway.workers[0].call()
        gateway.pass_time(0.1)
        assert in_flight(gateway) == 4
        for call in calls[:2]:
            assert waiting.told == 0
            call.dispatch.release()
            gateway.pass_time(0.1)
        assert waiting.told
        assert in_flight(gateway) == 3

    def test_that_is_taken_back_lets_all_in(self, make: Any) -> None:
        gateway = make(BALANCER.replace(":1 ", ":1 max=1 ").replace(":2 ", ":2 status=D "))
        calls = [worker.call() for _ in range(2) for worker in gateway.workers]
        gateway.pass_time(0.1)
        assert in_flight(gateway) == 1
        edit(gateway, w_max="0")
        assert all(call.told for call in calls)
        calls[0].dispatch.release()
        gateway.pass_time(0.1)
        edit(gateway, w_max="2")
        gateway.workers[1].call()
        gateway.pass_time(0.1)
        assert in_flight(gateway) == 3


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), limit=st.integers(1, 4), count=st.integers(2, 3))
def test_whatever_happens(make: Any, data: st.DataObject, limit: int, count: int) -> None:
    """Requests of two members, one with a limit, in workers that die: never too many, and all end."""
    gateway = make(BALANCER.replace(":1 ", f":1 max={limit} ").replace(":2 ", ":2 max=1 "), count)
    calls: dict[Worker, list[Any]] = {worker: [] for worker in gateway.workers}
    steps = st.sampled_from(("call", "call", "call", "end", "cancel", "settle", "pass", "kill"))
    for step in data.draw(st.lists(steps, max_size=40)):
        worker = data.draw(st.sampled_from(gateway.workers))
        open_calls = [one for one in calls[worker] if one.dispatch.stage is not Stage.ENDED]
        if step == "call":
            calls[worker].append(worker.call())
        elif step in ("end", "cancel") and open_calls:
            one = data.draw(st.sampled_from(open_calls)).dispatch
            one.release() if step == "end" else one.cancel()
        elif step == "settle":
            gateway.settle()
        elif step == "pass":
            gateway.pass_time(0.06)
        elif step == "kill":
            gateway.kill(worker)
            calls[gateway.start(worker.number)] = []
        assert in_flight(gateway) <= limit
        assert in_flight(gateway, 2) <= 1
    for _ in range(200):
        gateway.pass_time(0.06)
        left = [
            one
            for worker in gateway.workers
            for one in calls[worker]
            if one.dispatch.stage is not Stage.ENDED
        ]
        if not left:
            break
        next(one for one in left if one.dispatch.stage is Stage.CONNECTED).dispatch.release()
    assert not left
    gateway.end()


class TestBusyness:
    def test_is_of_all_workers(self, make: Any) -> None:
        gateway = make(BALANCER.replace("growth=2", "lbmethod=bybusyness"))
        one, other = gateway.workers
        first = one.call()
        gateway.settle()
        assert other.call().backend.label != first.backend.label
        gateway.pass_time(0.06)
        assert [m.elsewhere for m in gateway.parent.pool.backends] == [1, 1]
        assert sorted(m.elsewhere for m in one.pool.backends) == [0, 1]
        gateway.kill(other)
        gateway.pass_time(0.06)
        assert [m.elsewhere for m in one.pool.backends] == [0, 0]
        late = gateway.start(2)
        gateway.settle()
        assert [m.elsewhere for m in late.pool.backends] == [m.in_flight for m in one.pool.backends]
        first.dispatch.release()
        gateway.pass_time(0.06)
        assert not any(m.elsewhere for m in late.pool.backends)

    def test_is_told_at_intervals(self, make: Any) -> None:
        gateway = make()
        worker = gateway.workers[0]
        sent: list[str] = []
        tell = worker.link.tell
        worker.link.tell = lambda topic, value: (sent.append(topic), tell(topic, value))
        for _ in range(1000):
            worker.call().dispatch.release()
            gateway.reactor.advance(0.0001)
        worker.call()
        gateway.pass_time(0.06)
        assert 1 <= len(sent) <= 4
        assert sum(one.elsewhere for one in gateway.parent.pool.backends) == 1

    def test_places_go_ahead_to_who_runs_out_of_them(self, make: Any) -> None:
        """Although no request waits: another member has room for it."""
        gateway = make(BALANCER.replace(":1 ", ":1 max=8 loadfactor=9 "))
        worker = gateway.workers[0]
        for _ in range(5):
            worker.call()
        assert worker.member().in_flight == worker.member().places == 4
        gateway.pass_time(0.1)
        assert worker.member().places > 4
