"""Files, a text, or options of the command line to `model.Config`; every error at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scgiproxy.config.assembly import Check, assemble
from scgiproxy.config.directives import DIRECTIVES, is_served
from scgiproxy.config.lexer import Word, quote_word
from scgiproxy.config.model import Config, Position
from scgiproxy.config.problems import Problems
from scgiproxy.config.scopes import ConfigurationDraft, HostDraft, Place
from scgiproxy.config.table import Context, Directive
from scgiproxy.config.tree import Node, TreeReader
from scgiproxy.config.unsupported import explain_unsupported
from scgiproxy.rules.parameters import nearest, suggest

DEFAULT_LISTEN = "127.0.0.1:8080"
"""Where options without ``--listen`` listen."""

_TRANSPARENT = frozenset({"if", "elseif", "else", "limit", "limitexcept"})
"""Sections of Apache that are not served and hold what may stand around them."""


def load_file(
    path: str | Path,
    *,
    defines: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    check: Check | None = None,
) -> Config:
    """Load a configuration file and what it includes.

    `defines` are those of ``-D``; `environment` is what ``${NAME}`` and PassEnv may name, the
    process' own by default. Raises `errors.ConfigError` with every problem, warnings included.

    `check` is for what only shows when the parts are made. It is called with the model, also with
    what is left of one that has errors, so that those of both are told in one run: it raises
    `errors.ConfigError`.
    """
    path = Path(path)
    loading = _Loading(path.absolute().parent, str(path), defines, environment)
    return loading.finish(loading.reader.read_file(path), check)


def load_text(
    text: str,
    *,
    file_name: str = "configuration",
    server_root: str | Path = ".",
    defines: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    check: Check | None = None,
) -> Config:
    """Load a configuration from memory; `file_name` is what messages call it, and relative paths
    begin at `server_root`. Otherwise as `load_file`."""
    root = Path(server_root).absolute()
    loading = _Loading(root, file_name, defines, environment)
    return loading.finish(loading.reader.read_text(text, file_name), check)


def load_options(
    proxypass: Sequence[str], listen: Sequence[str] = (), *, check: Check | None = None
) -> Config:
    """Load what the command line says without a file: lines of ProxyPass and of Listen.

    They go through the same table. A position is the option and its number: ``--proxypass:1``.
    `check` is that of `load_file`. Raises `errors.ConfigError`.
    """
    loading = _Loading(Path.cwd(), "--proxypass", None, None)
    nodes = [
        Node("ProxyPass", text, Position("--proxypass", number))
        for number, text in enumerate(proxypass, 1)
    ]
    if not proxypass:
        position = Position("--proxypass", 1)
        loading.problems.error(position, "expected at least one: '/path/ scgi://host:port/'")
    for number, where in enumerate(listen or (DEFAULT_LISTEN,), 1):
        # The whole option is one word: an endpoint string may hold blanks.
        position = Position("--listen", number)
        nodes.append(Node("Listen", quote_word(where.replace("\n", " ")), position))
    return loading.finish(nodes, check)


class _Loading:
    """One load: the reader, the drafts and the problems."""

    def __init__(
        self,
        server_root: Path,
        file_name: str,
        defines: Mapping[str, str] | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        environment = os.environ if environment is None else environment
        self.problems = Problems()
        self.reader = TreeReader(
            self.problems,
            defines=defines or {},
            environment=environment,
            server_root=server_root,
            known=is_served,
        )
        self._start = Position(file_name, 1)
        self._draft = ConfigurationDraft(
            HostDraft(self._start),
            self.problems,
            environment,
            self.reader.resolve,
        )

    def finish(self, nodes: Sequence[Node], check: Check | None) -> Config:
        """Apply every directive, and make the model."""
        main = self._draft.main
        self._apply_all(
            nodes,
            Place(Context.SERVER, self._draft, main, main.base, self._start, self._apply_all),
        )
        is_unread = self.reader.skipped_an_end or (not nodes and self.problems.error_count > 0)
        if not self._draft.listeners and "listen" not in self._draft.failed and not is_unread:
            self.problems.error(
                self._start, "no Listen: expected at least one, such as Listen 127.0.0.1:8080"
            )
        return assemble(self._draft, check)

    def _apply_all(self, nodes: Sequence[Node], place: Place) -> None:
        for node in nodes:
            place.position = node.position
            if place.is_lost:
                self._draft.failed.add(node.name.lower())
            try:
                self._apply(node, place)
            except (ValueError, OSError) as error:
                self.problems.error(node.position, f"{_shown(node)}: {_explained(error)}")
                self._draft.failed.add(node.name.lower())
                self._look_into(node, place)

    def _apply(self, node: Node, place: Place) -> None:
        row = DIRECTIVES.get(node.name.lower())
        is_section = node.children is not None
        if row is None or row.is_section is not is_section:
            self.problems.error(node.position, _unknown(node, row))
            self._look_into(node, place)
            return
        if place.context not in row.contexts:
            raise ValueError(
                f"not allowed in {place.context.describe()}; expected in {row.contexts.describe()}"
            )
        words = [Word(node.arguments)] if row.raw and node.arguments else node.words()
        if any(not word.closed for word in words):
            place.warn(f"{row.shown}: the closing quote is missing")
        row.check_count(len(words))
        if row.enter is not None:
            row.enter(place, node)
        elif row.read is not None:
            row.store(place, row.read(place, [word.text for word in words]))
        if row.inert:
            place.note_once(row.name, f"{row.name} does nothing here: {row.inert}")

    def _look_into(self, node: Node, place: Place) -> None:
        """Apply what is in a section that cannot be used, for the errors that it has."""
        inside = _inside(node, place)
        if inside is None or not node.children:
            return
        lost = Place(
            inside,
            self._draft,
            place.host,
            {},
            node.position,
            self._apply_all,
            pattern=re.compile(b""),
            is_lost=True,
        )
        if inside is Context.VIRTUAL_HOST:
            host = HostDraft(node.position)
            self._draft.virtual_hosts.append(host)
            lost = replace(lost, host=host, values=host.base, is_lost=False)
        self._apply_all(node.children, lost)


def _inside(node: Node, place: Place) -> Context | None:
    """What a section that cannot be used is to the directives in it; None if nobody can tell."""
    if node.name.lower() in _TRANSPARENT:
        return place.context
    sections = [row.name for row in DIRECTIVES.values() if row.inside is not None]
    row = DIRECTIVES.get(node.name.lower()) or DIRECTIVES.get(nearest(node.name, sections).lower())
    return None if row is None else row.inside


def _explained(error: ValueError | OSError) -> str:
    """OSError: of a file that cannot be looked at, since its folder may not be entered, or its name
    is too long."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename!r}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _shown(node: Node) -> str:
    row = DIRECTIVES.get(node.name.lower())
    if row is not None:
        return row.shown
    return f"<{node.name}>" if node.children is not None else node.name


def _unknown(node: Node, row: Directive | None) -> str:
    """What to say of a name that the table does not have."""
    name = _shown(node)
    if row is not None:
        form = f"a section, <{row.name} ...>" if row.is_section else "a directive and no section"
        return f"{node.name}: it is {form}"
    for by_prefix in (False, True):
        explained = explain_unsupported(node.name, by_prefix=by_prefix)
        if explained:
            return f"{name}: {explained}"
        names = [known.name for known in DIRECTIVES.values()]
        near = suggest(node.name, names, 0.7 if by_prefix else 0.85)
        if near:
            return f"unknown directive {name}{near}"
    return f"unknown directive {name}"
