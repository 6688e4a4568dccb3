"""The tables of ``docs/security.md``, of the attacks that are known: written by ``python -m
tests.security docs/security.md``, and looked at by ``--check``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.security.answers import RESPONSES
from tests.security.availability import DENIAL_OF_SERVICE, PORTS
from tests.security.rows import ADMINISTRATION, ROUTING, SMUGGLING, VARIABLES, Row

CHAPTERS: Mapping[str, tuple[Row, ...]] = {
    "Variables": VARIABLES,
    "Two requests for one": SMUGGLING,
    "What backends answer": RESPONSES,
    "Where a request goes": ROUTING,
    "Pages and logs": ADMINISTRATION,
    "To serve nobody": DENIAL_OF_SERVICE,
    "SCGI ports": PORTS,
}

_BEGIN = "<!-- Written by python -m tests.security: change tests/security/rows.py instead. -->"
_END = "<!-- The end of what is written. -->"


def render() -> str:
    """All tables, in Markdown."""
    return "\n".join(line for name, rows in CHAPTERS.items() for line in _chapter(name, rows))


def written_into(page: str) -> str:
    """`page` with its tables as they are now. Raises ValueError if it has no place for them."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"expected the lines {_BEGIN!r} and {_END!r}")
    return f"{before}{_BEGIN}\n\n{render()}\n{_END}{after}"


def _chapter(name: str, rows: Iterable[Row]) -> Iterator[str]:
    yield from (f"### {name}", "", "| what is tried | what comes of it | shown by |")
    yield "| --- | --- | --- |"
    for row in rows:
        yield f"| {_text(row.attack)} | {_text(row.instead)} | {_files(row.tests)} |"
    yield ""


def _text(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def _files(tests: Iterable[str]) -> str:
    """The files that these tests are in."""
    found = dict.fromkeys(name.partition("::")[0].removeprefix("tests/") for name in tests)
    return ", ".join(f"`{file}`" for file in found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with 1 if it would"
    )
    options = parser.parse_args(arguments)
    page = options.file.read_text()
    now = written_into(page)
    if options.check:
        if page == now:
            return 0
        print(
            f"{options.file} is not up to date: run python -m tests.security {options.file}",
            file=sys.stderr,
        )
        return 1
    options.file.write_text(now)
    return 0
