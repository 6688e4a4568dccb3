"""What a row of the directive table is: a name, where it may stand, its arguments, its effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scgiproxy.config.scopes import Place
    from scgiproxy.config.tree import Node


class Context(Flag):
    """Where a directive may stand."""

    SERVER = auto()
    VIRTUAL_HOST = auto()
    DIRECTORY = auto()
    LOCATION = auto()
    PROXY = auto()
    FILES = auto()
    REQUIRE = auto()

    def describe(self) -> str:
        """The words of the manual, for messages and the reference page."""
        return ", ".join(text for context, text in _CONTEXT_WORDS.items() if context in self)


_CONTEXT_WORDS = {
    Context.SERVER: "server config",
    Context.VIRTUAL_HOST: "<VirtualHost>",
    Context.DIRECTORY: "<Directory>",
    Context.LOCATION: "<Location>",
    Context.PROXY: "<Proxy>",
    Context.FILES: "<Files>",
    Context.REQUIRE: "<RequireAll> and kin",
}
HOST = Context.SERVER | Context.VIRTUAL_HOST
SECTION = Context.DIRECTORY | Context.LOCATION | Context.PROXY | Context.FILES
ANYWHERE = HOST | SECTION


class Merge(Enum):
    """How a line joins an earlier one in the same place (`within`), and how an inner place joins
    the outer one (`across`): a virtual host the main server, a section what comes before it."""

    REPLACE = "the last line counts; an inner place replaces the outer one"
    APPEND = "lines add up, and an inner section adds to the outer ones"
    COLLECT = "lines add up; an inner section with one of its own replaces the outer ones"
    BY_KEY = "lines with different keys add up; of equal ones the innermost and last counts"
    OWN = "lines add up; nothing is inherited"
    FIRST = "lines add up; those of an inner section come before the outer ones"

    def within(self, earlier: Any, later: Any) -> Any:
        """Two lines of one place; `earlier` is None for the first."""
        if earlier is None or self is Merge.REPLACE:
            return later
        if self is Merge.BY_KEY:
            return {**earlier, **later}
        return earlier + later

    def across(self, outer: Any, inner: Any) -> Any:
        """What two places say; both are there."""
        if self is Merge.BY_KEY:
            return {**outer, **inner}
        if self is Merge.APPEND:
            return outer + inner
        if self is Merge.FIRST:
            return inner + outer
        return inner


Read = Callable[["Place", list[str]], Any]
"""The argument rule: words to a value. Raises ValueError with a sentence that says what was
expected; the directive's name is put before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One row.

    - `syntax` is what follows the name, and what a message says was expected; `count` is the
      least and the greatest number of words (None: any number).
    - `settings`, `server` and `config` name the field of `rules.settings.Settings`,
      `rules.settings.ServerSettings` or `model.Config` that takes the value, combined by `merge`.
      With both of the first two, `server` is meant outside sections. Settings that are no field
      of their own are listed in `config.merge`.
    - `effect` is for what is no plain field: called with the place and the value.
    - `enter` makes it a section: called with the place and the node. `inside` is what it is to the
      directives in it.
    - `inert` says why it does nothing here; the check tells so once.
    - `raw` ones get what follows the name as one word, quotes and all.
    - `read_time` ones are executed by `config.tree`; their row is for messages and the reference.
    """

    name: str
    contexts: Context
    syntax: str
    doc: str
    count: tuple[int, int | None] = (1, 1)
    read: Read | None = None
    settings: str = ""
    server: str = ""
    config: str = ""
    merge: Merge = Merge.REPLACE
    effect: Callable[[Place, Any], None] | None = None
    enter: Callable[[Place, Node], None] | None = None
    inside: Context | None = None
    default: str = ""
    inert: str = ""
    raw: bool = False
    read_time: bool = False

    @property
    def is_section(self) -> bool:
        return self.enter is not None or (self.read_time and self.name.startswith("If"))

    @property
    def shown(self) -> str:
        """The name as it is written: sections have brackets."""
        return f"<{self.name}>" if self.is_section else self.name

    def check_count(self, given: int) -> None:
        """Raise ValueError for too few or too many words."""
        least, most = self.count
        if given >= least and (most is None or given <= most):
            return
        if most is None:
            wanted = f"at least {_plural(least)}"
        elif least == most:
            wanted = _plural(least)
        else:
            between = "or" if most == least + 1 else "to"
            wanted = f"{least} {between} {most} arguments"
        expected = f" ({self.syntax})" if self.syntax else ""
        raise ValueError(f"takes {wanted}{expected}; {given} given")

    def store(self, place: Place, value: Any) -> None:
        """Give the value its effect."""
        if self.effect is not None:
            self.effect(place, value)
            return
        target, field = self._target(place)
        if field:
            target[field] = self.merge.within(target.get(field), value)

    def _target(self, place: Place) -> tuple[dict[str, Any], str]:
        if self.server and place.context in HOST:
            return place.host.server, self.server
        if self.settings:
            return place.values, self.settings
        return place.configuration.values, self.config


def _plural(number: int) -> str:
    words = {0: "no arguments", 1: "one argument", 2: "two arguments", 3: "three arguments"}
    return words.get(number, f"{number} arguments")


def merge_fields(
    rules: Mapping[str, Merge], outer: Mapping[str, Any], inner: Mapping[str, Any]
) -> dict[str, Any]:
    """What two places say together, field by field."""
    merged = dict(outer)
    for name, value in inner.items():
        merged[name] = rules[name].across(merged[name], value) if name in merged else value
    return merged
