"""``?events``: what those who look are told, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from scgiproxy.errors import ConnectFailed
from scgiproxy.web.gatewaynumbers import GatewayNumbers
from scgiproxy.web.manager.events import MOST_VIEWERS
from tests.conftest import LoggedErrors
from tests.web.harness import Client
from tests.web.manager.asking import HOST, Manager
from tests.web.manager.stage import NONCE, Stage, crowded_stage, full_stage


class Viewer:
    """One who looks; `events` are those since the last time."""

    def __init__(self, manager: Manager) -> None:
        peer = IPv4Address("TCP", "127.0.0.1", 4711)
        self.client: Client = manager.gateway.client(peer=peer)
        self.client.send(f"GET /bm?events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        manager.gateway.settle()
        self.head, _, rest = self.client.take().partition(b"\r\n\r\n")
        self._rest = rest

    def events(self) -> list[dict[str, Any]]:
        chunks = self._rest + self.client.take()
        self._rest = b""
        data = b""
        while chunks:
            size, _, chunks = chunks.partition(b"\r\n")
            length = int(size, 16)
            if not length:
                break
            data, chunks = data + chunks[:length], chunks[length + 2 :]
        found = []
        for block in data.decode("ascii").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "event" in fields:
                found.append({"event": fields["event"], **json.loads(fields["data"])})
        return found


@pytest.fixture
def manager() -> Manager:
    return Manager(full_stage)


def second(manager: Manager) -> None:
    manager.gateway.advance(1)
    manager.gateway.settle()


def test_the_first_event_has_everything(manager: Manager) -> None:
    viewer = Viewer(manager)
    assert b"Content-Type: text/event-stream" in viewer.head
    assert b"X-Content-Type-Options: nosniff" in viewer.head
    (first,) = viewer.events()
    assert len(first["cells"]) == 1 + 2 + 8
    page = manager.get().body.decode()
    assert f'data-structure="{first["structure"]}"' in page
    for element in first["cells"]:
        assert f'id="{element}"' in page
    assert NONCE not in json.dumps(first)
    viewer.client.leave()


def test_then_what_has_changed(manager: Manager) -> None:
    """Once a second, for as long as somebody looks; then nothing goes on."""
    viewer = Viewer(manager)
    viewer.events()
    second(manager)
    viewer.events()
    last = manager.stage.balancers[1].pool.backends[0]
    last.in_flight = 7
    second(manager)
    (event,) = viewer.events()
    changed = [cells for cells in event["cells"].values() if "in-flight" in cells]
    assert {"in-flight": "7"} in changed
    viewer.client.leave()
    manager.gateway.settle()
    assert manager.resource._events.viewers == 0
    manager.gateway.advance(8)
    manager.gateway.assert_idle()


def test_one_clock_for_all(manager: Manager) -> None:
    """However many look, the state is taken once a second."""
    viewers = [Viewer(manager) for _ in range(5)]
    taken = 0
    take = manager.resource._events._take

    def counted(numbers: GatewayNumbers) -> Any:
        nonlocal taken
        taken += 1
        return take(numbers)

    manager.resource._events._take = counted
    for viewer in viewers:
        viewer.events()
    for _ in range(3):
        second(manager)
    assert taken == 3
    assert {len(viewer.events()) for viewer in viewers} == {3}
    for viewer in viewers:
        viewer.client.leave()


class Asked:
    """Numbers that have to be asked for."""

    def __init__(self, manager: Manager) -> None:
        self.waiting: list[Deferred[GatewayNumbers]] = []
        self.cancelled = 0
        self.hurried = 0
        self._numbers = manager.stage.numbers
        manager.resource._numbers = manager.resource._events._numbers = self.at_once
        manager.resource._events._lately = self

    def __call__(self) -> Deferred[GatewayNumbers]:
        self.waiting.append(Deferred(self._cancel))
        return self.waiting[-1]

    def at_once(self) -> Deferred[GatewayNumbers]:
        self.hurried += 1
        return self()

    def _cancel(self, waiting: Deferred[GatewayNumbers]) -> None:
        self.waiting.remove(waiting)
        self.cancelled += 1

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(self._numbers())


def test_numbers_that_come_later(manager: Manager) -> None:
    """The next second begins when they are there. Who hurries does not wait for older ones."""
    asked = Asked(manager)
    viewer = Viewer(manager)
    assert viewer.events() == []
    assert asked.hurried == 1
    asked.answer()
    manager.gateway.settle()
    assert len(viewer.events()) == 1
    second(manager)
    assert len(asked.waiting) == 1
    manager.gateway.advance(10)
    assert len(asked.waiting) == 1
    manager.resource._events.hurry()
    manager.gateway.settle()
    assert (asked.cancelled, asked.hurried, len(asked.waiting)) == (1, 2, 1)
    asked.answer()
    manager.gateway.settle()
    assert len(viewer.events()) == 1
    second(manager)
    viewer.client.leave()
    assert (asked.cancelled, asked.waiting) == (2, [])
    manager.gateway.advance(8)
    manager.gateway.assert_idle()


def test_numbers_that_cannot_be_had(manager: Manager, logged_errors: LoggedErrors) -> None:
    """The next second may be better."""
    asked = Asked(manager)
    viewer = Viewer(manager)
    asked.waiting.pop().errback(ValueError("no parent"))
    assert "no parent" in logged_errors.flush()[0]["log_failure"].getErrorMessage()
    second(manager)
    asked.answer()
    manager.gateway.settle()
    assert len(viewer.events()) == 1
    viewer.client.leave()


def test_a_failure_is_told(manager: Manager) -> None:
    viewer = Viewer(manager)
    viewer.events()
    hostile = "</script><img src=x onerror=alert(1)>\u2028\u202e\n\ndata: x"
    manager.member.fail(ConnectFailed(hostile))
    second(manager)
    (event,) = viewer.events()
    (failing,) = (c for c in event["cells"].values() if c.get("state") == "In error")
    assert failing["@state"] == "down"
    assert "\\u2028\\u202e\\n\\ndata: x" in failing["failure"]
    viewer.client.leave()


def test_who_does_not_read_misses_it(manager: Manager) -> None:
    """Nothing is kept; once he reads, he gets everything."""
    slow, quick = Viewer(manager), Viewer(manager)
    slow.events()
    slow.client.channel.pauseProducing()
    for _ in range(50):
        second(manager)
    assert slow.client.take() == b""
    assert len(quick.events()) > 40
    slow.client.channel.resumeProducing()
    second(manager)
    (event,) = slow.events()
    assert len(event["cells"]) == 11
    slow.client.leave()
    quick.client.leave()


def test_who_never_reads_is_sent_away() -> None:
    manager = Manager(full_stage, server={"timeout": 60.0})
    slow = Viewer(manager)
    slow.client.channel.pauseProducing()
    for _ in range(64):
        second(manager)
    assert slow.client.closed == "aborted"
    assert manager.resource._events.viewers == 0


def test_who_reads_may_look_for_long() -> None:
    """No deadline ends it."""
    manager = Manager(full_stage, server={"timeout": 10.0, "keep_alive_timeout": 2.0})
    viewer = Viewer(manager)
    for _ in range(100):
        second(manager)
    assert viewer.client.closed is None
    assert len(viewer.events()) > 90
    viewer.client.leave()


def test_a_limit(manager: Manager) -> None:
    """503 with a sentence; when one has left there is room again."""
    viewers = [Viewer(manager) for _ in range(MOST_VIEWERS)]
    answer = manager.get("?events")
    assert (answer.status, answer["retry-after"]) == (503, "10")
    assert f"{MOST_VIEWERS} are looking already" in answer.body.decode()
    viewers.pop().client.leave()
    manager.gateway.settle()
    viewers.append(Viewer(manager))
    assert b" 200 OK" in viewers[-1].head
    for viewer in viewers:
        viewer.client.leave()


def test_the_gateway_stops(manager: Manager) -> None:
    """Everybody is told, and let go a moment later, since the head had promised more."""
    viewer = Viewer(manager)
    viewer.events()
    viewer.client.channel.shut_down()
    manager.resource.stop()
    manager.gateway.settle()
    (event,) = viewer.events()
    assert event["event"] == "end"
    manager.gateway.advance(0.5)
    assert viewer.client.closed == "closed"
    manager.gateway.advance(8)
    manager.gateway.assert_idle()


def test_a_change_is_told_at_once(manager: Manager) -> None:
    viewer = Viewer(manager)
    viewer.events()
    assert manager.edit(w_status_N="1").status == 303
    manager.gateway.settle()
    (event,) = viewer.events()
    assert "Draining" in json.dumps(event["cells"])
    viewer.client.leave()


def test_another_member_is_another_structure(manager: Manager) -> None:
    viewer = Viewer(manager)
    (first,) = viewer.events()
    manager.edit(w="-none-", b_nwrkr="scgi://10.0.0.99:4000", b_wyes="1")
    manager.gateway.settle()
    (event,) = viewer.events()
    assert event["structure"] != first["structure"]
    viewer.client.leave()


def test_many_members_take_turns() -> None:
    """Requests have theirs in between; the event is whole all the same."""

    def make(clock: Any) -> Stage:
        stage = crowded_stage(clock)
        stage.balancer("many", [(f"scgi://10.1.0.{n}:4000", {}) for n in range(1, 101)])
        return stage

    manager = Manager(make)
    viewer = Viewer(manager)
    manager.gateway.settle()
    (event,) = viewer.events()
    assert len(event["cells"]) == 1 + 2 + 16 + 100
    viewer.client.leave()
