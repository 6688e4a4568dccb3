"""A reader of CGI answers that is slow and easy to check: RFC 3875 section 6, line by line.

It wants the whole of what a backend has sent, and is for telling what the gateway may have made of
those bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_LINES = 200
LONGEST_HEAD = 65536

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: ([\t -~\x80-\xff]*))?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t -~\x80-\xff]*)")
_STATUS = re.compile(rb"([0-9]{3})(?:[\t ].*)?", re.DOTALL)
_SINGLE = frozenset((b"content-type", b"location", b"etag", b"last-modified", b"content-range"))


@dataclass
class Answer:
    """What a backend has answered.

    - `malformed`: that is no answer. `complete`: its head is; `status` is None where it says none.
    - `fields`: all but Status and Content-Length; of some there is only the last.
    - `body`: all that came behind the head.
    """

    malformed: bool = False
    complete: bool = False
    status: int | None = None
    length: int | None = None
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    def value(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.fields if key.lower() == name), None)


class _Malformed(Exception):
    pass


def read(data: bytes) -> Answer:
    """What is in `data` so far."""
    answer = Answer()
    try:
        _read(data, answer)
    except _Malformed:
        answer.malformed = True
    return answer


def _read(data: bytes, answer: Answer) -> None:
    number = 0
    left = LONGEST_HEAD
    while b"\n" in data:
        line, _, data = data.partition(b"\n")
        left -= len(line) + 1
        if left < 0:
            raise _Malformed
        line = line.removesuffix(b"\r")
        if not line:
            answer.complete = True
            answer.body = data
            return
        number += 1
        if number > MOST_LINES:
            raise _Malformed
        if number == 1 and line.startswith(b"HTTP/"):
            _set_status(answer, _STATUS_LINE.fullmatch(line))
            continue
        found = _FIELD.fullmatch(line)
        if found is None:
            raise _Malformed
        name, value = found[1], found[2].rstrip(b"\t ")
        _add(answer, name.lower(), name, value)
    if len(data) > left:
        raise _Malformed


def _set_status(answer: Answer, found: re.Match[bytes] | None) -> None:
    if found is None or not 200 <= int(found[1]) <= 599:
        raise _Malformed
    if answer.status not in (None, int(found[1])):
        raise _Malformed
    answer.status = int(found[1])


def _add(answer: Answer, lower: bytes, name: bytes, value: bytes) -> None:
    if lower == b"status":
        _set_status(answer, _STATUS.fullmatch(value))
    elif lower == b"content-length":
        if answer.length is not None or not re.fullmatch(rb"[0-9]{1,19}", value):
            raise _Malformed
        answer.length = int(value)
        if answer.length >= 1 << 63:
            raise _Malformed
    elif lower == b"transfer-encoding":
        raise _Malformed
    else:
        if lower in _SINGLE:
            answer.fields = [each for each in answer.fields if each[0].lower() != lower]
        answer.fields.append((name, value))
