"""Workers that are started, replaced, and stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from scgiproxy.service.gateway import make_gateway
from scgiproxy.service.root import GatewayService
from scgiproxy.service.workers.generation import Generation
from scgiproxy.service.workers.handover import LINK_FD, Handover
from scgiproxy.service.workers.link import JSON
from scgiproxy.service.workers.parent import (
    LONGEST_DELAY,
    MARGIN,
    YOUNG,
    ParentService,
    WorkerProcesses,
)
from scgiproxy.service.workers.process import LOOK_EVERY, LOOKS_MISSED
from tests.conftest import LoggedErrors
from tests.service.workers.children import Child, SpawningReactor


class Parent:
    """The processes, and what was told of them."""

    def __init__(self, count: int = 2, descriptors: Sequence[int] = (70, 71)) -> None:
        self.reactor = SpawningReactor()
        self.descriptors = descriptors
        self.told: list[tuple[str, int]] = []
        self.failures: list[str] = []
        self.handed: list[list[int]] = []
        self.processes = WorkerProcesses(count, self._hand_over, self.reactor)
        self.processes.started.append(lambda link: self.told.append(("started", link.number)))
        self.processes.ended.append(lambda link: self.told.append(("ended", link.number)))
        self.processes.on_failure = self.failures.append

    def _hand_over(self) -> tuple[Handover, list[int]]:
        config = load_text("Listen 81", environment={})
        self.handed.append([*self.descriptors])
        return Handover(config, [4], [{}], {"/log": 5}), [*self.descriptors]

    def start(self) -> Parent:
        self.processes.startService()
        self.reactor.settle()
        return self

    @property
    def numbers(self) -> list[int]:
        return sorted(link.number for link in self.processes.links)

    def stop(self) -> Deferred[None]:
        stopped = self.processes.stopService()
        self.reactor.settle(1)
        return stopped


@pytest.fixture
def parent() -> Parent:
    return Parent().start()


def test_nothing_happens_before_the_start() -> None:
    parent = Parent()
    assert parent.reactor.children == []
    assert parent.stop().called


def test_each_is_made_ready_then_told_of_then_serves() -> None:
    parent = Parent()
    parent.reactor.behaviour["serve"] = lambda child, value: parent.told.append(
        ("serves", child.number)
    )
    parent.start()
    assert sorted(parent.told) == [
        ("serves", 1),
        ("serves", 2),
        ("started", 1),
        ("started", 2),
    ]
    for number in (1, 2):
        assert parent.told.index(("started", number)) < parent.told.index(("serves", number))
    assert parent.numbers == [1, 2]
    assert parent.reactor.children[0].asked[-2:] == ["prepare", "serve"]


def test_what_is_told_at_the_start_comes_before_the_first_connection() -> None:
    """That is how a worker knows which members are in error when it begins."""
    parent = Parent(1)
    parent.reactor.behaviour["state"] = lambda child, value: None
    parent.processes.started.append(lambda link: link.tell("state", "S"))
    parent.start()
    assert parent.reactor.children[0].asked[-3:] == ["prepare", "state", "serve"]


def test_what_a_worker_gets(parent: Parent) -> None:
    """Its number, and the descriptors in their order after the link's."""
    first, second = parent.reactor.children
    assert first.arguments[-3:] == ["scgiproxy", "worker", "1"]
    assert second.arguments[-3:] == ["scgiproxy", "worker", "2"]
    assert first.fds[1] == first.fds[2] == "r"
    assert [first.fds[LINK_FD + 1], first.fds[LINK_FD + 2]] == [70, 71]
    assert sorted(first.fds) == [0, 1, 2, LINK_FD, LINK_FD + 1, LINK_FD + 2]


def test_an_old_one_is_replaced_at_once(parent: Parent, logged_errors: LoggedErrors) -> None:
    parent.reactor.settle(YOUNG + 1)
    parent.reactor.children[0].end(signal=11)
    assert parent.told[-1] == ("ended", 1)
    assert parent.numbers == [2]
    parent.reactor.settle(0.5)
    assert parent.numbers == [1, 2]
    assert parent.told[-1] == ("started", 1)
    (event,) = logged_errors.flush()
    assert (event["worker"], event["ending"]) == ("worker 1 (pid 101)", "was ended by SIGSEGV")


def test_one_that_dies_young_again_and_again(parent: Parent, logged_errors: LoggedErrors) -> None:
    """Comes later and later, up to a bound, for ever; and at once when it has lived."""
    delays = []
    for _ in range(12):
        parent.reactor.alive[-1].end(code=3)
        delays.append(logged_errors.flush()[-1]["delay"])
        parent.reactor.settle(delays[-1] + 0.5)
        assert parent.numbers == [1, 2]
    assert delays[:4] == [0.5, 1, 2, 4]
    assert delays[-3:] == [LONGEST_DELAY] * 3
    parent.reactor.settle(YOUNG)
    parent.reactor.alive[-1].end(code=3)
    assert logged_errors.flush()[-1]["delay"] == 0
    parent.reactor.settle(0.5)
    parent.reactor.alive[-1].end(code=3)
    assert logged_errors.flush()[-1]["delay"] == 0.5


def test_no_worker_can_start_at_all(logged_errors: LoggedErrors) -> None:
    """Told once, with the reason, when the last one has tried."""
    parent = Parent()

    def refuse(child: Any, value: Any) -> None:
        raise ValueError(f"f:1: Listen: not for {child.number}")

    parent.reactor.behaviour["prepare"] = refuse
    parent.start()
    assert parent.failures == []
    parent.reactor.settle(1)
    assert parent.failures == ["no worker can start: f:1: Listen: not for 2"]
    logged_errors.flush()
    parent.stop()


def test_what_python_says_at_a_start_that_fails(logged_errors: LoggedErrors) -> None:
    parent = Parent(1)
    parent.processes.startService()
    child = parent.reactor.children[0]
    child.protocol.errReceived(b"No module named scg")
    child.protocol.errReceived(b"iproxy\nmore")
    child.end(code=1)
    assert parent.failures == ["no worker can start: No module named scgiproxy\nmore"]


def test_a_program_that_cannot_be_started() -> None:
    parent = Parent()
    parent.reactor.cannot_spawn = FileNotFoundError(2, "No such file", "/gone/python")
    parent.start()
    assert parent.failures == ["no worker can start: cannot run /gone/python: No such file"]


def test_one_that_cannot_start_beside_others(logged_errors: LoggedErrors) -> None:
    """Is no reason to end; it is tried again."""
    parent = Parent()

    def serve(child: Any, value: Any) -> None:
        if child.number == 2 and len(parent.reactor.children) == 2:
            raise ValueError("not yet")

    parent.reactor.behaviour["serve"] = serve
    parent.start()
    parent.reactor.settle(1.5)
    assert parent.failures == []
    assert parent.numbers == [1, 2]
    assert logged_errors.flush()[0]["reason"] == ": not yet"


def test_one_that_hangs_is_killed_and_replaced(parent: Parent, logged_errors: LoggedErrors) -> None:
    parent.reactor.children[1].hung = True
    parent.reactor.settle(LOOK_EVERY * (LOOKS_MISSED - 1))
    assert len(parent.reactor.alive) == 2
    parent.reactor.settle(LOOK_EVERY * 2 + 1)
    assert parent.reactor.children[1].has_ended
    assert parent.numbers == [1, 2]
    assert [event["worker"] for event in logged_errors.flush()] == ["worker 2 (pid 102)"] * 2


def test_one_that_answers_lives(parent: Parent) -> None:
    parent.reactor.settle(LOOK_EVERY * LOOKS_MISSED * 2)
    assert [child.pid for child in parent.reactor.alive] == [101, 102]


def test_the_stop_waits_for_all(parent: Parent) -> None:
    parent.reactor.behaviour["stop"] = lambda child, value: None
    for child in parent.reactor.children:
        child.link.answer("stop", lambda value: None)
    stopped = parent.stop()
    first, second = parent.reactor.children
    first.end()
    assert not stopped.called
    second.end()
    assert stopped.called
    assert parent.processes.links == []
    assert [told for told in parent.told if told[0] == "ended"] == [("ended", 1), ("ended", 2)]


def test_one_that_is_too_many_for_a_while() -> None:
    """Another takes its place at once, and nothing is wrong."""
    parent = Parent(2, descriptors=())
    parent.reactor.behaviour["reload"] = lambda child, value: None
    parent.start()
    parent.processes.reload(1, Generation(2))
    parent.processes.reload(2, Generation(3))
    parent.reactor.settle(1)
    assert [child.number for child in parent.reactor.alive] == [1, 2]
    assert parent.numbers == [1, 2]
    assert parent.stop().called


def test_a_reload_while_one_is_about_to_serve() -> None:
    """It may have accepted connections before its parent hears of that: it is not killed."""
    serving: list[Deferred[None]] = []

    def serve(child: Child, value: JSON) -> Deferred[None]:
        serving.append(Deferred())
        return serving[-1]

    # Links in memory carry none.
    parent = Parent(1, descriptors=())
    parent.reactor.behaviour |= {"serve": serve, "reload": lambda child, value: None}
    parent.start()
    (child,) = parent.reactor.children
    taken = parent.processes.reload(1, Generation(2))
    parent.reactor.settle()
    assert not child.has_ended
    assert child.asked[-2:] == ["serve", "reload"]
    serving[0].callback(None)
    parent.reactor.settle()
    assert taken.called
    assert parent.numbers == [1]
    assert parent.stop().called


def test_who_does_not_stop_is_killed(parent: Parent, logged_errors: LoggedErrors) -> None:
    parent.processes.drain = 20.0
    parent.reactor.children[0].hung = True
    stopped = parent.stop()
    parent.reactor.settle(20.0 + MARGIN - 2)
    assert not stopped.called
    parent.reactor.settle(3)
    assert stopped.called
    assert [event["seconds"] for event in logged_errors.flush()] == [20.0 + MARGIN]


def test_who_may_take_any_time_is_hurried(parent: Parent, logged_errors: LoggedErrors) -> None:
    """And killed if that does not help."""
    for child in parent.reactor.children:
        child.link.answer("stop", lambda value: None)
        child.link.answer("hurry", lambda value: None)
    hasty = parent.reactor.children[1]
    hasty.link.answer("hurry", lambda value: hasty.end())
    parent.processes.hurry()
    stopped = parent.stop()
    parent.reactor.settle(600)
    assert len(parent.reactor.alive) == 2
    parent.reactor.children[0].hung = True
    for _ in range(3):
        parent.processes.hurry()
        parent.reactor.settle()
    assert parent.reactor.alive == parent.reactor.children[:1]
    assert not stopped.called
    parent.reactor.settle(MARGIN + 1)
    assert stopped.called
    assert [event["seconds"] for event in logged_errors.flush()] == [MARGIN]


def test_nobody_is_replaced_while_it_stops(parent: Parent, logged_errors: LoggedErrors) -> None:
    parent.reactor.children[0].end(code=1)
    logged_errors.flush()
    parent.stop()
    parent.reactor.settle(60)
    assert len(parent.reactor.children) == 2


def test_it_may_be_started_again(parent: Parent) -> None:
    parent.stop()
    parent.start()
    assert parent.numbers == [1, 2]
    assert len(parent.reactor.children) == 4
    parent.stop()


def test_a_stop_in_the_middle_of_a_start() -> None:
    """What was not made ready is never told of."""
    parent = Parent()
    parent.processes.startService()
    assert parent.stop().called
    assert parent.told == []


# -- the gateway around it -------------------------------------------------------------------------


def gateway(text: str) -> ParentService:
    made = make_gateway(load_text(text, environment={}), SpawningReactor())
    assert isinstance(made, ParentService)
    return made


def test_one_worker_is_the_gateway_itself() -> None:
    for text in ("", "Workers 1\n"):
        made = make_gateway(load_text(text + "Listen 81", environment={}), SpawningReactor())
        assert type(made) is GatewayService


def test_the_parent_binds_and_accepts_nobody(tmp_path: Path) -> None:
    """Sockets and logs are there before privileges are dropped, workers are started after."""
    made = gateway(
        f"Workers 2\nListen 127.0.0.1:81\nListen 127.0.0.1:82\nErrorLog {tmp_path}/e\n"
        f"CustomLog {tmp_path}/a common\nProxyPass / scgi://127.0.0.1/ preconnect=2\n"
    )
    reactor: SpawningReactor = made._reactor
    made.privilegedStartService()
    assert [port.is_reading for port in reactor.ports] == [False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "e"]
    assert reactor.children == []
    made.startService()
    reactor.settle()
    assert len(made.processes.links) == 2
    fds = reactor.children[0].fds
    assert [fds[4], fds[5]] == [1081, 1082]
    assert sorted(fds) == list(range(8))
    stopped = made.stopService()
    reactor.settle(1)
    assert stopped.called
    assert [port.is_open for port in reactor.ports] == [False, False]
    assert "stopped" in (tmp_path / "e").read_text()


def test_what_is_handed_over(tmp_path: Path) -> None:
    """The configuration itself, and where the worker finds what."""
    made = gateway(f"Workers 2\nListen 81\nCustomLog {tmp_path}/a common\n")
    made.privilegedStartService()
    handover, descriptors = made._hand_over()
    again = Handover.unpacked(handover.packed())
    assert again.config == handover.config
    assert list(again.sockets) == [4]
    assert again.logs == {str(tmp_path / "a"): 5}
    assert len(descriptors) == 2
    made.stopService()


def test_a_log_that_was_moved_is_handed_over_anew(tmp_path: Path) -> None:
    made = gateway(f"Workers 2\nListen 81\nErrorLog {tmp_path}/e\n")
    made.privilegedStartService()
    (tmp_path / "e").rename(tmp_path / "e.1")
    _, descriptors = made._hand_over()
    with open(descriptors[-1], "wb", closefd=False) as log:
        log.write(b"new\n")
    assert (tmp_path / "e").read_text() == "new\n"
    made.stopService()


class OddPort:
    """It has no socket."""

    def getHost(self) -> str:
        return "nowhere"

    def stopListening(self) -> None:
        """It is nothing."""


@pytest.mark.parametrize(
    ("listening", "why"),
    [
        (succeed(OddPort()), "its port is no socket"),
        (Deferred[Any](), "it does not listen at once"),
    ],
)
def test_endpoints_that_cannot_be_shared(
    listening: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endpoint:
        def listen(self, factory: Any) -> Any:
            return listening

    monkeypatch.setattr(
        "scgiproxy.service.endpoints.serverFromString", lambda reactor, text: Endpoint()
    )
    made = gateway('Workers 2\nListen "odd:1"\n')
    with pytest.raises(ConfigError) as raised:
        made.privilegedStartService()
    assert [str(problem) for problem in raised.value.problems] == [
        f"configuration:2: Listen: this kind of endpoint cannot be shared by workers: {why}"
    ]
