"""Another configuration is taken up while workers serve: nothing that is known of members is lost, no
place at one is given out twice, and what is counted is counted once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConnectFailed
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.changes import member_change
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.workers.generation import COUNTED, Generation, LinkPart
from scgiproxy.service.workers.members import ParentMembers, WorkerMembers
from tests.service.workers.gateway import BALANCER, MemoryDialer, WorkersGateway
from tests.service.workers.test_link import linked, result_of

LIMITED = BALANCER.replace("127.0.0.1:1 ", "127.0.0.1:1 max=4 ")


def _fault() -> ConnectFailed:
    return ConnectFailed("refused")


class Reloading(WorkersGateway):
    """A gateway whose processes take up another configuration, as the services do."""

    generation = 1

    def _parts(self, process: Any, text: str) -> GatewayParts:
        config = load_text("Listen 127.0.0.1:81\n" + text, file_name="/etc/gw.conf", environment={})
        return GatewayParts(config, self.reactor, before=process.parts)

    def begin(self, text: str) -> None:
        """The parent has it, and tells the workers."""
        self.generation += 1
        self.members.stop()
        for worker in self.workers:
            worker.parent_link.close(but=COUNTED)
        self.parent.parts = self._parts(self.parent, text)
        self.members = ParentMembers(self.parent.parts, len(self.workers))
        self.members.start()
        for worker in self.workers:
            worker.ends[0].ask("reload")
            worker.parent_link = LinkPart(worker.ends[0], self.generation, serving=True)
            worker.ends[1].answer("reload", lambda _, it=worker: self._take_up(it, text))
            self.members.join(worker.parent_link)

    def _take_up(self, worker: Any, text: str) -> None:
        worker.members.stop()
        worker.link.close()
        worker.parts = self._parts(worker, text)
        worker.link = LinkPart(worker.ends[1], self.generation, serving=True)
        worker.members = WorkerMembers(worker.parts, worker.link)

    def reload(self, text: str) -> None:
        self.begin(text)
        self.settle()


@pytest.fixture
def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reloading]:
    monkeypatch.setattr("scgiproxy.service.succession.Dialer", MemoryDialer)
    made = Reloading(getattr(request, "param", BALANCER))
    yield made
    made.end()


class TestMembers:
    def test_what_is_known_of_one_stays(self, gateway: Reloading) -> None:
        first, second = gateway.workers
        first.member().fail(_fault())
        gateway.settle()
        gateway.reload("ServerTokens Prod\n" + BALANCER)
        assert gateway.everywhere(lambda one: one.member().condition) == [Condition.DOWN] * 3
        second.member().recover()
        second.member().answered()
        gateway.settle()
        assert gateway.everywhere(lambda one: one.member().condition) == [Condition.UP] * 3

    def test_what_is_changed_by_hand_stays(self, gateway: Reloading) -> None:
        gateway.parent.balancer.change_member(
            gateway.parent.member(), member_change({"w_status_D": "1"})
        )
        gateway.reload(BALANCER.replace(":2 retry=5", ":2 retry=6"))
        assert gateway.everywhere(lambda one: one.member().disabled) == [True] * 3
        assert gateway.everywhere(lambda one: one.member(2).settings.retry) == [6.0] * 3

    def test_other_members_in_another_order(self, gateway: Reloading) -> None:
        """A place in one configuration is not that in the next."""
        text = (
            "ProxyPass /first/ balancer://first/\nBalancerMember balancer://first scgi://[::1]:9\n"
        )
        gateway.reload(text + BALANCER.replace("127.0.0.1:1", "127.0.0.1:3"))
        pools = gateway.everywhere(lambda one: [pool.name for pool in one.parts.pools])
        assert pools == [["balancer://first", "balancer://b"]] * 3
        gateway.workers[0].parts.pools[1].backends[0].fail(_fault())
        gateway.settle()
        found = gateway.everywhere(lambda one: one.parts.pools[1].backends[0].condition)
        assert found == [Condition.DOWN] * 3

    def test_what_is_on_its_way_is_of_the_one_before(self, gateway: Reloading) -> None:
        """And is dropped: what it is about may be another thing for the parent by then. Who has found
        it out finds it out once more."""
        gateway.workers[0].member(2).fail(_fault())
        gateway.reactor.advance(0)
        gateway.reload(BALANCER)
        assert gateway.everywhere(lambda one: one.member(2).condition) == [Condition.UP] * 3

    def test_again_and_again(self, gateway: Reloading) -> None:
        for _ in range(5):
            gateway.reload(BALANCER)
            gateway.workers[1].member().fail(_fault())
            gateway.pass_time(0.1)
            assert gateway.everywhere(lambda one: one.member().condition) == [Condition.DOWN] * 3


@pytest.mark.parametrize("gateway", [LIMITED], indirect=True)
class TestPlaces:
    def test_those_that_are_taken_stay_so(self, gateway: Reloading) -> None:
        """What is in flight is counted before anything is lent."""
        first, second = gateway.workers
        for worker in gateway.workers:
            worker.member(2).disabled = True
        calls = [first.call() for _ in range(3)]
        gateway.pass_time(0.2)
        taken = first.member().in_flight
        assert taken == 3
        gateway.begin("ServerTokens Prod\n" + LIMITED)
        for _ in range(40):
            lent = sum(one.member().places or 0 for one in gateway.workers)
            assert lent <= 4
            gateway.pass_time(0.03)
        assert sum(one.member().places or 0 for one in gateway.workers) == 4
        assert second.member().elsewhere == 3
        assert len(calls) == 3

    def test_who_waits_gets_one(self, gateway: Reloading) -> None:
        first, _ = gateway.workers
        for worker in gateway.workers:
            worker.member(2).disabled = True
        calls = [first.call() for _ in range(6)]
        gateway.pass_time(0.5)
        assert first.pool.queued == 2
        gateway.reload(
            LIMITED.replace("max=4", "max=6").replace("127.0.0.1:2 ", "127.0.0.1:2 status=D ")
        )
        gateway.pass_time(2)
        assert first.pool.queued == 0
        assert len(calls) == 6


class TestParts:
    def test_hear_nothing_after_their_time(self) -> None:
        parent, worker, pump = linked()
        one, other = LinkPart(parent, 1), LinkPart(worker, 1)
        heard: list[Any] = []
        one.answer("topic", heard.append)
        other.tell("topic", 1)
        pump.flush()
        one.close()
        other.tell("topic", 2)
        asked = other.ask("topic", 3)
        pump.flush()
        assert heard == [1]
        assert result_of(asked.addErrback(lambda failure: failure.check(ValueError))) is ValueError

    def test_join_and_leave(self) -> None:
        parent, _, _ = linked()
        generation = Generation(7)
        told: list[tuple[str, int]] = []
        generation.started.append(lambda part: told.append(("started", part.number)))
        generation.ended.append(lambda part: told.append(("ended", part.number)))
        generation.join(parent)
        generation.leave(parent)
        generation.leave(parent)
        assert told == [("started", 2), ("ended", 2)]
