"""What expressions ask, as plain data, and the vocabulary of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from scgiproxy.config.expressions import compile_expression
from scgiproxy.rules.expression import Expression, Vocabulary, parse_condition, parse_text

VOCABULARY = Vocabulary(
    frozenset(("REQUEST_STATUS", "REQUEST_URI", "HTTP_REFERER", "OCTETS")),
    frozenset(("req", "hc")),
)


@dataclass
class Answers:
    """A `scgiproxy.rules.expression.Context` that keeps what it was asked."""

    variables: dict[str, str] = field(
        default_factory=lambda: {
            "REQUEST_STATUS": "200",
            "REQUEST_URI": "/a/b.txt",
            "OCTETS": b"\xff\xc3\xa9".decode("utf-8", "surrogateescape"),
        }
    )
    functions: dict[tuple[str, str], str] = field(
        default_factory=lambda: {
            ("req", "Foo"): "Bar baz",
            ("req", "Number"): "42",
            ("hc", "body"): "All is Well\n",
        }
    )
    asked: list[str] = field(default_factory=list)

    def variable(self, name: str) -> str:
        self.asked.append(name)
        return self.variables.get(name, "")

    def function(self, name: str, argument: str) -> str:
        self.asked.append(f"{name}:{argument}")
        return self.functions.get((name, argument), "")


def condition(text: str) -> Expression[bool]:
    return parse_condition(text, VOCABULARY, compile_expression)


def holds(text: str, answers: Answers | None = None) -> bool:
    return condition(text).evaluate(answers or Answers())


def expanded(text: str) -> str:
    return parse_text(text, VOCABULARY).evaluate(Answers())
