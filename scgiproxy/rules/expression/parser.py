"""Tokens to a tree. What binds tighter is parsed deeper: ``||``, ``&&``, ``!``, comparison, ``.``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Never, Protocol

from scgiproxy.rules.expression.lexer import (
    MAX_DEPTH,
    Kind,
    Named,
    Piece,
    Reference,
    Token,
    fail,
    pieces_of,
    shown,
    tokens_of,
)
from scgiproxy.rules.expression.tree import (
    CHECKS,
    COMPARISONS,
    CONVERSIONS,
    All,
    AnyOf,
    BackReference,
    Check,
    Comparison,
    Concatenation,
    Constant,
    Conversion,
    Expression,
    Function,
    Literal,
    Match,
    Membership,
    Node,
    Not,
    Variable,
    as_bytes,
)
from scgiproxy.rules.wildcards import translate_wildcard

_OR = ("||", "or")
_AND = ("&&", "and")
_NOT = ("!", "not")
_IN = ("-in", "in")
_BARE_INTEGER_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_WILDCARDS = ("-strmatch", "-strcmatch", "-fnmatch")
_RESERVED = frozenset(("true", "false", "and", "or", "not", "in", *_BARE_INTEGER_COMPARISONS))
_SAME_FUNCTION = {"http": "req"}


class CompileRegex(Protocol):
    """How a pattern as Apache knows it becomes one of Python's, which is searched in bytes."""

    def __call__(self, text: str, *, ignore_case: bool) -> re.Pattern[bytes]:
        """Raises ValueError with a sentence for a pattern that is none."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a context has values of: `variables` in upper case, `functions` in lower case.

    In an expression they are written in any case. ``http`` is ``req``. The functions that need no
    context (``tolower``, ``toupper``) always exist.
    """

    variables: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()


def parse_condition(
    text: str, vocabulary: Vocabulary, compile_regex: CompileRegex
) -> Expression[bool]:
    """Read a condition, as in ``ProxyHCExpr ok {%{REQUEST_STATUS} =~ /^[234]/}`` the inner part.

    `text` is decoded as a configuration is (see `tree`). Raises ValueError with a sentence that
    says at which character, counted from 1, what is wrong and what was expected; for more than
    `lexer.MAX_LENGTH` characters or `lexer.MAX_DEPTH` levels too.
    """
    return Expression(text, _Parser(tokens_of(text), vocabulary, compile_regex).whole())


def parse_text(text: str, vocabulary: Vocabulary) -> Expression[str]:
    """Read a text with ``%{...}`` in it, as in ``Header set Via "expr=%{SERVER_NAME}"``.

    Quotes and operators mean nothing there. Raises ValueError as `parse_condition` does.
    """
    return Expression(text, _Names(vocabulary).text(pieces_of(text)))


class _Names:
    """Variables and functions, looked up in a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._variables = vocabulary.variables
        self._functions = vocabulary.functions

    def text(self, pieces: Iterable[Piece]) -> Node[str]:
        return _concatenation([self._piece(piece) for piece in pieces])

    def function(self, name: str, column: int, argument: Node[str]) -> Node[str]:
        known = _SAME_FUNCTION.get(name.lower(), name.lower())
        if known in CONVERSIONS:
            return Conversion(known, argument)
        if known not in self._functions:
            choices = _choice(sorted({*self._functions, *CONVERSIONS}))
            fail(column, f"unknown function {shown(name)}; expected {choices}")
        return Function(known, argument)

    def _piece(self, piece: Piece) -> Node[str]:
        if isinstance(piece, str):
            return Literal(piece)
        if isinstance(piece, Reference):
            return BackReference(piece.number)
        if piece.argument is None:
            return self._variable(piece)
        return self.function(piece.name, piece.column, self.text(piece.argument))

    def _variable(self, named: Named) -> Node[str]:
        known = named.name.upper()
        if known not in self._variables:
            choices = _choice(sorted(self._variables)) or "a function, which has an argument"
            fail(named.column, f"unknown variable {shown(named.name)}; expected {choices}")
        return Variable(known)


class _Parser:
    def __init__(
        self, tokens: list[Token], vocabulary: Vocabulary, compile_regex: CompileRegex
    ) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._names = _Names(vocabulary)
        self._compile = compile_regex

    def whole(self) -> Node[bool]:
        condition = self._or()
        if self._token.kind is not Kind.END:
            self._expected("&&, || or the end")
        return condition

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _expected(self, what: str) -> Never:
        token = self._token
        got = "the end" if token.kind is Kind.END else shown(token.text)
        if token.kind is Kind.REGEX:
            got = "a regular expression"
        fail(token.column, f"expected {what}, got {got}")

    def _is(self, *texts: str) -> bool:
        token = self._token
        return token.text in texts and token.kind in (Kind.OPERATOR, Kind.WORD)

    def _accept(self, *texts: str) -> bool:
        accepted = self._is(*texts)
        self._at += accepted
        return accepted

    def _require(self, text: str, or_also: str) -> None:
        if not self._accept(text):
            self._expected(f"{or_also} or {text}")

    def _open(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            column = self._tokens[self._at - 1].column
            fail(column, f"expected at most {MAX_DEPTH} parentheses in each other")

    def _or(self) -> Node[bool]:
        conditions = [self._and()]
        while self._accept(*_OR):
            conditions.append(self._and())
        return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))

    def _and(self) -> Node[bool]:
        conditions = [self._not()]
        while self._accept(*_AND):
            conditions.append(self._not())
        return conditions[0] if len(conditions) == 1 else All(tuple(conditions))

    def _not(self) -> Node[bool]:
        negated = False
        while self._accept(*_NOT):
            negated = not negated
        condition = self._primary()
        return Not(condition) if negated else condition

    def _primary(self) -> Node[bool]:
        if self._accept("("):
            self._open()
            condition = self._or()
            self._depth -= 1
            self._require(")", "&&, ||")
            return condition
        for value in (True, False):
            if self._accept(str(value).lower()):
                return Constant(value)
        token = self._token
        if token.kind is Kind.OPERATOR and token.text in CHECKS:
            self._at += 1
            return Check(token.text, self._word())
        if token.kind is Kind.OPERATOR and token.text.startswith("-"):
            self._expected(f"a condition, such as one of {' '.join(CHECKS)} and a word")
        return self._comparison()

    def _comparison(self) -> Node[bool]:
        left = self._word("a condition")
        token = self._token
        name = f"-{token.text}" if token.text in _BARE_INTEGER_COMPARISONS else token.text
        if self._is("=~", "!~"):
            self._at += 1
            return Match(left, self._regex(), token.text == "!~")
        if self._accept(*_IN):
            return Membership(left, self._list())
        if token.kind is Kind.OPERATOR and token.text.lower() in _WILDCARDS:
            self._at += 1
            return self._wildcard(left, token.text.lower())
        if token.kind not in (Kind.OPERATOR, Kind.WORD) or name not in COMPARISONS:
            known = " ".join((*COMPARISONS, "=~ !~ -in", *_WILDCARDS))
            self._expected(f"a comparison ({known})")
        self._at += 1
        return Comparison(name, left, self._word())

    def _regex(self) -> re.Pattern[bytes]:
        token = self._token
        if token.kind is not Kind.REGEX:
            self._expected("a regular expression, such as /.../ or m#...#")
        self._at += 1
        try:
            return self._compile(token.text, ignore_case=token.ignore_case)
        except ValueError as error:
            fail(token.column, str(error))

    def _wildcard(self, text: Node[str], name: str) -> Node[bool]:
        column = self._token.column
        pattern = self._word("a shell pattern")
        if not isinstance(pattern, Literal):
            fail(column, f"expected a shell pattern without variables after {name}")
        wildcard = as_bytes(pattern.text)
        if name == "-strcmatch":
            text, wildcard = Conversion("tolower", text), wildcard.lower()
        compiled = translate_wildcard(wildcard, slash_is_special=name == "-fnmatch")
        return Match(text, compiled, negated=False)

    def _list(self) -> tuple[Node[str], ...]:
        if not self._accept("{"):
            self._expected("{ and the words of a list")
        words = [self._word()]
        while self._accept(","):
            words.append(self._word())
        self._require("}", "a comma")
        return tuple(words)

    def _word(self, what: str = "a word (a string, a number, a variable, a function)") -> Node[str]:
        parts = [self._part(what)]
        while self._accept("."):
            parts.append(self._part("a word after the dot"))
        return _concatenation(parts)

    def _part(self, what: str) -> Node[str]:
        token = self._token
        if token.kind is Kind.NUMBER:
            self._at += 1
            return Literal(token.text)
        if token.kind is Kind.VALUE:
            self._at += 1
            return self._names.text(token.pieces)
        if token.kind is not Kind.WORD or token.text in _RESERVED:
            self._expected(what)
        self._at += 1
        if not self._accept("("):
            self._expected(f"a parenthesis after the name {shown(token.text)}")
        self._open()
        argument = self._word()
        self._depth -= 1
        self._require(")", "a dot")
        return self._names.function(token.text, token.column, argument)


def _concatenation(parts: list[Node[str]]) -> Node[str]:
    if len(parts) == 1:
        return parts[0]
    literals = [part.text for part in parts if isinstance(part, Literal)]
    if len(literals) == len(parts):
        return Literal("".join(literals))
    return Concatenation(tuple(parts))


def _choice(names: list[str]) -> str:
    """``A, B or C``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
