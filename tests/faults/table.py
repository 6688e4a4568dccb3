"""The phases of an exchange, the faults of a backend, and what a client gets of each pair.

What a client gets is not written down for each pair: it follows from the bytes that the backend has
sent in all, how it ends, and what it had been asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.heads import read

TIMEOUT = 10
"""Seconds for a backend, in memory. A byte comes each second then; on sockets all is quicker."""

HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
STREAM = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
BODY = b"0123456789"
LINES = b"X-A: b\r\n" * 1000
GARBAGE = b"\0\xff\x1b[2J\r\n:\n\r\n\r\n"
OTHER = b"from another connection"
"""The body of those who come to answer in the place of one that has gone."""

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Phase:
    """How far an exchange has come.

    - `asked`: what the client has sent, and `rest`, what it still has to send.
    - `answered`: what the backend has.
    - `connected`: whether it has taken the connection; `reads`: whether it has read the request.
    """

    name: str
    asked: bytes = GET
    rest: bytes = b""
    answered: bytes = b""
    connected: bool = True
    reads: bool = True

    @property
    def missing(self) -> bytes:
        """What the answer lacks."""
        whole = (STREAM if self.answered.startswith(STREAM) else HEAD) + BODY
        return whole[len(self.answered) :]

    @property
    def uploads(self) -> bool:
        return self.asked.startswith(b"POST")

    @property
    def is_read(self) -> bool:
        """All of the request."""
        return self.reads and not self.rest


PHASES = (
    Phase("connecting", connected=False),
    Phase("connected, and nothing sent", reads=False),
    Phase("block partly sent", POST + BODY, reads=False),
    Phase("block sent", POST, BODY),
    Phase("body partly sent", POST + BODY[:5], BODY[5:]),
    Phase("body sent", POST + BODY),
    Phase("kept body sent", CHUNKED + b"a\r\n" + BODY + b"\r\n0\r\n\r\n"),
    Phase("nothing of the answer yet"),
    Phase("within the status", answered=HEAD[:10]),
    Phase("within the head", answered=HEAD[:24]),
    Phase("head complete", answered=HEAD),
    Phase("body with a length partly relayed", answered=HEAD + BODY[:5]),
    Phase("body without a length partly relayed", answered=STREAM + BODY[:5]),
    Phase("all but the last byte", answered=HEAD + BODY[:-1]),
    Phase("complete, and held open", answered=HEAD + BODY),
    Phase("after the end, with the request unread", answered=HEAD + BODY, reads=False),
)

CONNECTING = PHASES[0]

CLOSES, RESETS, HALF_CLOSES, STAYS = "closes", "resets", "half-closes", "stays"
LEAVES = (CLOSES, RESETS, HALF_CLOSES)
"""How a connection ends, seen from the gateway; `STAYS` is not at all."""


@dataclass(frozen=True)
class Acts:
    """What a backend does from then on: it sends these pieces, a second apart if it dribbles, and
    ends so."""

    pieces: tuple[bytes, ...]
    ends: str
    dribbles: bool = False


def _answers_early(phase: Phase) -> Acts:
    # Who closes with bytes unread resets.
    return Acts((phase.missing,), CLOSES if phase.is_read else RESETS)


FAULTS = {
    "hangs": lambda phase: Acts((), STAYS),
    "dribbles a byte a second": lambda phase: Acts(
        tuple(b"%c" % byte for byte in phase.missing), CLOSES, dribbles=True
    ),
    "sends for ever": lambda phase: Acts((LINES,) * 40, STAYS),
    "resets": lambda phase: Acts((), RESETS),
    "closes": lambda phase: Acts((), CLOSES),
    "half-closes": lambda phase: Acts((), HALF_CLOSES),
    "answers before it reads": _answers_early,
    "sends garbage": lambda phase: Acts((GARBAGE,), STAYS),
    "sends too much": lambda phase: Acts((phase.missing + LINES * 12,), STAYS),
}


@dataclass(frozen=True)
class Outcome:
    """What a client gets: a status, a body, and whether that is whole; and the keys one of which the
    line in the log has, none if there is no line."""

    status: int
    body: bytes | None = None
    whole: bool = True
    keys: tuple[str, ...] = ()


UNREACHABLE = Outcome(503, keys=("backend.unavailable", "backend.connect", "backend.tls"))
BY_ANOTHER = Outcome(200, OTHER)
_IN_TIME = Outcome(200, BODY)
_NO_HEAD = Outcome(504, keys=("backend.head_timeout",))
_GONE = Outcome(502, keys=("backend.truncated", "backend.send"))


def outcome(
    phase: Phase,
    fault: str,
    *,
    has_another: bool = False,
    repeats: bool = False,
    tls: bool = False,
) -> Outcome:
    """What comes of it. `has_another`: beside a backend that goes without a word there is another one;
    `repeats`: or another connection to it; `tls`: there is a handshake, which is no answer."""
    acts = FAULTS[fault](phase)
    if phase is CONNECTING and (tls or not acts.pieces):
        return BY_ANOTHER if has_another else UNREACHABLE
    sent = phase.answered + b"".join(acts.pieces)
    if acts.dribbles:
        late = len(phase.missing) > TIMEOUT
        return _NO_HEAD if late else _IN_TIME
    if not (sent or phase.uploads) and acts.ends in LEAVES and (has_another or repeats):
        return BY_ANOTHER
    said = read(sent)
    if said.malformed:
        return Outcome(502, keys=("backend.bad_response",))
    if not said.complete:
        return _GONE if acts.ends in LEAVES else _NO_HEAD
    body = said.body[: said.length]
    if len(body) == said.length or (said.length is None and acts.ends in (CLOSES, HALF_CLOSES)):
        return Outcome(200, body)
    key = "backend.truncated" if acts.ends in LEAVES else "backend.body_timeout"
    return Outcome(200, body, whole=False, keys=(key,))
