"""The parts of an expression, immutable, and what each one is for a request.

All text is what bytes are when they are decoded as UTF-8 with ``surrogateescape``, as in a
configuration that has been read: so any byte survives, and equal bytes are equal texts.
"""

from __future__ import annotations

import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from scgiproxy.errors import GatewayError

MAX_TEXT = 1 << 24
"""Characters of a text that an expression puts together."""

_INTEGER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)0*([0-9]*)")
_INT64 = 1 << 63
_OFF = frozenset(("", "0", "off", "no", "false"))

Value = TypeVar("Value", str, bool)


class Context(Protocol):
    """Whom an expression asks for its values: a request, or the answer to a health check."""

    def variable(self, name: str) -> str:
        """The value of ``%{name}``, one of the vocabulary's, in upper case; empty if unset."""

    def function(self, name: str, argument: str) -> str:
        """What the function of that name, in lower case, has for `argument`; empty if nothing."""


class Evaluation:
    """One evaluation: the context, and what ``$0`` to ``$9`` refer to so far."""

    __slots__ = ("context", "match")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.match: re.Match[bytes] | None = None


class Node(ABC, Generic[Value]):
    """A part of an expression: a text (`Node[str]`) or a condition (`Node[bool]`)."""

    __slots__ = ()

    @abstractmethod
    def evaluate(self, evaluation: Evaluation) -> Value:
        """What it is now. Raises GatewayError for a text that grows over `MAX_TEXT`."""


@dataclass(frozen=True, slots=True)
class Expression(Generic[Value]):
    """A whole expression; `source` is its text. Made by `parse_condition` and `parse_text`."""

    source: str
    root: Node[Value]

    def evaluate(self, context: Context) -> Value:
        """What the expression is in `context`: True or False, or a text.

        Raises GatewayError if a text grows over `MAX_TEXT` characters.
        """
        return self.root.evaluate(Evaluation(context))


@dataclass(frozen=True, slots=True)
class Literal(Node[str]):
    text: str

    def evaluate(self, evaluation: Evaluation) -> str:  # noqa: ARG002
        return self.text


@dataclass(frozen=True, slots=True)
class Variable(Node[str]):
    name: str

    def evaluate(self, evaluation: Evaluation) -> str:
        return evaluation.context.variable(self.name)


@dataclass(frozen=True, slots=True)
class Function(Node[str]):
    """A function that asks the context, such as ``req``."""

    name: str
    argument: Node[str]

    def evaluate(self, evaluation: Evaluation) -> str:
        return evaluation.context.function(self.name, self.argument.evaluate(evaluation))


@dataclass(frozen=True, slots=True)
class Conversion(Node[str]):
    """A function of its argument alone, one of `CONVERSIONS`."""

    name: str
    argument: Node[str]

    def evaluate(self, evaluation: Evaluation) -> str:
        converted = CONVERSIONS[self.name](as_bytes(self.argument.evaluate(evaluation)))
        return _as_text(converted)


@dataclass(frozen=True, slots=True)
class BackReference(Node[str]):
    number: int

    def evaluate(self, evaluation: Evaluation) -> str:
        match = evaluation.match
        if match is None or self.number > match.re.groups:
            return ""
        return _as_text(match[self.number] or b"")


@dataclass(frozen=True, slots=True)
class Concatenation(Node[str]):
    parts: tuple[Node[str], ...]

    def evaluate(self, evaluation: Evaluation) -> str:
        texts = [part.evaluate(evaluation) for part in self.parts]
        # References to what was matched could double a text with each comparison.
        if sum(map(len, texts)) > MAX_TEXT:
            raise GatewayError(f"an expression makes a text of more than {MAX_TEXT} characters")
        return "".join(texts)


@dataclass(frozen=True, slots=True)
class Constant(Node[bool]):
    value: bool

    def evaluate(self, evaluation: Evaluation) -> bool:  # noqa: ARG002
        return self.value


@dataclass(frozen=True, slots=True)
class Not(Node[bool]):
    condition: Node[bool]

    def evaluate(self, evaluation: Evaluation) -> bool:
        return not self.condition.evaluate(evaluation)


@dataclass(frozen=True, slots=True)
class All(Node[bool]):
    """``&&``: in order, up to the first that is false."""

    conditions: tuple[Node[bool], ...]

    def evaluate(self, evaluation: Evaluation) -> bool:
        return all(condition.evaluate(evaluation) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class AnyOf(Node[bool]):
    """``||``: in order, up to the first that is true."""

    conditions: tuple[Node[bool], ...]

    def evaluate(self, evaluation: Evaluation) -> bool:
        return any(condition.evaluate(evaluation) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Comparison(Node[bool]):
    """Two texts, compared by their bytes or as integers; one of `COMPARISONS`."""

    operator: str
    left: Node[str]
    right: Node[str]

    def evaluate(self, evaluation: Evaluation) -> bool:
        left = as_bytes(self.left.evaluate(evaluation))
        right = as_bytes(self.right.evaluate(evaluation))
        return COMPARISONS[self.operator](left, right)


@dataclass(frozen=True, slots=True)
class Match(Node[bool]):
    """``=~``, or ``!~`` if `negated`. With groups it is what references refer to from now on."""

    text: Node[str]
    pattern: re.Pattern[bytes]
    negated: bool

    def evaluate(self, evaluation: Evaluation) -> bool:
        match = self.pattern.search(as_bytes(self.text.evaluate(evaluation)))
        if self.pattern.groups:
            evaluation.match = match
        return (match is None) is self.negated


@dataclass(frozen=True, slots=True)
class Membership(Node[bool]):
    """``-in {...}``: equal to one of the texts."""

    text: Node[str]
    texts: tuple[Node[str], ...]

    def evaluate(self, evaluation: Evaluation) -> bool:
        wanted = self.text.evaluate(evaluation)
        return any(text.evaluate(evaluation) == wanted for text in self.texts)


@dataclass(frozen=True, slots=True)
class Check(Node[bool]):
    """One of `CHECKS` of a text."""

    operator: str
    text: Node[str]

    def evaluate(self, evaluation: Evaluation) -> bool:
        return CHECKS[self.operator](self.text.evaluate(evaluation))


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _as_text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _integer(octets: bytes) -> int:
    """The number that a text begins with, 0 if with none, at most 64 bits (C's strtoll)."""
    found = _INTEGER.match(octets)
    assert found is not None
    sign, digits = found.groups()
    number = _INT64 if len(digits) > 19 else int(digits or b"0")
    return max(-_INT64, -number) if sign == b"-" else min(_INT64 - 1, number)


_Compare = Callable[[bytes, bytes], bool]


def _of_integers(compare: Callable[[int, int], bool]) -> _Compare:
    return lambda left, right: compare(_integer(left), _integer(right))


COMPARISONS: Mapping[str, _Compare] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "-eq": _of_integers(operator.eq),
    "-ne": _of_integers(operator.ne),
    "-lt": _of_integers(operator.lt),
    "-le": _of_integers(operator.le),
    "-gt": _of_integers(operator.gt),
    "-ge": _of_integers(operator.ge),
}
CHECKS: Mapping[str, Callable[[str], bool]] = {
    "-n": lambda text: text != "",
    "-z": lambda text: text == "",
    "-T": lambda text: text.lower() not in _OFF,
}
CONVERSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    # Letters of ASCII only, as in Apache.
    "tolower": bytes.lower,
    "toupper": bytes.upper,
}
