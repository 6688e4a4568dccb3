"""The reference page of the directives, made from the table: reStructuredText for ``docs/``.

``python -m scgiproxy.config.reference FILE`` writes the page; with ``--check`` it only says, by its
exit status, whether FILE is what it would write.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scgiproxy.config.balancers import BALANCER_PARAMETERS
from scgiproxy.config.directives import SUBJECTS
from scgiproxy.config.table import SECTION, Context, Directive
from scgiproxy.config.workers import WORKER_PARAMETERS, Parameter

_SPECIAL = re.compile(r"[\\*`|]|_(?!\w)")

_INTRODUCTION = """\
The language is that of Apache httpd's configuration files; names are read without regard to case.
Times are numbers with ``ms``, ``s``, ``min`` or ``h``; a plain number is in seconds unless it says
otherwise. Relative paths begin at ServerRoot."""


def render() -> str:
    """The whole page. It names every directive and every parameter that a file may have."""
    lines = [*_heading("Directives", "="), *_INTRODUCTION.splitlines(), ""]
    for subject, rows in SUBJECTS.items():
        lines += _heading(subject, "-")
        served = [row for row in rows if not row.inert]
        for row in sorted(served, key=lambda row: row.name.lower()):
            lines += _directive(row)
        lines += _inert(row for row in rows if row.inert)
    lines += _heading("Worker parameters", "-")
    lines += _parameters(
        "The ``key=value`` of a ProxyPass, a BalancerMember or a ProxySet.", WORKER_PARAMETERS
    )
    lines += _heading("Balancer parameters", "-")
    lines += _parameters(
        "The ``key=value`` of a ProxyPass to, or a ProxySet of, ``balancer://NAME``.",
        BALANCER_PARAMETERS,
    )
    return "\n".join(lines).rstrip() + "\n"


def _heading(text: str, underline: str) -> list[str]:
    return [text, underline * len(text), ""]


def _directive(row: Directive) -> Iterator[str]:
    yield f".. _directive-{row.name.lower()}:"
    yield ""
    yield from _heading(row.shown, "~")
    synopsis = f"{row.name} {row.syntax}".rstrip()
    yield ".. code-block:: none"
    yield ""
    yield f"   <{synopsis}>" if row.is_section else f"   {synopsis}"
    yield ""
    yield _escape(row.doc)
    yield ""
    if row.default:
        yield f":Default: {_escape(row.default)}"
    if row.read_time:
        yield ":Context: everywhere; it acts while the file is read"
    else:
        yield f":Context: {_contexts(row.contexts)}"
    if not row.is_section and not row.read_time:
        yield f":Merging: {row.merge.value}"
    yield ""


def _contexts(contexts: Context) -> str:
    if SECTION not in contexts:
        return contexts.describe()
    others = (contexts & ~SECTION).describe()
    return f"{others}, every section" if others else "every section"


def _inert(rows: Iterable[Directive]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        by_reason.setdefault(row.inert, []).append(row.name)
    for reason, names in by_reason.items():
        yield f"- {', '.join(sorted(names, key=str.lower))}: {_escape(reason)}."
    if by_reason:
        yield ""


def _parameters(introduction: str, table: Mapping[str, Parameter]) -> Iterator[str]:
    yield introduction
    yield ""
    for parameter in table.values():
        yield f"``{parameter.name}={parameter.syntax}``"
        doc = f"Does nothing here: {parameter.inert}." if parameter.inert else parameter.doc
        if parameter.for_members:
            doc += " For a BalancerMember."
        yield f"    {_escape(doc)}"
        yield ""


def _escape(text: str) -> str:
    """Plain text in reStructuredText, where stars, bars and others mean something."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m scgiproxy.config.reference",
        description="Write the reference page of the directives.",
    )
    parser.add_argument("file", type=Path, help="where the page is, or is to be")
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    options = parser.parse_args(arguments)
    page = render()
    if not options.check:
        options.file.write_text(page, "utf-8")
    elif not options.file.is_file() or options.file.read_text("utf-8") != page:
        command = f"{parser.prog} {options.file}"
        sys.stderr.write(f"{options.file} is out of date; write it anew with: {command}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
