"""leasttime goes where an answer may be expected soonest."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from scgiproxy.errors import BadResponse
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.methods.leasttime import DECAY, LeastTime
from tests.pool.methods.members import choose, make_member, make_members


class Farm:
    """Members with fixed response times, and clients that ask again as soon as they are answered.

    A member that `fails` has a fault in place of an answer, after its time.
    """

    def __init__(self, times: dict[str, float], clients: int, seed: int = 1) -> None:
        self.clock = Clock()
        self.members = [make_member(name, ignore_errors=True) for name in times]
        self.times = times
        self.fails: set[str] = set()
        self.method = LeastTime(self.clock.seconds, Random(seed))
        self.served: Counter[str] = Counter()
        self.waits: list[float] = []
        self.most_in_flight: Counter[str] = Counter()
        self._numbers = count()
        self._events: list[tuple[float, int, Backend, float]] = []
        for _ in range(clients):
            self._ask()

    def _ask(self) -> None:
        member = choose(self.method, self.members)
        member.take()
        name = member.label
        self.most_in_flight[name] = max(self.most_in_flight[name], member.in_flight)
        now = self.clock.seconds()
        ends = now + self.times[name]
        heapq.heappush(self._events, (ends, next(self._numbers), member, now))

    def pause(self, seconds: float) -> None:
        """Nobody is answered for that long."""
        self.clock.advance(seconds)
        self._events = [(ends + seconds, *rest) for ends, *rest in self._events]  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Go on for that long; what is counted begins anew."""
        self.served.clear()
        self.waits.clear()
        self.most_in_flight.clear()
        end = self.clock.seconds() + seconds
        while self._events[0][0] <= end:
            ends, _, member, begun = heapq.heappop(self._events)
            self.clock.advance(ends - self.clock.seconds())
            if member.label in self.fails:
                member.give_back(BadResponse("x"))
                self.method.failed(member, ends - begun, ends)
            else:
                self.method.observe(member, ends - begun, ends)
                member.give_back()
            self.served[member.label] += 1
            self.waits.append(ends - begun)
            self._ask()


def scene(*factors: float) -> tuple[LeastTime, list[Backend]]:
    return LeastTime(Clock().seconds, Random(1)), make_members(*factors)


def shares(method: LeastTime, members: list[Backend], times: int = 1000) -> Counter[str]:
    return Counter(choose(method, members).label for _ in range(times))


class TestTheCost:
    def test_the_faster_of_two(self) -> None:
        method, (a, b) = scene(1, 1)
        method.observe(a, 0.010, 0)
        method.observe(b, 0.020, 0)
        assert shares(method, [a, b]) == {"a": 1000}

    def test_times_the_requests_in_flight_and_one(self) -> None:
        method, (a, b) = scene(1, 1)
        method.observe(a, 0.010, 0)
        method.observe(b, 0.025, 0)
        a.in_flight = 1
        assert shares(method, [a, b]) == {"a": 1000}
        a.in_flight = 2
        assert shares(method, [a, b]) == {"b": 1000}

    def test_by_load_factor(self) -> None:
        method, (a, b) = scene(1, 3)
        method.observe(a, 0.010, 0)
        method.observe(b, 0.010, 0)
        b.in_flight = 1
        assert shares(method, [a, b]) == {"b": 1000}
        b.in_flight = 3
        assert shares(method, [a, b]) == {"a": 1000}

    def test_equals_are_taken_at_random(self) -> None:
        """So that nobody waits for ever for its first request."""
        method, members = scene(1, 1)
        assert 400 < shares(method, members)["a"] < 600

    def test_the_best_of_many_is_not_asked_by_all(self) -> None:
        """Two are drawn: of four, the best is among them half of the time, the worst never wins."""
        method, members = scene(1, 1, 1, 1)
        for number, member in enumerate(members, 1):
            method.observe(member, number / 100, 0)
        found = shares(method, members)
        assert 450 < found["a"] < 550
        assert found["d"] == 0

    def test_a_strong_member_is_drawn_more_often(self) -> None:
        """Its share is by its load factor, also among many: two thirds of four members' work."""
        method, members = scene(6, 1, 1, 1)
        served: Counter[str] = Counter()
        in_flight: list[Backend] = []
        for _ in range(4000):
            chosen = choose(method, members)
            chosen.in_flight += 1
            in_flight.append(chosen)
            served[chosen.label] += 1
            if len(in_flight) > 40:
                in_flight.pop(0).in_flight -= 1
        assert served["a"] == pytest.approx(4000 * 6 / 9, rel=0.05)

    def test_one_alone(self) -> None:
        method, (a,) = scene(1)
        assert choose(method, [a]) is a

    @given(st.lists(st.integers(1, 10000), min_size=1, max_size=8), st.integers())
    def test_it_is_always_a_candidate(self, factors: list[int], seed: int) -> None:
        method = LeastTime(Clock().seconds, Random(seed))
        members = [make_member(str(number)) for number in range(len(factors))]
        for member, factor in zip(members, factors, strict=True):
            member.factor = factor
        assert choose(method, members) in members


class TestTheAverage:
    def test_a_slower_answer_takes_effect_at_once(self) -> None:
        method, (a, _) = scene(1, 1)
        method.observe(a, 0.010, 0)
        method.observe(a, 0.300, 0.5)
        assert a.latency == 0.300

    def test_faster_ones_do_with_the_time(self) -> None:
        """After one time constant a third (1/e) of the difference is left."""
        method, (a, _) = scene(1, 1)
        method.observe(a, 1.0, 0)
        for step in range(1, 1001):
            method.observe(a, 0.010, step * DECAY / 1000)
        assert a.latency == pytest.approx(0.010 + 0.990 / 2.71828, rel=0.1)

    def test_many_answers_at_once_weigh_nothing(self) -> None:
        method, (a, _) = scene(1, 1)
        method.observe(a, 1.0, 0)
        for _ in range(1000):
            method.observe(a, 0.010, 0)
        assert a.latency == 1.0

    def test_a_clock_that_is_set_back(self) -> None:
        """And answers in no time, or in less: nothing is divided by it."""
        method, (a, b) = scene(1, 1)
        method.observe(a, 0.5, 1000)
        method.observe(a, -3.0, 10)
        method.observe(b, 0.0, 10)
        assert a.latency == 0.5
        assert 0 < b.latency < 0.001
        assert shares(method, [a, b]) == {"b": 1000}

    def test_a_member_that_was_slow_is_tried_again(self) -> None:
        """What it was like is forgotten; it is expected to be like the others."""
        clock = Clock()
        method = LeastTime(clock.seconds, Random(1))
        a, b = members = make_members(1, 1)
        method.observe(b, 0.3, 0)
        for _ in range(60):
            clock.advance(1)
            method.observe(a, 0.005, clock.seconds())
        a.in_flight = 1
        assert shares(method, members) == {"b": 1000}

    @given(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.floats(0, 60), st.floats(0, 100)), max_size=30
        )
    )
    def test_an_average_is_among_what_was_observed(
        self, answers: list[tuple[str, float, float]]
    ) -> None:
        clock = Clock()
        method = LeastTime(clock.seconds, Random(1))
        members = {member.label: member for member in make_members(1, 1, 1)}
        observed = [1e-6]
        for name, seconds, pause in answers:
            clock.advance(pause)
            observed.append(seconds)
            method.observe(members[name], seconds, clock.seconds())
            assert 0 < members[name].latency <= max(observed) * (1 + 1e-9)
        choose(method, list(members.values()))


class TestColdStart:
    def test_requests_are_spread_before_the_first_answer(self) -> None:
        """By the requests in flight, as far as two of three are looked at."""
        farm = Farm({"a": 1, "b": 1, "c": 1}, clients=30)
        assert all(8 <= member.in_flight <= 12 for member in farm.members)

    def test_who_has_not_answered_does_not_draw_everybody(self) -> None:
        """While c has not, it is expected to be as fast as the others."""
        farm = Farm({"a": 0.01, "b": 0.01, "c": 0.6}, clients=30)
        farm.run(0.59)
        assert 8 <= farm.most_in_flight["c"] <= 15

    def test_a_new_member_gets_no_more_in_flight_than_the_others(self) -> None:
        """It is slow, which nobody knows before its first answer."""
        farm = Farm({"a": 0.05, "b": 0.05}, clients=20)
        farm.run(10)
        farm.times["c"] = 4.0
        farm.members.append(make_member("c", ignore_errors=True))
        farm.run(3.9)
        assert 3 < farm.most_in_flight["c"] <= 10
        farm.run(20)
        assert farm.served["c"] < farm.served.total() / 100

    def test_a_pause_draws_nobody_to_a_member(self) -> None:
        """Averages that have decayed are all the same, not nothing."""
        farm = Farm({"a": 0.04, "b": 0.05, "c": 0.06}, clients=30)
        farm.run(10)
        farm.pause(3600)
        farm.run(0.03)
        assert max(member.in_flight for member in farm.members) <= 15


class TestSlowMembers:
    @pytest.mark.parametrize("seed", range(3))
    def test_one_of_three_that_takes_sixty_times_as_long(self, seed: int) -> None:
        """It gets a few to see whether it is still slow: less than one in a hundred."""
        farm = Farm({"a": 0.05, "b": 0.05, "c": 3.0}, clients=16, seed=seed)
        farm.run(30)
        assert 0 < farm.served["c"] < farm.served.total() / 100
        waits = sorted(farm.waits)
        assert waits[len(waits) * 99 // 100] == pytest.approx(0.05)

    def test_it_is_found_out_when_it_is_fast_again(self) -> None:
        farm = Farm({"a": 0.05, "b": 0.05, "c": 3.0}, clients=16)
        farm.run(10)
        farm.times["c"] = 0.05
        farm.run(60)
        farm.run(10)
        assert farm.served["c"] > farm.served.total() / 4

    def test_one_that_becomes_slow(self) -> None:
        farm = Farm({"a": 0.05, "b": 0.05, "c": 0.05}, clients=16)
        farm.run(10)
        assert farm.served["c"] > farm.served.total() / 4
        farm.times["c"] = 3.0
        farm.run(30)
        assert farm.served["c"] < farm.served.total() / 100


class TestFailures:
    @pytest.mark.parametrize("known", [False, True])
    def test_a_member_that_fails_fast_does_not_draw_all(self, known: bool) -> None:
        """With status=I it stays in use, and always has nothing in flight."""
        farm = Farm({"a": 0.05, "b": 0.001}, clients=8)
        if known:
            farm.run(20)
        farm.fails.add("b")
        farm.run(20)
        farm.run(30)
        assert 0 < farm.served["b"] < farm.served.total() / 100

    def test_it_gets_its_share_again_when_it_answers(self) -> None:
        farm = Farm({"a": 0.05, "b": 0.05}, clients=8)
        farm.fails.add("b")
        farm.run(30)
        farm.fails.clear()
        farm.run(90)
        farm.run(10)
        assert farm.served["b"] > farm.served.total() / 3

    def test_a_slow_failure_counts_as_slow(self) -> None:
        method, (a, b) = scene(1, 1)
        method.observe(a, 0.005, 0)
        method.observe(b, 0.005, 0)
        method.failed(b, 30.0, 0)
        assert b.latency == 30.0

    def test_there_is_an_end_to_it(self) -> None:
        """With nobody else to ask it is asked all the time; its average stays a number."""
        clock = Clock()
        method = LeastTime(clock.seconds, Random(1))
        (a,) = make_members(1)
        for _ in range(5000):
            clock.advance(0.001)
            method.failed(a, 0.001, clock.seconds())
        assert a.latency <= 60

    def test_one_that_was_left_alone_comes_back_as_new(self) -> None:
        """What it was like before its failure says nothing; it must not wait for its requests."""
        clock = Clock()
        method = LeastTime(clock.seconds, Random(1))
        a = make_member("a", clock=clock)
        b = make_member("b", clock=clock, retry=1)
        method.observe(a, 0.005, 0)
        method.observe(b, 20.0, 0)
        b.take()
        b.give_back(BadResponse("x"))
        method.failed(b, 20.0, 0)
        clock.advance(1)
        method.observe(a, 0.005, clock.seconds())
        a.in_flight = 1
        assert b.usable(1)
        assert shares(method, [a, b])["b"] > 900
