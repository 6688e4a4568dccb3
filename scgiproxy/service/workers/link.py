"""What the parent and one worker say to each other: JSON values by topic, in AMP boxes."""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from twisted.protocols.amp import MAX_VALUE_LENGTH, AmpBox, BinaryBoxProtocol, IBoxReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.log.events import Logger

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""Bytes go as latin-1 or base64 text, as the topic says."""

Responder = Callable[[JSON], "JSON | Awaitable[JSON]"]

# The keys of a box. The value is in those that are left: "0", "1" and so on.
_TOPIC, _ASK, _ANSWER, _ERROR = b"topic", b"ask", b"answer", b"error"
_REFUSED, _FAILED = b"refused", b"failed"


class LinkError(Exception):
    """A question could not be answered: nobody answers on its topic, or whoever does has failed."""


class LinkLost(LinkError):
    """The process at the other end is gone, or does not listen any more."""


@implementer(IBoxReceiver)
class Link:
    """One end of the connection between the parent and one worker; `protocol` is to be connected.

    Messages arrive in the order in which they were sent, whatever their length. What the other end
    does not read is kept: who sends much asks, and waits for the answer.

    - `number`: the worker's, from 1.
    - `connected`: messages go somewhere.
    - `on_lost`: called once, after every question has failed, when the connection is lost.

    With a question descriptors may be sent; the other end takes them by `take_descriptors` before it
    returns from its responder.
    """

    log = Logger()

    def __init__(self, number: int) -> None:
        self.number = number
        self.connected = False
        self.on_lost: Callable[[], object] = lambda: None
        self.protocol = _Boxes(self)
        self._responders: dict[str, Responder] = {}
        self._refused: dict[str, str] = {}
        self._asked: dict[int, Deferred[JSON]] = {}
        self._last = 0

    def __repr__(self) -> str:
        return f"<Link {self.number} {'connected' if self.connected else 'not connected'}>"

    def connect(self, reactor: Any, fd: int) -> None:
        """Speak over a connected UNIX socket that does not block; `fd` is duplicated.

        `reactor` provides IReactorSocket.
        """
        reactor.adoptStreamConnection(fd, socket.AF_UNIX, _Factory(self.protocol))

    def ask(
        self, topic: str, value: JSON = None, descriptors: Sequence[int] = ()
    ) -> Deferred[JSON]:
        """Fires with the answer. `descriptors` are duplicated: what is sent may have to wait.

        Fails with the other end's ValueError, with LinkLost if it is gone or not there yet, and
        with LinkError for anything else, which the other end has logged. Raises TypeError for a
        value that is not JSON. It may be cancelled, without descriptors; the other end does not learn
        of that.
        """
        box = _box(value)
        if not self.connected:
            return fail(LinkLost(f"there is no connection to {self._other}"))
        self._last += 1
        box[_TOPIC] = topic.encode()
        box[_ASK] = b"%d" % self._last
        asked: Deferred[JSON] = Deferred()
        self._asked[self._last] = asked
        held = [os.dup(fd) for fd in descriptors]
        for fd in held:
            self.protocol.transport.sendFileDescriptor(fd)  # type: ignore[union-attr]
        asked.addBoth(_closing, held)
        self._send(box)
        return asked

    def take_descriptors(self, count: int) -> list[int]:
        """Those that were sent with the question that is being answered."""
        arrived = self.protocol.descriptors
        return [arrived.popleft() for _ in range(count)]

    def tell(self, topic: str, value: JSON = None) -> None:
        """No answer is wanted; lost without a word if the connection is. Raises TypeError for a
        value that is not JSON."""
        box = _box(value)
        if self.connected:
            box[_TOPIC] = topic.encode()
            self._send(box)

    def answer(self, topic: str, responder: Responder) -> None:
        """Have `responder` called with each value of `topic`; what it returns answers a question.

        Its ValueError is the asker's, too. A later responder takes the place of an earlier one.
        """
        self._responders[topic] = responder

    def refuse(self, topic: str, why: str) -> None:
        """Answer no more on `topic`: what is told is dropped, and ValueError is what is asked."""
        self._responders.pop(topic, None)
        self._refused[topic] = why

    def close(self) -> None:
        """Lose the connection, when what was sent is written."""
        transport = self.protocol.transport
        if transport is not None:
            transport.loseConnection()

    @property
    def _other(self) -> str:
        return f"the other end of worker {self.number}'s link"

    def _send(self, box: AmpBox) -> None:
        self.protocol.sendBox(box)  # type: ignore[no-untyped-call]

    # -- IBoxReceiver --------------------------------------------------------------------------

    def startReceivingBoxes(self, sender: Any) -> None:  # noqa: ARG002  it is our protocol
        self.connected = True

    def ampBoxReceived(self, box: AmpBox) -> None:
        if _ANSWER in box:
            asked = self._asked.pop(int(box.pop(_ANSWER)))
            error = box.pop(_ERROR, None)
            value = _value(box)
            if error is None:
                asked.callback(value)
            else:
                asked.errback((ValueError if error == _REFUSED else LinkError)(value))
            return
        topic = box.pop(_TOPIC).decode()
        number = box.pop(_ASK, None)
        if number is None and topic in self._refused:
            return
        responded = maybeDeferred(self._respond, topic, _value(box))
        if number is None:
            responded.addErrback(self._not_taken, topic)
        else:
            responded.addCallback(_box)
            responded.addErrback(self._not_answered, topic)
            responded.addCallback(self._answer, number)

    def stopReceivingBoxes(self, reason: Failure) -> None:  # noqa: ARG002  there is but one
        self.connected = False
        for fd in self.take_descriptors(len(self.protocol.descriptors)):
            os.close(fd)
        asked, self._asked = self._asked, {}
        for one in asked.values():
            one.errback(LinkLost(f"the connection to {self._other} was lost"))
        self.on_lost()

    # -- answers -------------------------------------------------------------------------------

    def _respond(self, topic: str, value: JSON) -> Any:
        responder = self._responders.get(topic)
        if topic in self._refused:
            raise ValueError(self._refused[topic])
        if responder is None:
            raise LookupError(f"nobody answers on the topic {topic!r}")
        answer = responder(value)
        return _awaited(answer) if isinstance(answer, Awaitable) else answer

    def _answer(self, box: AmpBox, number: bytes) -> None:
        if self.connected:
            box[_ANSWER] = number
            self._send(box)

    def _not_answered(self, failure: Failure, topic: str) -> AmpBox:
        if failure.check(ValueError):
            box = _box(str(failure.value))
            box[_ERROR] = _REFUSED
            return box
        self._not_taken(failure, topic)
        box = _box(f"{topic}: {failure.getErrorMessage()}")
        box[_ERROR] = _FAILED
        return box

    def _not_taken(self, failure: Failure, topic: str) -> None:
        self.log.failure(
            "worker {number}'s link: {topic} could not be done",
            failure=failure,
            number=self.number,
            topic=topic,
        )


@implementer(IFileDescriptorReceiver)
class _Boxes(BinaryBoxProtocol):
    """Keeps the `descriptors` that have arrived, in the order in which they were sent."""

    def __init__(self, receiver: Link) -> None:
        super().__init__(receiver)  # type: ignore[no-untyped-call]
        self.descriptors: deque[int] = deque()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self.descriptors.append(descriptor)


class _Factory(Factory[_Boxes]):
    """Of the one protocol."""

    noisy = False

    def __init__(self, made: _Boxes) -> None:
        self._made = made

    def buildProtocol(self, addr: object) -> _Boxes:  # noqa: ARG002
        return self._made


def _closing(result: Any, descriptors: Sequence[int]) -> Any:
    for fd in descriptors:
        os.close(fd)
    return result


async def _awaited(answer: Awaitable[JSON]) -> JSON:
    return await answer


def _box(value: JSON) -> AmpBox:
    """A box takes any number of values, but none that is longer than 65535 bytes."""
    data = json.dumps(value, separators=(",", ":")).encode("ascii")
    box = AmpBox()
    for index, start in enumerate(range(0, len(data), MAX_VALUE_LENGTH)):
        box[b"%d" % index] = data[start : start + MAX_VALUE_LENGTH]
    return box


def _value(box: AmpBox) -> JSON:
    value: JSON = json.loads(b"".join([box[b"%d" % index] for index in range(len(box))]))
    return value
