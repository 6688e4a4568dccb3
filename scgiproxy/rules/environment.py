"""Variables of a request: SetEnv, UnsetEnv, PassEnv, SetEnvIf, BrowserMatch."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from scgiproxy.rules.facts import Facts


class EnvironmentRule(ABC):
    @abstractmethod
    def apply(self, facts: Facts) -> None:
        """Change ``facts.environment``."""


@dataclass(frozen=True, slots=True)
class SetVariable(EnvironmentRule):
    """SetEnv; PassEnv too, with the value it had when the configuration was read."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class UnsetVariable(EnvironmentRule):
    name: bytes


@dataclass(frozen=True, slots=True)
class Assignment:
    """``NAME``, ``NAME=value`` (``$0`` to ``$9`` are replaced) or ``!NAME`` (value None)."""

    name: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class SetVariableIf(EnvironmentRule):
    """SetEnvIf and SetEnvIfNoCase: `attribute` as written (Request_URI, a header, a variable)."""

    attribute: bytes
    pattern: re.Pattern[bytes]
    assignments: tuple[Assignment, ...]
