"""What was found wrong while a configuration is read: collected, so that one run shows all."""

from __future__ import annotations

import re

from scgiproxy.config.model import Position
from scgiproxy.errors import ConfigError, Problem

_LONGEST = 1000
"""Characters of a message; a word of a file may be of any length."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Problems:
    """Errors, warnings and notes, each at a position. Reading goes on after every one of them."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._said: set[str] = set()
        self._files: dict[str, int] = {}
        self.error_count = 0

    def error(self, position: Position, message: str) -> None:
        self._add(position, message, is_error=True)

    def warn(self, position: Position, message: str) -> None:
        """A warning or a note: the configuration can be used all the same."""
        self._add(position, message, is_error=False)

    def note_once(self, key: str, position: Position, message: str) -> None:
        """`warn`, but only the first time for each `key`."""
        if key not in self._said:
            self._said.add(key)
            self.warn(position, message)

    def include(self, error: ConfigError) -> None:
        """Take over what a part that cannot go on has found."""
        for problem in error.problems:
            self._add(Position(problem.file, problem.line), problem.message, problem.is_error)

    def found(self) -> tuple[Problem, ...]:
        """Every problem in the order of files and lines."""
        return tuple(sorted(self._found, key=lambda found: (self._files[found.file], found.line)))

    def raise_errors(self) -> None:
        """Raise ConfigError with every problem if one is an error."""
        if self.error_count:
            raise ConfigError(self.found())

    def enter_file(self, name: str) -> None:
        """Remember the order in which files are read."""
        self._files.setdefault(name, len(self._files))

    def _add(self, position: Position, message: str, is_error: bool) -> None:
        self.enter_file(position.file)
        # What a file has in it must not steer the terminal that shows it.
        shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", message)
        if len(shown) > _LONGEST:
            shown = shown[:_LONGEST] + "..."
        problem = Problem(position.file, position.line, shown, is_error)
        if problem not in self._found:
            self._found[problem] = None
            self.error_count += is_error
