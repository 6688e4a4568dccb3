"""Members found by name: what is applied when, what stays, and what is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import TimeoutError as NoAnswer
from twisted.names import dns

from scgiproxy.message.backend_url import TcpAddress
from scgiproxy.pool.lookup import Found
from scgiproxy.pool.records import MAX_MEMBERS
from scgiproxy.rules.discovery import RecordKind
from tests.conftest import LoggedErrors
from tests.pool.discovering import SERVICE, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


class TestAddresses:
    def test_all_of_both_families_are_members(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.20", "2001:db8::1", "192.0.2.3")
        scene.start()
        assert scene.applied == [
            (
                Found(TcpAddress("192.0.2.3", 4000), 0, 1.0, "app"),
                Found(TcpAddress("192.0.2.20", 4000), 0, 1.0, "app"),
                Found(TcpAddress("2001:db8::1", 4000), 0, 1.0, "app"),
            )
        ]
        assert scene.discovery.found == scene.applied[0]

    def test_nothing_happens_inside_start(self, scene: Scene) -> None:
        """Even with a resolver that knows the answer."""
        scene.names.at_once = True
        scene.names.addresses("app", "192.0.2.1")
        scene.discovery.start()
        assert scene.names.questions == []
        scene.clock.advance(0)
        assert scene.texts() == ["192.0.2.1:4000"]

    def test_starting_twice_is_starting_once(self, scene: Scene) -> None:
        scene.discovery.start()
        scene.discovery.start()
        scene.clock.advance(0)
        assert len(scene.names.questions) == 2

    def test_both_families_are_waited_for(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1", "2001:db8::1")
        scene.discovery.start()
        scene.clock.advance(0)
        first, second = scene.names.open()
        scene.names._answer(first)
        assert scene.applied == []
        scene.names._answer(second)
        assert scene.texts() == ["192.0.2.1:4000", "[2001:db8::1]:4000"]

    def test_members_come_and_go(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1", "192.0.2.2")
        scene.start()
        scene.names.addresses("app", "192.0.2.2", "192.0.2.3", "2001:db8::1")
        scene.later(60)
        assert scene.texts() == ["192.0.2.2:4000", "192.0.2.3:4000", "[2001:db8::1]:4000"]
        scene.names.addresses("app", "192.0.2.3")
        scene.later(60)
        assert scene.texts() == ["192.0.2.3:4000"]

    def test_what_has_not_changed_is_not_applied(self, scene: Scene) -> None:
        """Name servers turn the order round."""
        scene.names.addresses("app", "192.0.2.1", "192.0.2.2", "192.0.2.3")
        scene.start()
        scene.names.addresses("app", "192.0.2.3", "192.0.2.1", "192.0.2.2", ttl=5)
        assert scene.later(60) == 2
        assert scene.later(5) == 2
        assert len(scene.applied) == 1

    @pytest.mark.parametrize(
        ("ttl", "wait"), [(0, 1), (1, 1), (30, 30), (300, 300), (301, 300), (2**31, 300)]
    )
    def test_it_asks_again_when_the_ttl_is_over(self, scene: Scene, ttl: int, wait: int) -> None:
        scene.names.addresses("app", "192.0.2.1", ttl=ttl)
        scene.start()
        assert scene.wait() == wait
        assert scene.later(wait - 0.01) == 0
        assert scene.later(0.01) == 2

    def test_the_least_ttl_counts(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1", "2001:db8::1", ttl=60)
        scene.names.zone["app", dns.AAAA][0].ttl = 7  # type: ignore[index]
        scene.start()
        assert scene.wait() == 7

    def test_a_lower_ceiling(self) -> None:
        scene = Scene(ceiling=10.0)
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        assert scene.wait() == 10

    def test_a_family_that_is_gone(self, scene: Scene, told: list[str]) -> None:
        """An empty answer beside a good one is no failure."""
        scene.names.addresses("app", "192.0.2.1", "2001:db8::1")
        scene.start()
        scene.names.addresses("app", "192.0.2.1")
        scene.later(60)
        assert scene.texts() == ["192.0.2.1:4000"]
        assert told == []

    def test_more_members_than_are_allowed(self, scene: Scene, told: list[str]) -> None:
        texts = [f"10.0.{n // 256}.{n % 256}" for n in range(MAX_MEMBERS + 10)]
        scene.names.addresses("app", *reversed(texts))
        scene.start()
        scene.later(60)
        assert scene.texts() == [f"{text}:4000" for text in texts[:MAX_MEMBERS]]
        assert told == ["warn: backend.name: app stands for 266 members, and only 256 are used"]
        scene.names.addresses("app", *texts[:2])
        scene.later(60)
        assert len(scene.texts()) == 2
        assert len(told) == 1


FAILURES: dict[str, tuple[Callable[[Scene], None], str]] = {
    "no such name": (lambda scene: scene.names.remove("app"), "there is no app"),
    "no record": (lambda scene: scene.names.addresses("app"), "it has no address"),
    "nobody's address": (
        lambda scene: scene.names.addresses("app", "0.0.0.0", "::"),
        "no connection can be made to its addresses",
    ),
    "server failure": (lambda scene: scene.names.fail("app", dns.A, dns.AAAA), "SERVFAIL"),
    "no answer": (
        lambda scene: scene.names.fail("app", dns.A, dns.AAAA, error=NoAnswer()),
        "TimeoutError",
    ),
    "aliases in a circle": (
        lambda scene: scene.names.zone.update(
            {
                ("app", record): [
                    dns.RRHeader("app", dns.CNAME, dns.IN, 5, dns.Record_CNAME("app"))
                ]
                for record in (dns.A, dns.AAAA)
            }
        ),
        "over 10 aliases follow each other",
    ),
}


class TestFailures:
    @pytest.mark.parametrize("failure", FAILURES)
    def test_the_last_good_members_stay(self, scene: Scene, told: list[str], failure: str) -> None:
        """It is logged once, and once when it works again."""
        scene.names.addresses("app", "192.0.2.1", "2001:db8::1")
        scene.start()
        fail, reason = FAILURES[failure]
        fail(scene)
        scene.later(60)
        scene.later(1)
        scene.later(2)
        assert len(scene.applied) == 1
        assert len(scene.discovery.found) == 2
        assert told == [
            f"warn: backend.name: app could not be resolved: {reason}; its last members stay in use"
        ]
        told.clear()
        scene.names.addresses("app", "192.0.2.9")
        scene.later(4)
        scene.later(60)
        assert scene.texts() == ["192.0.2.9:4000"]
        assert told == ["info: backend.name: app is resolved now"]

    @pytest.mark.parametrize("failure", FAILURES)
    def test_nothing_is_known_yet(self, scene: Scene, told: list[str], failure: str) -> None:
        fail, reason = FAILURES[failure]
        fail(scene)
        scene.start()
        scene.later(1)
        assert scene.applied == []
        assert told == [
            f"warn: backend.name: app could not be resolved: {reason}; it stands for no member"
        ]
        scene.names.addresses("app", "192.0.2.1")
        scene.later(2)
        assert scene.texts() == ["192.0.2.1:4000"]

    def test_failures_are_retried_ever_later(self, scene: Scene) -> None:
        scene.start()
        waits = []
        for _ in range(7):
            waits.append(scene.wait())
            assert scene.later(scene.wait()) == 2
        assert waits == [1, 2, 4, 8, 16, 30, 30]

    @pytest.mark.parametrize("lost", ["192.0.2.1", "2001:db8::1"])
    def test_one_family_fails(self, scene: Scene, told: list[str], lost: str) -> None:
        """Its last addresses stay, the other's may change; it is retried before the TTL is over."""
        scene.names.addresses("app", "192.0.2.1", "2001:db8::1")
        scene.start()
        scene.names.addresses("app", "192.0.2.7", "2001:db8::7")
        scene.names.fail("app", dns.AAAA if ":" in lost else dns.A)
        scene.later(60)
        assert {one.address.host for one in scene.applied[-1]} == {
            lost,
            "192.0.2.7" if ":" in lost else "2001:db8::7",
        }
        assert told == [
            (
                "warn: backend.name: app could not be resolved: SERVFAIL;"
                " what else is known of it is used"
            )
        ]
        assert scene.wait() == 1
        scene.names.addresses("app", "192.0.2.7", "2001:db8::7")
        scene.later(1)
        assert scene.texts() == ["192.0.2.7:4000", "[2001:db8::7]:4000"]
        assert told[1:] == ["info: backend.name: app is resolved now"]

    def test_one_family_fails_from_the_first(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.names.fail("app", dns.AAAA)
        scene.start()
        assert scene.texts() == ["192.0.2.1:4000"]

    def test_one_family_fails_and_the_other_is_empty(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        scene.names.fail("app", dns.A)
        scene.later(60)
        assert len(scene.applied) == 1

    def test_silence_is_cut_short(self, scene: Scene, told: list[str]) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        scene.clock.advance(60)
        questions = scene.names.open()
        scene.clock.advance(29.9)
        assert scene.names.open() == questions
        scene.clock.advance(0.1)
        assert all(question.cancelled for question in questions)
        assert told == [
            (
                "warn: backend.name: app could not be resolved: no answer within 30 s;"
                " its last members stay in use"
            )
        ]
        assert scene.wait() == 1
        assert scene.later(1) == 2

    def test_a_resolver_that_raises(self, scene: Scene, told: list[str]) -> None:
        def refuse(name: str) -> Any:
            raise UnicodeError("label too long")

        scene.names.lookupAddress = refuse  # type: ignore[method-assign]
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        assert told == [
            "warn: backend.name: app could not be resolved: label too long; it stands for no member"
        ]

    @pytest.mark.parametrize("kind", RecordKind)
    def test_a_resolver_that_is_broken(self, kind: RecordKind, logged_errors: LoggedErrors) -> None:
        """It is logged as a fault of the program, and asked again."""
        scene = Scene(kind)
        scene.names.zone["app", dns.A] = [None]  # type: ignore[list-item]
        scene.names.zone[SERVICE, dns.SRV] = [None]  # type: ignore[list-item]
        scene.start()
        assert len(logged_errors.flush()) == 1
        assert scene.applied == []
        assert scene.wait() == 1

    def test_an_apply_that_raises(self, scene: Scene, logged_errors: LoggedErrors) -> None:
        def fail() -> None:
            raise RuntimeError("the pool is broken")

        scene.do = fail
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        (event,) = logged_errors.flush()
        assert "the pool is broken" in str(event["log_failure"])
        scene.do = lambda: None
        scene.names.addresses("app", "192.0.2.2")
        scene.later(60)
        assert scene.texts() == ["192.0.2.2:4000"]


class TestStopping:
    def test_before_it_has_asked(self, scene: Scene) -> None:
        scene.discovery.start()
        scene.discovery.stop()
        assert scene.clock.getDelayedCalls() == []
        assert scene.names.questions == []

    @pytest.mark.parametrize("kind", RecordKind)
    def test_while_it_asks(self, kind: RecordKind, told: list[str]) -> None:
        scene = Scene(kind)
        scene.discovery.start()
        scene.clock.advance(0)
        questions = scene.names.open()
        scene.discovery.stop()
        assert all(question.cancelled for question in questions)
        assert scene.clock.getDelayedCalls() == []
        assert scene.applied == []
        assert told == []

    def test_between_the_answers(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.discovery.start()
        scene.clock.advance(0)
        scene.names._answer(scene.names.open()[0])
        scene.discovery.stop()
        assert scene.applied == []

    def test_while_it_waits(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        scene.discovery.stop()
        scene.discovery.stop()
        assert scene.clock.getDelayedCalls() == []
        assert [str(one.address) for one in scene.discovery.found] == ["192.0.2.1:4000"]

    def test_starting_again(self, scene: Scene) -> None:
        """What is known already is not applied again."""
        scene.names.addresses("app", "192.0.2.1")
        scene.start()
        scene.discovery.stop()
        scene.start()
        assert len(scene.applied) == 1
        scene.names.addresses("app", "192.0.2.2")
        scene.later(60)
        assert scene.texts() == ["192.0.2.2:4000"]

    def test_starting_again_while_the_old_questions_are_open(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.discovery.start()
        scene.clock.advance(0)
        scene.discovery.stop()
        scene.start()
        assert len(scene.applied) == 1
        assert scene.wait() == 60

    def test_from_inside_apply(self, scene: Scene) -> None:
        scene.names.addresses("app", "192.0.2.1")
        scene.do = scene.discovery.stop
        scene.start()
        assert scene.clock.getDelayedCalls() == []

    def test_and_starting_from_inside_apply(self, scene: Scene) -> None:
        """Another call of apply comes after this one has returned."""
        depth: list[int] = []

        def restart() -> None:
            depth.append(1)
            assert len(depth) == 1
            scene.discovery.stop()
            if len(scene.applied) < 3:
                scene.names.addresses("app", f"192.0.2.{len(scene.applied)}")
                scene.discovery.start()
            depth.pop()

        scene.names.at_once = True
        scene.names.addresses("app", "192.0.2.99")
        scene.do = restart
        scene.discovery.start()
        scene.clock.advance(0)
        assert [found[0].address.host for found in scene.applied] == [
            "192.0.2.99",
            "192.0.2.1",
            "192.0.2.2",
        ]
