"""The connection between the parent and one worker."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.protocols.amp import MAX_VALUE_LENGTH
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase

from scgiproxy.service.workers.link import JSON, Link, LinkError, LinkLost
from tests.conftest import LoggedErrors

_asserts = SynchronousTestCase()
result_of = _asserts.successResultOf


def failure_of(deferred: Deferred[Any], kind: type[Exception]) -> str:
    return str(_asserts.failureResultOf(deferred, kind).value)


def linked() -> tuple[Link, Link, IOPump]:
    """The parent's end, the worker's, and what moves bytes between them."""
    parent, worker = Link(2), Link(2)
    pump = connect(
        parent.protocol,
        FakeTransport(parent.protocol, isServer=True),
        worker.protocol,
        FakeTransport(worker.protocol, isServer=False),
    )
    return parent, worker, pump


def test_a_question_is_answered_either_way() -> None:
    parent, worker, pump = linked()
    worker.answer("double", lambda value: [value, value])
    parent.answer("half", lambda value: value["of"] / 2)
    down, up = parent.ask("double", "x"), worker.ask("half", {"of": 5})
    pump.flush()
    assert result_of(down) == ["x", "x"]
    assert result_of(up) == 2.5


def test_the_value_is_none_if_there_is_none_to_tell() -> None:
    parent, worker, pump = linked()
    came: list[JSON] = []
    worker.answer("stop", came.append)
    parent.tell("stop")
    answered = parent.ask("stop")
    pump.flush()
    assert came == [None, None]
    assert result_of(answered) is None


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    # Lone surrogates too: they are what bytes that are no UTF-8 become.
    | st.text(st.characters(blacklist_categories=())),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_json_value_arrives_as_it_was(value: JSON) -> None:
    parent, worker, pump = linked()
    came: list[JSON] = []
    worker.answer("take", came.append)
    parent.tell("take", value)
    pump.flush()
    assert came == [value]


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from([0, 1, 100])
        | st.integers(MAX_VALUE_LENGTH - 4, MAX_VALUE_LENGTH + 2)
        | st.integers(2 * MAX_VALUE_LENGTH - 4, 2 * MAX_VALUE_LENGTH + 2)
        | st.integers(0, 15 * MAX_VALUE_LENGTH),
        min_size=1,
        max_size=4,
    )
)
def test_long_values_arrive_whole_and_in_order(lengths: list[int]) -> None:
    """A value of AMP is 65535 bytes at most."""
    parent, worker, pump = linked()
    values = [chr(97 + index) * length for index, length in enumerate(lengths)]
    came: list[JSON] = []

    def take(value: JSON) -> JSON:
        came.append(value)
        return value

    worker.answer("take", take)
    answers = []
    for value in values:
        parent.tell("take", value)
        answers.append(parent.ask("take", value))
    pump.flush()
    assert came == [value for value in values for _ in range(2)]
    assert [result_of(answer) for answer in answers] == values


def test_an_answer_may_come_later_and_after_others() -> None:
    parent, worker, pump = linked()
    waiting: Deferred[JSON] = Deferred()
    worker.answer("slow", lambda _: waiting)
    worker.answer("quick", lambda _: "quick")

    async def coroutine(value: JSON) -> JSON:
        return [value, await waiting]

    worker.answer("coroutine", coroutine)
    slow, both, quick = parent.ask("slow"), parent.ask("coroutine", 1), parent.ask("quick")
    pump.flush()
    assert result_of(quick) == "quick"
    _asserts.assertNoResult(slow)
    waiting.callback("slow")
    pump.flush()
    assert result_of(slow) == "slow"
    assert result_of(both)[0] == 1


@pytest.mark.parametrize("message", ["no such member: 'ä'", "", "long" * 50_000])
def test_a_value_error_is_the_askers(message: str) -> None:
    parent, worker, pump = linked()

    def refuse(value: JSON) -> JSON:
        raise ValueError(message)

    worker.answer("set", refuse)
    asked = parent.ask("set", 1)
    pump.flush()
    assert failure_of(asked, ValueError) == message


def test_another_error_is_logged_where_it_is_and_told(logged_errors: LoggedErrors) -> None:
    parent, worker, pump = linked()

    def fail(value: JSON) -> JSON:
        raise RuntimeError("out of order")

    worker.answer("set", fail)
    asked = parent.ask("set", 1)
    parent.tell("set", 1)
    pump.flush()
    assert failure_of(asked, LinkError) == "set: out of order"
    assert [event["log_failure"].type for event in logged_errors.flush()] == [RuntimeError] * 2
    assert parent.connected


def test_a_topic_that_nobody_answers_is_an_error(logged_errors: LoggedErrors) -> None:
    parent, _, pump = linked()
    asked = parent.ask("unheard of")
    parent.tell("unheard of")
    pump.flush()
    assert "nobody answers" in failure_of(asked, LinkError)
    assert len(logged_errors.flush()) == 2


def test_an_answer_that_is_no_json_is_an_error(logged_errors: LoggedErrors) -> None:
    parent, worker, pump = linked()
    worker.answer("set", lambda _: b"bytes")  # type: ignore[arg-type,return-value]
    asked = parent.ask("set")
    pump.flush()
    assert "bytes" in failure_of(asked, LinkError)
    assert len(logged_errors.flush()) == 1


def test_a_value_that_is_no_json_is_the_callers_error() -> None:
    parent, _, _ = linked()
    with pytest.raises(TypeError):
        parent.ask("set", b"bytes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        parent.tell("set", b"bytes")  # type: ignore[arg-type]


def test_what_was_asked_fails_when_the_connection_is_lost() -> None:
    parent, worker, pump = linked()
    lost: list[int] = []
    parent.on_lost = lambda: lost.append(parent.number)
    never: Deferred[JSON] = Deferred()
    worker.answer("slow", lambda _: never)
    asked = parent.ask("slow")
    pump.flush()
    worker.close()
    pump.flush()
    failure_of(asked, LinkLost)
    assert lost == [2]
    assert not parent.connected
    never.callback(None)  # an answer for nobody
    failure_of(parent.ask("slow"), LinkLost)
    parent.tell("slow")


def test_a_link_that_was_never_connected_is_lost() -> None:
    link = Link(1)
    failure_of(link.ask("anything"), LinkLost)
    link.tell("anything")
    link.close()


def test_what_is_sent_before_the_close_arrives() -> None:
    parent, worker, pump = linked()
    came: list[JSON] = []
    worker.answer("last", came.append)
    parent.tell("last", "word" * 100_000)
    parent.close()
    pump.flush()
    assert came == ["word" * 100_000]
    assert not worker.connected


def test_a_question_may_be_cancelled() -> None:
    parent, worker, pump = linked()
    worker.answer("take", lambda value: value)
    asked, other = parent.ask("take", 1), parent.ask("take", 2)
    asked.addErrback(lambda _: None)
    asked.cancel()
    pump.flush()
    assert result_of(other) == 2


def test_messages_go_out_at_once() -> None:
    """Nothing waits for another turn of the reactor: an order to stop precedes what follows."""
    link = Link(1)
    transport = StringTransport()
    link.protocol.makeConnection(transport)
    link.tell("one")
    assert b"one" in transport.value()


@pytest_twisted.ensureDeferred
async def test_over_a_real_pair_of_sockets() -> None:
    from twisted.internet import reactor

    ends: list[Link] = []
    lost: list[Deferred[None]] = []
    for skt in socket.socketpair():
        skt.setblocking(False)
        ends.append(Link(1))
        lost.append(Deferred())
        ends[-1].on_lost = partial(lost[-1].callback, None)
        ends[-1].connect(reactor, skt.fileno())
        skt.close()
    parent, worker = ends
    worker.answer("double", lambda value: value * 2)
    assert await parent.ask("double", "long" * 100_000) == "long" * 200_000
    parent.close()
    for each in lost:
        await each


@pytest_twisted.ensureDeferred
async def test_a_descriptor_that_is_closed_before_it_is_sent() -> None:
    """As a socket's that the next configuration has no more, while the worker reads nothing."""
    from twisted.internet import reactor

    ours, theirs = socket.socketpair()
    with ours, theirs:
        for skt in (ours, theirs):
            skt.setblocking(False)
        parent, worker = Link(1), Link(1)
        lost: list[Deferred[None]] = [Deferred(), Deferred()]
        for link, ended in zip((parent, worker), lost, strict=True):
            link.on_lost = partial(ended.callback, None)
        parent.connect(reactor, ours.fileno())
        # More than the kernel keeps for who does not read.
        parent.tell("much", "x" * 2_000_000)
        reading, writing = os.pipe()
        asked = parent.ask("take", None, [writing])
        os.close(writing)
        worker.answer("much", lambda _: None)

        def take(_: JSON) -> None:
            (fd,) = worker.take_descriptors(1)
            os.write(fd, b"it")
            os.close(fd)

        worker.answer("take", take)
        worker.connect(reactor, theirs.fileno())
        await asked
    assert os.read(reading, 10) == b"it"
    # Nobody has it any more.
    assert os.read(reading, 10) == b""
    os.close(reading)
    parent.close()
    for each in lost:
        await each
