"""Doubles of what the web layer answers to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.interfaces import IGatewayRequest


@implementer(IGatewayRequest)
class RecordedRequest:
    """An `IGatewayRequest` that keeps its answer.

    `buffer_size` is how many bytes the client takes before the producer is paused (None: never);
    `drain` has it read on. `client_leaves` is the client closing its connection. It is strict: a
    call out of order, or a byte over the announced length, is an AssertionError.

    With `sendfile` it takes files: that is asked with where and how many bytes to send from, and says
    how many it will be, or None.
    """

    def __init__(
        self,
        method: bytes = b"GET",
        headers: Mapping[bytes, bytes] | None = None,
        *,
        is_http11: bool = True,
        buffer_size: int | None = None,
        sendfile: Callable[[int, int], int | None] | None = None,
    ) -> None:
        self.method = method
        self.is_http11 = is_http11
        self.head_sent = False
        self.gone = False
        self.request_headers = dict(headers or {})
        self.buffer_size = buffer_size
        self.sendfile = sendfile
        self.takes_files = sendfile is not None
        self.status: int | None = None
        self.reason: bytes | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.written: list[bytes] = []
        self.finished = False
        self.aborted: Exception | None = None
        self.logged: BaseException | None = None
        self.producer: IPushProducer | IPullProducer | None = None
        self.streaming = False
        self.paused = False
        self._buffered = 0
        self._callbacks: list[Callable[[], None]] = []

    # What a test asks.

    @property
    def body(self) -> bytes:
        return b"".join(self.written)

    @property
    def answered(self) -> bool:
        """Whether the answer has ended, well or badly."""
        return self.finished or self.aborted is not None

    def response_header(self, name: bytes) -> bytes | None:
        """The one header of the answer of that name; None if absent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name!r} is there {len(values)} times"
        return values[0] if values else None

    # What a client does.

    def drain(self) -> None:
        """The client reads all that is buffered."""
        self._buffered = 0
        paused, self.paused = self.paused, False
        if self.producer is not None and (paused or not self.streaming):
            self.producer.resumeProducing()

    def drain_all(self) -> None:
        """The client reads until the answer has ended."""
        while not self.answered:
            before = (len(self.written), self.producer)
            self.drain()
            assert self.answered or (len(self.written), self.producer) != before, "it stands still"

    def client_leaves(self) -> None:
        """The producer is stopped first, as transports do, then those who asked are told."""
        if not self.gone:
            self.gone = True
            producer, self.producer = self.producer, None
            if producer is not None:
                producer.stopProducing()
            self._tell_gone()

    # IGatewayRequest.

    def header(self, name: bytes) -> bytes | None:
        assert name == name.lower(), "header names are asked for in lower case"
        return self.request_headers.get(name)

    def send_head(
        self,
        status: int,
        reason: bytes | None,
        headers: list[tuple[bytes, bytes]],
        length: int | None,
    ) -> None:
        if self.gone:
            return
        assert not self.head_sent, "send_head twice"
        names = {name.lower() for name, _ in headers}
        assert not names & {b"content-length", b"transfer-encoding", b"connection"}, names
        self.head_sent = True
        self.status, self.reason, self.headers, self.length = status, reason, headers, length

    def flush(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        if self.gone:
            return
        assert self.head_sent, "write before send_head"
        assert not self.finished, "write after finish"
        if self.method == b"HEAD" or self.status in (204, 304):
            return
        self.written.append(data)
        assert self.length is None or len(self.body) <= self.length, "more than was announced"
        self._buffered += len(data)
        full = self.buffer_size is not None and self._buffered > self.buffer_size
        if full and not self.paused:
            self.paused = True
            if self.streaming and self.producer is not None:
                self.producer.pauseProducing()

    def send_from(self, fd: int, start: int, count: int) -> int | None:
        if self.gone:
            return None
        assert self.head_sent, "send_from before send_head"
        assert self.producer is not None, "send_from without a producer"
        assert not self.paused, "send_from while paused"
        assert self.sendfile is not None
        sent = self.sendfile(start, count)
        if sent is None:
            return None
        self.written.append(os.pread(fd, sent, start))
        assert self.length is None or len(self.body) <= self.length, "more than was announced"
        if sent < count:
            self.paused = True
            if self.producer is not None:
                self.producer.pauseProducing()
        return sent

    def finish(self) -> None:
        if self.gone:
            return
        assert self.head_sent, "finish before send_head"
        assert not self.finished, "finish twice"
        assert self.producer is None, "finish with a producer"
        bodiless = self.method == b"HEAD" or self.status in (204, 304)
        if not bodiless and self.length is not None and len(self.body) != self.length:
            self.abort(AssertionError("less than was announced"))
            return
        self.finished = True
        self._callbacks.clear()

    def abort(self, reason: Exception) -> None:
        if self.gone or self.finished:
            return
        self.aborted = reason
        self.client_leaves()

    def failed(self, failure: Failure) -> None:
        self.logged = failure.value
        self.abort(failure.value)

    def on_gone(self, callback: Callable[[], None]) -> None:
        if self.gone:
            callback()
        else:
            self._callbacks.append(callback)

    def registerProducer(self, producer: IPushProducer | IPullProducer, streaming: bool) -> None:
        if self.gone:
            producer.stopProducing()
            return
        assert self.producer is None, "two producers"
        self.producer, self.streaming = producer, streaming
        if not streaming:
            if not self.paused:
                producer.resumeProducing()
        elif self.paused:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def _tell_gone(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
