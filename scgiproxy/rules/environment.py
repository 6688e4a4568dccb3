"""Variables of a request: SetEnv, UnsetEnv, PassEnv, SetEnvIf, BrowserMatch.

Names are case-sensitive, as in any environment.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from scgiproxy.rules.facts import Facts
from scgiproxy.rules.substitution import Template

_Reader = Callable[[Facts], bytes]

_PLAIN_NAME = re.compile(rb"[-A-Za-z0-9_]+")


class EnvironmentRule(ABC):
    __slots__ = ()

    @abstractmethod
    def apply(self, facts: Facts) -> None:
        """Change ``facts.environment``."""


@dataclass(frozen=True, slots=True)
class SetVariable(EnvironmentRule):
    """SetEnv; PassEnv too, with the value it had when the configuration was read."""

    name: bytes
    value: bytes

    def apply(self, facts: Facts) -> None:
        facts.environment[self.name] = self.value


@dataclass(frozen=True, slots=True)
class UnsetVariable(EnvironmentRule):
    """UnsetEnv: takes back what SetEnv and PassEnv said before it, and nothing else.

    It acts through `effective_rules`; applied on its own it changes nothing, so that a variable
    of SetEnvIf stays (mod_env).
    """

    name: bytes

    def apply(self, facts: Facts) -> None:  # noqa: ARG002
        return


@dataclass(frozen=True, slots=True)
class Assignment:
    """``NAME``, ``NAME=value`` (``$0`` to ``$9`` are replaced) or ``!NAME`` (value None)."""

    name: bytes
    value: bytes | None


def parse_assignment(word: str) -> Assignment:
    """Read one word after the expression of a SetEnvIf; ``NAME`` and ``NAME=`` mean ``1``.

    Raises ValueError with a sentence if there is no name.
    """
    name, _, value = word.partition("=")
    unset = name.startswith("!") and not value
    if unset:
        name = name[1:]
    if not name:
        raise ValueError(f"no variable name in {word!r}; expected NAME, NAME=value or !NAME")
    return Assignment(_bytes(name), None if unset else _bytes(value or "1"))


@dataclass(frozen=True, slots=True)
class SetVariableIf(EnvironmentRule):
    """SetEnvIf and SetEnvIfNoCase: `attribute` as written (Request_URI, a header, a variable).

    An attribute with characters that no header name has is an expression for header names; of
    several such headers the last one counts. Header names are compared without regard to case.
    What the request does not have is matched as an empty text. Remote_Host is the client's
    address: no names are looked up. Raises ValueError if that expression does not compile.
    (mod_setenvif.)
    """

    attribute: bytes
    pattern: re.Pattern[bytes]
    assignments: tuple[Assignment, ...]
    _read: _Reader = field(init=False, repr=False, compare=False)
    _changes: tuple[tuple[bytes, Template | None], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", _reader(self.attribute))
        changes = tuple(
            (each.name, None if each.value is None else Template(each.value))
            for each in self.assignments
        )
        object.__setattr__(self, "_changes", changes)

    def __reduce__(self) -> tuple[type[SetVariableIf], tuple[object, ...]]:
        # Made anew where it is unpickled: functions stay where they are.
        return type(self), (self.attribute, self.pattern, self.assignments)

    def apply(self, facts: Facts) -> None:
        match = self.pattern.search(self._read(facts))
        if match is None:
            return
        environment = facts.environment
        for name, template in self._changes:
            if template is None:
                environment.pop(name, None)
            else:
                environment[name] = template.expand(match)


def apply_rules(rules: Iterable[EnvironmentRule], facts: Facts) -> None:
    """Apply `rules` in order; a later SetEnvIf sees what an earlier one set."""
    for rule in rules:
        rule.apply(facts)


def effective_rules(rules: Iterable[EnvironmentRule]) -> tuple[EnvironmentRule, ...]:
    """`rules` without UnsetEnv and without what each takes back; for load time."""
    kept: list[EnvironmentRule] = []
    for rule in rules:
        if isinstance(rule, UnsetVariable):
            name = rule.name
            kept = [r for r in kept if not (isinstance(r, SetVariable) and r.name == name)]
        else:
            kept.append(rule)
    return tuple(kept)


_ATTRIBUTES: dict[bytes, _Reader] = {
    b"remote_host": lambda facts: facts.remote_addr,
    b"remote_addr": lambda facts: facts.remote_addr,
    b"server_addr": lambda facts: facts.server_addr,
    b"request_method": lambda facts: facts.method,
    b"request_protocol": lambda facts: facts.protocol,
    b"request_uri": lambda facts: facts.decoded_path,
}


def _reader(attribute: bytes) -> _Reader:
    """What fetches the text of `attribute` from a request."""
    lower = attribute.lower()
    if lower in _ATTRIBUTES:
        return _ATTRIBUTES[lower]
    if _PLAIN_NAME.fullmatch(attribute):

        def read_header(facts: Facts) -> bytes:
            value = facts.header(lower)
            return facts.environment.get(attribute, b"") if value is None else value

        return read_header
    try:
        names = re.compile(attribute, re.IGNORECASE)
    except re.error as error:
        shown = attribute.decode("utf-8", "backslashreplace")
        raise ValueError(f"{shown!r} is no expression for header names: {error}") from None

    def read_matching(facts: Facts) -> bytes:
        last = b""
        for name in facts.header_names():
            if names.search(name):
                last = facts.header(name) or b""
        return last

    return read_matching


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
