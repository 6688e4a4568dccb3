"""What the tests of body sources share: who reads them, and who delivers."""

from __future__ import annotations

import io
from typing import Any

from scgiproxy.wire.body import FileBody, LiveUpload, RequestBody


class Consumer:
    """Keeps what is written; pauses `body` once `room` bytes are held."""

    def __init__(self, body: RequestBody, room: int | None = None) -> None:
        self.body = body
        self.room = room
        self.data = b""
        self.waiting = 0

    def write(self, data: bytes) -> None:
        self.data += data
        self.waiting += len(data)
        if self.room is not None and self.waiting >= self.room:
            self.body.pauseProducing()

    def drain(self) -> None:
        self.waiting = 0
        self.body.resumeProducing()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Not used: the body was given to us."""

    unregisterProducer = registerProducer


class Source:
    """The other end of a live upload: whether it is paused, and what it was told."""

    def __init__(self, length: int = 10) -> None:
        self.paused = False
        self.wanted = 0
        self.body = LiveUpload(length, self.pause, self.resume, self.want)

    def pause(self) -> None:
        assert not self.paused
        self.paused = True

    def resume(self) -> None:
        assert self.paused
        self.paused = False

    def want(self) -> None:
        self.wanted += 1


def produce(body: RequestBody, room: int | None = None) -> tuple[Consumer, list[Any]]:
    consumer = Consumer(body, room)
    fired: list[Any] = []
    body.startProducing(consumer).addBoth(fired.append)  # type: ignore[arg-type]
    return consumer, fired


def file_body(data: bytes, length: int | None = None) -> tuple[FileBody, io.BytesIO]:
    file = io.BytesIO(data)
    return FileBody(file, len(data) if length is None else length), file
