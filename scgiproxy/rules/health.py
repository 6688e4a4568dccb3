"""How a balancer member is checked, and which answer is a good one (mod_proxy_hcheck)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from scgiproxy.rules.expression import Expression, Vocabulary

SHORTEST_INTERVAL = 0.1
"""Seconds, as in Apache."""

KEPT_BODY = 65536
"""Bytes of an answer that a condition can see; what follows is read and dropped."""

MOST_READ = 1 << 20
"""Bytes of a body after which nothing more of it is read: it is no answer to a health check."""

VOCABULARY = Vocabulary(
    variables=frozenset(("REQUEST_STATUS", "HC_BODY")), functions=frozenset(("hc", "resp"))
)
"""What a condition can ask for: see `CheckAnswer`."""


class CheckMethod(Enum):
    """The word after ``hcmethod=``, in upper case."""

    NONE = "NONE"
    """No check."""
    TCP = "TCP"
    """A connection, on a UNIX socket too, which is closed at once."""
    OPTIONS = "OPTIONS"
    HEAD = "HEAD"
    GET = "GET"
    OPTIONS11 = "OPTIONS11"
    HEAD11 = "HEAD11"
    GET11 = "GET11"

    @property
    def asks(self) -> bool:
        """Whether a request is sent."""
        return self not in (CheckMethod.NONE, CheckMethod.TCP)

    @property
    def verb(self) -> bytes:
        """REQUEST_METHOD."""
        return self.value.removesuffix("11").encode("ascii")

    @property
    def protocol(self) -> bytes:
        """SERVER_PROTOCOL: ``11`` at the end of the word is HTTP/1.1."""
        return b"HTTP/1.1" if self.value.endswith("11") else b"HTTP/1.0"


class CheckAnswer:
    """What a member has answered; whom a condition asks (`rules.expression.Context`).

    - ``%{REQUEST_STATUS}``: the status, three digits.
    - ``hc('body')``, ``%{HC_BODY}``: the first `KEPT_BODY` bytes of the body; of HEAD nothing.
    - ``resp('NAME')``: a header of the answer, repeated ones joined by commas; empty if absent.
    """

    __slots__ = ("_body", "_headers", "status")

    def __init__(
        self, status: int, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        self.status = status
        self._headers = headers
        self._body = body

    def variable(self, name: str) -> str:
        return str(self.status) if name == "REQUEST_STATUS" else _as_text(self._body)

    def function(self, name: str, argument: str) -> str:
        if name == "hc":
            return _as_text(self._body) if argument.lower() == "body" else ""
        wanted = argument.lower().encode("utf-8", "surrogateescape")
        return _as_text(b", ".join(value for key, value in self._headers if key.lower() == wanted))


@dataclass(frozen=True, slots=True)
class HealthCondition:
    """A ``ProxyHCExpr``."""

    name: str
    expression: Expression[bool]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The ``hc...`` parameters of a member."""

    method: CheckMethod = CheckMethod.TCP
    interval: float = 30.0
    """`hcinterval`: seconds from the end of one check to the next one."""
    passes: int = 1
    """`hcpasses`: how many in a row bring a failed member back; 0 is 1."""
    fails: int = 1
    """`hcfails`: how many in a row put a member out of use; 0 is 1."""
    uri: bytes = b""
    """`hcuri`: what follows the path of the member's URL, with its query."""
    condition: HealthCondition | None = None
    """`hcexpr`; None: a status from 200 to 399 is good."""

    def complaint(self, answer: CheckAnswer) -> str:
        """What is wrong with an answer; empty if it is good.

        Raises GatewayError if the condition makes a text that is too long.
        """
        if self.condition is None:
            return "" if 200 <= answer.status <= 399 else f"status {answer.status}"
        if self.condition.expression.evaluate(answer):
            return ""
        return f"{self.condition.name} does not hold, status {answer.status}"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How the last probe of a member went.

    `passed` is None if it said nothing about the member (such as a full listen queue); `told` is
    in words: ``connected``, ``status 200``, or what was wrong.
    """

    at: float
    """Seconds on the reactor's clock."""
    passed: bool | None
    told: str
    seconds: float = field(default=0.0, compare=False)
    """How long it took."""


def _as_text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")
