"""Files to a tree of directives: sections nested, inclusions followed, conditions decided.

What Apache executes while it reads (Define, Include, ServerRoot, `<IfModule>` and kin) is done
here; the tree has only what is left for the table of `config.directives`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scgiproxy.config.conditions import (
    if_define,
    if_directive,
    if_file,
    if_module,
    if_version,
)
from scgiproxy.config.inclusion import find_files, read_text_file
from scgiproxy.config.lexer import (
    BLANKS,
    Line,
    Word,
    split_lines,
    split_name,
    split_words,
    substitute,
)
from scgiproxy.config.model import Position
from scgiproxy.config.problems import Problems
from scgiproxy.errors import ConfigError

MAX_NESTING = 64
"""Sections inside each other."""
MAX_INCLUSION = 128
"""Files including each other, as in Apache."""


@dataclass(frozen=True, slots=True)
class Node:
    """A directive, or a section: then `children` is not None.

    `name` is as written; `arguments` is what follows it, still quoted. The position is the last
    physical line of a directive, and the line of the opener of a section.
    """

    name: str
    arguments: str
    position: Position
    children: tuple[Node, ...] | None = None

    def words(self) -> list[Word]:
        return split_words(self.arguments)


_NEVER_NESTED = "virtualhost"
"""A section that begins where another one of its kind must have ended."""


@dataclass(slots=True)
class _OpenSection:
    name: str
    arguments: str
    position: Position
    keeps: bool = True
    """False in a condition that does not hold."""
    is_condition: bool = False
    children: list[Node] = field(default_factory=list)


class TreeReader:
    """Reads files into nodes. What is wrong goes to `problems`; reading goes on.

    `defines` are the names of -D and Define with their values, `environment` what else ``${NAME}``
    may name; `known` tells `<IfDirective>` what is supported.
    """

    def __init__(
        self,
        problems: Problems,
        *,
        defines: Mapping[str, str],
        environment: Mapping[str, str],
        server_root: Path,
        known: Callable[[str], bool],
    ) -> None:
        self.problems = problems
        self.skipped_an_end = False
        """Whether a condition that does not hold is never closed: there may be anything in it."""
        self.defines = dict(defines)
        self.environment = environment
        self.server_root = server_root
        self._known = known
        self._reading: list[Path] = []

    def resolve(self, path: str) -> Path:
        """A path of the configuration: a relative one is below ServerRoot."""
        return self.server_root / path

    def read_file(self, path: Path, position: Position | None = None) -> list[Node]:
        """The nodes of one file; `position` is the Include's, to tell what cannot be read there."""
        position = position or Position(str(path), 0)
        real = path.resolve()
        if real in self._reading or len(self._reading) >= MAX_INCLUSION:
            chain = " -> ".join(map(str, [*self._reading, real]))
            self.problems.error(position, f"{path} includes itself: {chain}")
            return []
        try:
            text = read_text_file(path)
        except OSError as error:
            reason = error.strerror or str(error)
            self.problems.error(position, f"cannot read {path}: {reason}")
            return []
        self._reading.append(real)
        try:
            return self.read_text(text, str(path))
        finally:
            self._reading.pop()

    def read_text(self, text: str, file_name: str) -> list[Node]:
        """The nodes of a text that is called `file_name` in messages."""
        self.problems.enter_file(file_name)
        outermost = _OpenSection("", "", Position(file_name, 1))
        stack = [outermost]
        try:
            for line in split_lines(text, file_name):
                if line.text.startswith("</"):
                    self._close(stack, line)
                elif line.text.startswith("<"):
                    self._open(stack, line)
                elif stack[-1].keeps:
                    self._directive(stack[-1], line)
        except ConfigError as error:
            self.problems.include(error)
        self._leave(stack, 1, "the end of the file")
        return outermost.children

    # Sections

    def _open(self, stack: list[_OpenSection], line: Line) -> None:
        outer = stack[-1]
        text = self._substitute(line) if outer.keeps else line.text
        body = text[1:]
        body, bracket, rest = body.rpartition(">")
        if not bracket:
            body, rest = rest, ""
        stripped = body.lstrip(BLANKS)
        name, arguments = split_name(stripped)
        section = _OpenSection(name, arguments, line.position, keeps=outer.keeps)
        if outer.keeps and name.lower() == _NEVER_NESTED:
            # Two errors for one `</VirtualHost>`, if this were taken for its contents.
            self._leave(stack, _depth(stack, name), f"<{name}> at line {line.position.line}")
        if outer.keeps:
            self._check_opener(section, stripped != body, bool(bracket), rest.strip(BLANKS))
        if not name:
            return
        if len(stack) > MAX_NESTING:
            if section.keeps:
                self.problems.error(line.position, f"over {MAX_NESTING} sections in each other")
            section.keeps = False
        test = self._conditions().get(name.lower())
        if test is not None:
            section.is_condition = True
            section.keeps = section.keeps and self._holds(section, test)
        stack.append(section)

    def _check_opener(
        self, section: _OpenSection, has_blank: bool, has_bracket: bool, rest: str
    ) -> None:
        position = section.position
        if has_blank or not section.name:
            self.problems.error(position, "expected the name of a section directly after '<'")
        elif not has_bracket:
            self.problems.error(position, f"<{section.name}> is missing its closing '>'")
        if rest:
            self.problems.warn(
                position, f"<{section.name}>: {rest!r} after the closing '>' is ignored"
            )

    def _close(self, stack: list[_OpenSection], line: Line) -> None:
        tag, _, rest = line.text[2:].partition(">")
        name = tag.strip(BLANKS)
        keeps = stack[-1].keeps or stack[-1].is_condition
        if keeps and (not line.text[2:].startswith(name + ">") or not name):
            self.problems.error(line.position, f"</{name} is missing its closing '>'")
        elif keeps and rest.strip(BLANKS):
            self.problems.warn(line.position, f"text after </{name}> is ignored")
        depth = _depth(stack, name)
        if not depth:
            message = f"</{name}> without matching <{name}>"
            if len(stack) > 1:
                opener = stack[-1]
                message += f"; expected </{opener.name}>, opened at line {opener.position.line}"
            self.problems.error(line.position, message)
            return
        self._leave(stack, depth + 1, f"</{name}> at line {line.position.line}")
        self._pop(stack)

    def _leave(self, stack: list[_OpenSection], depth: int, where: str) -> None:
        """Tell that the sections from `depth` on have no end, and go on as if they had; 0: none."""
        while 0 < depth < len(stack):
            section = stack[-1]
            message = f"<{section.name}> was not closed; expected </{section.name}> before {where}"
            if section.is_condition and not section.keeps:
                message += "; all of it was skipped"
                self.skipped_an_end = True
            self.problems.error(section.position, message)
            self._pop(stack)

    def _pop(self, stack: list[_OpenSection]) -> None:
        section = stack.pop()
        if not section.keeps:
            return
        if section.is_condition:
            stack[-1].children += section.children
            return
        children = tuple(section.children)
        stack[-1].children.append(Node(section.name, section.arguments, section.position, children))

    # Conditions

    def _conditions(self) -> Mapping[str, Callable[[Sequence[str]], bool]]:
        return {
            "ifmodule": if_module,
            "ifdefine": lambda words: if_define(words, self.defines),
            "iffile": lambda words: if_file(words, self.resolve),
            "ifversion": if_version,
            "ifdirective": lambda words: if_directive(words, self._known),
        }

    def _holds(self, section: _OpenSection, test: Callable[[Sequence[str]], bool]) -> bool:
        words = [word.text for word in split_words(section.arguments)]
        try:
            holds = test(words)
        except (ValueError, OSError) as error:
            self.problems.error(section.position, f"<{section.name}>: {error}")
            return False
        module = words[0]
        if test is if_module and not holds and not module.startswith("!"):
            self.problems.note_once(
                f"module {module}",
                section.position,
                f"<IfModule {module}>: that module's work is not done here; skipped",
            )
        return holds

    # Directives that are executed while they are read

    def _directive(self, section: _OpenSection, line: Line) -> None:
        text = self._substitute(line)
        if not text:
            return
        name, arguments = split_name(text)
        node = Node(name, arguments, line.position)
        executed = self._read_time().get(name.lower())
        if executed is None:
            section.children.append(node)
            return
        try:
            section.children += executed(node.position, [word.text for word in node.words()])
        except ValueError as error:
            self.problems.error(line.position, f"{name}: {error}")
        except OSError as error:
            self.problems.error(line.position, f"{name}: {error.strerror}: {error.filename}")

    def _read_time(self) -> Mapping[str, Callable[[Position, list[str]], Iterable[Node]]]:
        return {
            "define": self._define,
            "undefine": self._undefine,
            "include": lambda position, words: self._include(position, words, optional=False),
            "includeoptional": lambda position, words: self._include(
                position, words, optional=True
            ),
            "serverroot": self._server_root,
            "error": self._error,
        }

    def _define(self, _: Position, words: list[str]) -> Iterable[Node]:
        if len(words) not in (1, 2) or ":" in words[0]:
            raise ValueError("expected NAME [VALUE], the name without ':'")
        self.defines[words[0]] = words[1] if len(words) == 2 else ""
        return ()

    def _undefine(self, _: Position, words: list[str]) -> Iterable[Node]:
        if len(words) != 1 or ":" in words[0]:
            raise ValueError("expected NAME, without ':'")
        self.defines.pop(words[0], None)
        return ()

    def _include(self, position: Position, words: list[str], optional: bool) -> Iterable[Node]:
        if len(words) != 1:
            raise ValueError(f"expected one path or pattern; {len(words)} given")
        found = find_files(self.resolve(words[0]))
        if not found and not optional:
            raise ValueError(f"no file is there: {self.resolve(words[0])}")
        nodes: list[Node] = []
        for path in found:
            nodes += self.read_file(path, position)
        return nodes

    def _server_root(self, _: Position, words: list[str]) -> Iterable[Node]:
        if len(words) != 1:
            raise ValueError(f"expected one directory; {len(words)} given")
        path = self.resolve(words[0])
        if not path.is_dir():
            raise ValueError(f"{path} is not a directory")
        self.server_root = path
        return ()

    def _error(self, _: Position, words: list[str]) -> Iterable[Node]:
        raise ValueError(" ".join(words))

    def _substitute(self, line: Line) -> str:
        def look_up(name: str) -> str | None:
            return self.defines.get(name, self.environment.get(name))

        def undefined(name: str) -> None:
            if ":" not in name:
                self.problems.warn(
                    line.position,
                    f"${{{name}}} is not defined (by Define, -D or the environment);"
                    " it stays as written",
                )

        return substitute(line.text, look_up, undefined).strip(BLANKS)


def _depth(stack: list[_OpenSection], name: str) -> int:
    """Where in the stack the innermost section of that name is; 0 if there is none."""
    depth = len(stack) - 1
    while depth and stack[depth].name.lower() != name.lower():
        depth -= 1
    return depth
