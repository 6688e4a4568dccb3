"""Places at a member that several processes use: never too many, and nobody waits for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.lending import Borrower, Lease, Ledger
from scgiproxy.rules.backend import BackendSettings


class Channel:
    """One direction of a link: what is said arrives later, in order. Has the methods of `to`."""

    def __init__(self, to: Callable[[str, int], object]) -> None:
        self._to = to
        self.messages: deque[tuple[str, int]] = deque()

    def __getattr__(self, name: str) -> Callable[[int], None]:
        return lambda value: self.messages.append((name, value))

    def deliver(self) -> None:
        self._to(*self.messages.popleft())


class Worker:
    """Requests that come are in flight at one member, or wait for a place there."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.waiting = 0
        self.served = 0
        self.later: list[Callable[[], object]] = []
        self.to_parent = Channel(self._say)
        self.to_worker = Channel(lambda name, value: getattr(self.lease, name)(value))
        self.backend = Backend(
            "scgi://x",
            UnixAddress("/x"),
            b"",
            BackendSettings(max_connections=gateway.ledger.limit),
            clock=Clock(),
            balancer="b",
        )
        self.backend.sharing = self
        self._lend()

    def _lend(self) -> None:
        self.lease = Lease(
            self.backend,
            self.to_parent,  # type: ignore[arg-type]
            serve=self.serve,
            later=lambda call: self.later.append(call),
        )

    def _say(self, name: str, value: int) -> None:
        getattr(self.gateway.ledger, name)(self.to_worker, value)

    # Sharing

    def taken(self) -> None:
        pass

    def given_back(self) -> None:
        self.lease.freed()

    def judged(self) -> None:
        pass

    # requests

    def request(self) -> None:
        self.waiting += 1
        if self.waiting > 1:
            self.lease.want(self.waiting)
        else:
            self.serve()

    def serve(self) -> None:
        while self.waiting and not self.backend.full():
            self.backend.take()
            self.waiting -= 1
            self.served += 1
        if self.waiting:
            self.lease.want(self.waiting)

    def end(self) -> None:
        self.backend.give_back()
        self.serve()

    def leave(self) -> None:
        """One who waits is gone."""
        self.waiting -= 1

    def turn(self) -> None:
        later, self.later = self.later, []
        for call in later:
            call()


class Gateway:
    """A parent with a ledger, and its workers."""

    def __init__(self, limit: int, count: int) -> None:
        self.ledger = Ledger(limit, limit // count)
        self.workers: list[Worker] = []
        for _ in range(count):
            self.start()

    def start(self) -> None:
        self.workers.append(Worker(self))
        self.ledger.join(self.workers[-1].to_worker)  # type: ignore[arg-type]

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.ledger.leave(worker.to_worker)  # type: ignore[arg-type]

    @property
    def in_flight(self) -> int:
        return sum(worker.backend.in_flight for worker in self.workers)

    @property
    def waiting(self) -> int:
        return sum(worker.waiting for worker in self.workers)

    def settle(self) -> None:
        """Everything that was said arrives."""
        for _ in range(200):
            if not any(self._step(worker) for worker in self.workers):
                return
        raise AssertionError("they never stop talking")

    @staticmethod
    def _step(worker: Worker) -> bool:
        had = bool(worker.later or worker.to_parent.messages or worker.to_worker.messages)
        worker.turn()
        for channel in (worker.to_parent, worker.to_worker):
            if channel.messages:
                channel.deliver()
        return had

    def check(self) -> None:
        for worker in self.workers:
            assert worker.backend.in_flight <= worker.lease.held
        assert self.in_flight <= self.ledger.limit


ACTIONS = ("request", "request", "end", "leave", "turn", "down", "up", "rotate", "used")


@settings(max_examples=400)
@given(st.data(), st.integers(1, 6), st.integers(1, 4))
def test_never_too_many_and_nobody_starves(data: st.DataObject, limit: int, count: int) -> None:
    """Whatever comes when, with links as slow as they like, and workers that die and are
    replaced; when requests stop coming, all that wait are served."""
    gateway = Gateway(limit, count)
    steps = data.draw(
        st.lists(
            st.tuples(st.sampled_from((*ACTIONS, "kill")), st.integers(0, count - 1)), max_size=80
        )
    )
    for action, index in steps:
        worker = gateway.workers[index]
        act(gateway, worker, action)
        gateway.check()
    for _ in range(400):
        if not gateway.waiting:
            break
        gateway.settle()
        gateway.check()
        gateway.ledger.rotate()
        gateway.settle()
        busy = [worker for worker in gateway.workers if worker.backend.in_flight]
        if busy:
            data.draw(st.sampled_from(busy)).end()
        gateway.check()
    assert not gateway.waiting
    while gateway.in_flight:
        next(worker for worker in gateway.workers if worker.backend.in_flight).end()
    gateway.settle()
    held = sum(worker.lease.held for worker in gateway.workers)
    assert held + gateway.ledger.free == limit


def act(gateway: Gateway, worker: Worker, action: str) -> None:
    if action == "request":
        worker.request()
    elif action == "end" and worker.backend.in_flight:
        worker.end()
    elif action == "leave" and worker.waiting:
        worker.leave()
    elif action == "turn":
        worker.turn()
    elif action == "down" and worker.to_worker.messages:
        worker.to_worker.deliver()
    elif action == "up" and worker.to_parent.messages:
        worker.to_parent.deliver()
    elif action == "rotate":
        gateway.ledger.rotate()
    elif action == "used":
        in_flight: dict[Any, int] = {
            one.to_worker: one.backend.in_flight for one in gateway.workers
        }
        gateway.ledger.used(
            in_flight=worker.backend.in_flight, worker=worker.to_worker, others=in_flight
        )  # type: ignore[arg-type]
    elif action == "kill":
        gateway.kill(worker)
        gateway.start()


@settings(max_examples=200)
@given(st.data(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_a_limit_that_changes(data: st.DataObject, limit: int, other: int, count: int) -> None:
    """What is in flight over a lower limit stays; nothing comes on top of it in the end."""
    gateway = Gateway(limit, count)
    steps = data.draw(
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, count - 1)), max_size=30)
    )
    for action, index in steps:
        act(gateway, gateway.workers[index], action)
    gateway.ledger.set_limit(other)
    gateway.settle()
    over = max(gateway.in_flight, other)
    for action, index in data.draw(
        st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, count - 1)), max_size=30)
    ):
        act(gateway, gateway.workers[index], action)
        assert gateway.in_flight <= over
        over = max(min(over, gateway.in_flight), other)
    for _ in range(400):
        gateway.settle()
        gateway.ledger.rotate()
        gateway.settle()
        if not gateway.waiting:
            break
        next(worker for worker in gateway.workers if worker.backend.in_flight).end()
    assert not gateway.waiting
    assert sum(worker.lease.held for worker in gateway.workers) + gateway.ledger.free == other


class TestPlaces:
    def test_those_held_cost_no_word(self) -> None:
        gateway = Gateway(6, 2)
        gateway.settle()
        one = gateway.workers[0]
        for _ in range(3):
            one.request()
        for _ in range(3):
            one.end()
        assert one.served == 3
        assert not one.to_parent.messages

    def test_idle_ones_go_where_they_are_wanted(self) -> None:
        gateway = Gateway(6, 2)
        gateway.settle()
        one, other = gateway.workers
        for _ in range(6):
            one.request()
        gateway.settle()
        assert one.backend.in_flight == 6
        assert other.lease.held == 0

    def test_who_does_nothing_any_more_has_its_share(self) -> None:
        gateway = Gateway(6, 2)
        gateway.settle()
        one, other = gateway.workers
        for _ in range(5):
            one.request()
        gateway.settle()
        while one.backend.in_flight:
            one.end()
        act(gateway, one, "used")
        gateway.settle()
        assert (one.lease.held, other.lease.held) == (3, 3)

    def test_a_freed_one_goes_where_it_is_wanted_at_once(self) -> None:
        gateway = Gateway(2, 2)
        gateway.settle()
        one, other = gateway.workers
        for _ in range(3):
            one.request()
        other.request()
        gateway.settle()
        assert (one.backend.in_flight, one.waiting) == (1, 2)
        other.end()
        gateway.settle()
        assert (one.backend.in_flight, one.waiting) == (2, 1)

    def test_fewer_than_workers_go_round(self) -> None:
        """The one who has it would never let it go by himself: there is always a next one."""
        gateway = Gateway(1, 3)
        for worker in gateway.workers:
            for _ in range(5):
                worker.request()
        gateway.settle()
        for _ in range(6):
            gateway.ledger.rotate()
            gateway.settle()
            (busy,) = (worker for worker in gateway.workers if worker.backend.in_flight)
            busy.end()
            gateway.settle()
        assert all(worker.served >= 2 for worker in gateway.workers)

    def test_room_is_made_before_one_is_handed_over(self) -> None:
        """Connections that are kept ready for no request count, too."""
        gateway = Gateway(2, 1)
        gateway.settle()
        (worker,) = gateway.workers
        rooms: list[tuple[int | None, int]] = []
        worker.lease._make_room = lambda: rooms.append(
            (worker.backend.places, len(worker.to_parent.messages))
        )
        worker.lease.spare(1)
        assert rooms == [(1, 0)]
        assert list(worker.to_parent.messages) == [("given_back", 1)]

    def test_those_of_a_dead_worker_return(self) -> None:
        gateway = Gateway(2, 2)
        gateway.settle()
        one, other = gateway.workers
        for _ in range(2):
            one.request()
            other.request()
        gateway.settle()
        gateway.kill(other)
        gateway.settle()
        assert one.backend.in_flight == 2

    def test_a_new_limit_counts_what_is_in_flight(self) -> None:
        """Nothing is lent before each worker has said what it has."""
        granted: list[tuple[str, int]] = []
        a, b = (Channel(partial(lambda *said: granted.append(said))) for _ in range(2))
        borrowers: list[Borrower] = [a, b]  # type: ignore[list-item]
        ledger = Ledger(4, 2, borrowers)
        ledger.claimed(borrowers[0], 3)
        assert ledger.free == 0
        assert not a.messages
        ledger.wanted(borrowers[1], 1)  # of a lease before this one
        ledger.claimed(borrowers[1], 0)
        assert not a.messages
        assert list(b.messages) == [("granted", 1)]
        assert ledger.free == 0

    @pytest.mark.parametrize("claims", [True, False])
    def test_who_does_not_say_what_he_has_is_not_waited_for(self, claims: bool) -> None:
        a = Channel(print)
        ledger = Ledger(2, 2, [a])  # type: ignore[list-item]
        if claims:
            ledger.claimed(a, 1)  # type: ignore[arg-type]
        ledger.forget_unclaimed()
        ledger.wanted(a, 1)  # type: ignore[arg-type]
        assert ("granted", 1) in a.messages
