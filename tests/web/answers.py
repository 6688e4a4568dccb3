"""What a client sees, and what a log has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from twisted.logger import globalLogPublisher


class Log:
    """The log lines about requests that went wrong."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        globalLogPublisher.addObserver(self._observe)
        return self

    def __exit__(self, *args: object) -> None:
        globalLogPublisher.removeObserver(self._observe)

    def _observe(self, event: dict[str, Any]) -> None:
        if "log_key" in event:
            self.events.append(event)

    def line(self) -> str:
        """The only one."""
        (event,) = self.events
        return event["log_format"].format(**event)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `headers` have lower-case names; `whole` is False for a truncated one."""

    status: int
    reason: str
    headers: dict[str, list[str]]
    body: bytes
    whole: bool

    def __getitem__(self, name: str) -> str | None:
        """The one header of that name; None if absent."""
        values = self.headers.get(name, [])
        assert len(values) < 2, values
        return values[0] if values else None


def parse_answers(data: bytes, *, closed: bool = True, methods: Iterable[str] = ()) -> list[Answer]:
    """All answers in `data`, strictly; an interim 1xx has no body, nor has one to HEAD.

    `methods` are those of the requests, in order; without any, all were GET.
    """
    answers = []
    asked = iter(methods)
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end, data
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1", first
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, colon, value = line.partition(": ")
            assert colon, line
            headers.setdefault(name.lower(), []).append(value)
        code = int(status)
        whole = True
        assert not {"content-length", "transfer-encoding"} <= set(headers), headers
        to_head = code >= 200 and next(asked, "GET") == "HEAD"
        if to_head or code < 200 or code in (204, 304):
            body, data = b"", rest
        elif "content-length" in headers:
            (length,) = headers["content-length"]
            body, data = rest[: int(length)], rest[int(length) :]
            whole = len(body) == int(length)
        elif "transfer-encoding" in headers:
            assert headers["transfer-encoding"] == ["chunked"]
            body, data, whole = _dechunk(rest)
        else:
            assert headers.get("connection") == ["close"], headers
            body, data, whole = rest, b"", closed
        answers.append(Answer(code, reason, headers, body, whole))
    return answers


def _dechunk(data: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        size, end, data = data.partition(b"\r\n")
        if not end:
            return body, b"", False
        length = int(size, 16)
        if not length:
            assert data.startswith(b"\r\n")
            return body, data[2:], True
        assert data[length : length + 2] == b"\r\n", data
        body += data[:length]
        data = data[length + 2 :]
