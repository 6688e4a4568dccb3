"""Rows of the table: the sections that hold directives for some requests."""

from __future__ import annotations

import re
from collections.abc import Callable

from scgiproxy.config.expressions import compile_expression
from scgiproxy.config.model import Section, SectionKind
from scgiproxy.config.parameters import set_parameters
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import HOST, Context, Directive
from scgiproxy.config.tree import Node
from scgiproxy.message.backend_url import BackendUrl, parse_backend_url
from scgiproxy.rules.parameters import as_bytes
from scgiproxy.rules.sections import Pattern
from scgiproxy.rules.wildcards import translate_wildcard

_WILDCARDS = re.compile(r"[*?\[]")


def _pattern(
    words: list[str], *, is_expression: bool = False, slash_is_special: bool = True
) -> tuple[Pattern, list[str]]:
    """What a section's line says of its requests, and the words after that."""
    if not words:
        raise ValueError("expected a path")
    if words[0] == "~":
        is_expression, words = True, words[1:]
        if not words:
            raise ValueError("expected an expression after ~")
    text = words[0]
    if is_expression:
        return compile_expression(text), words[1:]
    if _WILDCARDS.search(text):
        return translate_wildcard(as_bytes(text), slash_is_special=slash_is_special), words[1:]
    return as_bytes(text), words[1:]


def _enter(
    kind: SectionKind, context: Context, *, is_expression: bool = False
) -> Callable[[Place, Node], None]:
    """A section whose line has one path or expression."""

    def enter(place: Place, node: Node) -> None:
        pattern, rest = _pattern([word.text for word in node.words()], is_expression=is_expression)
        if rest:
            wanted = "name" if kind is SectionKind.FILES else "path"
            raise ValueError(f"takes one {wanted}; {rest[0]!r} is left over")
        if isinstance(pattern, bytes) and kind is SectionKind.DIRECTORY:
            pattern = _directory(pattern)
        elif isinstance(pattern, bytes) and kind is SectionKind.FILES:
            if b"/" in pattern:
                place.warn(f"<{node.name}>: no name has a / in it, so it matches no file")
        elif isinstance(pattern, bytes) and not pattern.startswith(b"/"):
            place.warn(f"<{node.name}>: a path without / at its front matches no request")
        add_section(place, node, kind, context, pattern)

    return enter


def _directory(pattern: bytes) -> bytes:
    path = pattern.decode("utf-8", "surrogateescape")
    if not path.startswith("/"):
        raise ValueError(f"expected an absolute path, got {path!r}")
    return pattern.rstrip(b"/") or b"/"


def add_section(
    place: Place,
    node: Node,
    kind: SectionKind,
    context: Context,
    pattern: Pattern,
    backend: BackendUrl | None = None,
) -> None:
    """Load what is in a section, and keep it with its host."""
    inside = Place(
        context,
        place.configuration,
        place.host,
        {},
        node.position,
        place.load,
        pattern=pattern,
        backend=backend,
    )
    place.load(node.children or (), inside)
    within = place.pattern if place.context is Context.DIRECTORY else None
    section = Section(kind, pattern, inside.values, node.position, within)
    place.host.sections.append(section)


def _enter_proxy(place: Place, node: Node) -> None:
    pattern, rest = _pattern([word.text for word in node.words()], slash_is_special=False)
    backend = None
    if isinstance(pattern, bytes):
        url = pattern.decode("utf-8", "surrogateescape")
        if "://" in url or url.lower().startswith("unix:"):
            backend = parse_backend_url(url)
        else:
            place.warn(f"<Proxy {url}>: no backend's URL begins so; expected scgi://host:port/path")
    if rest and backend is None:
        raise ValueError("parameters belong to one backend; expected a URL without wildcards")
    if backend is not None:
        set_parameters(place, "<Proxy>", backend, rest)
    add_section(place, node, SectionKind.PROXY, Context.PROXY, pattern, backend)


def _row(
    name: str, kind: SectionKind, context: Context, doc: str, *, is_expression: bool = False
) -> Directive:
    is_files = kind is SectionKind.FILES
    return Directive(
        name=name,
        contexts=HOST | Context.DIRECTORY if is_files else HOST,
        syntax="EXPRESSION"
        if is_expression
        else f"{'NAME' if is_files else 'PATH'} | ~ EXPRESSION",
        count=(1, 1 if is_expression else 2),
        enter=_enter(kind, context, is_expression=is_expression),
        inside=context,
        doc=doc,
    )


ROWS = (
    _row(
        "Directory",
        SectionKind.DIRECTORY,
        Context.DIRECTORY,
        "For the files in a directory: documents, aliases, and files a backend names.",
    ),
    _row(
        "DirectoryMatch",
        SectionKind.DIRECTORY,
        Context.DIRECTORY,
        "Directory, with a regular expression.",
        is_expression=True,
    ),
    _row(
        "Files",
        SectionKind.FILES,
        Context.FILES,
        "For files of that name, in any directory or in the one around it: documents, aliases, and"
        " files a backend names, but not what a mount answers. * ? [ ] match the whole name.",
    ),
    _row(
        "FilesMatch",
        SectionKind.FILES,
        Context.FILES,
        "For files in whose name the regular expression is found.",
        is_expression=True,
    ),
    _row(
        "Location",
        SectionKind.LOCATION,
        Context.LOCATION,
        "For requests whose path is, or is below, this one; * ? [ ] match the whole path.",
    ),
    _row(
        "LocationMatch",
        SectionKind.LOCATION_MATCH,
        Context.LOCATION,
        "For requests in whose path the regular expression is found. What a named group,"
        " (?<name>...), finds is the variable MATCH_NAME.",
        is_expression=True,
    ),
    Directive(
        name="Proxy",
        contexts=HOST,
        syntax="URL [KEY=VALUE ...]",
        count=(1, None),
        enter=_enter_proxy,
        inside=Context.PROXY,
        doc="For requests that go to backends whose URL begins so; defines workers and balancers.",
    ),
    _row(
        "ProxyMatch",
        SectionKind.PROXY,
        Context.PROXY,
        "Proxy, with a regular expression.",
        is_expression=True,
    ),
)
