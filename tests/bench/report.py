"""The figures as text and as Markdown: a table of the lines to reach, and one of all medians."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.bench import files
from tests.bench.figures import Results
from tests.bench.lines import LINES, Line
from tests.bench.measuring import Figures
from tests.bench.servers import GATEWAY
from tests.bench.works import WORKS, Work

BEGIN = "<!-- figures: written by python -m tests.bench --write -->"
END = "<!-- end of figures -->"

_COLUMNS = {
    "rate": ("requests/s", "{:.0f}", "requests/s {:7.0f}"),
    "cpu": ("CPU", "{}", "CPU {}"),
    "user": ("of it user", "{}", "({} user)"),
    "p50": ("p50 ms", "{:.2f}", "p50 {:7.2f} ms"),
    "p99": ("p99 ms", "{:.2f}", "p99 {:7.2f} ms"),
    "memory": ("memory MiB", "{:.1f}", "memory {:6.1f} MiB"),
}
_TIMES = ("cpu", "user")
_OTHERS = {
    "each": "{:.1f} KiB for each connection",
    "beside": "p99 {:.2f} times that of alone",
    "alone": "alone {:.2f} ms",
}
_DISTURBED = 10
"""Percent of the machine's CPU time: more than that for other programs is told."""
Row = Sequence[str]


def figures_line(figures: Figures, per: str) -> str:
    """The figures of one run, in a line of text."""
    known = {name: form for name, (_, _, form) in _COLUMNS.items()} | _OTHERS
    shown: dict[str, object] = {**figures}
    shown |= {name: cpu(figures[name], per) for name in _TIMES if name in figures}
    cells = [form.format(shown[name]) for name, form in known.items() if name in shown]
    return "  ".join([*cells, *_disturbed(figures)])


def _disturbed(figures: Figures) -> Iterator[str]:
    if figures.get("others", 0) >= _DISTURBED:
        yield f"other programs took {figures['others']:.0f} % of the machine"


def cpu(microseconds: float, per: str) -> str:
    """CPU time of one request, upload or 10 MB."""
    if per == "request":
        return f"{microseconds:.1f} µs"
    return f"{microseconds / 1000:.2f} ms"


def line_rows(results: Results) -> Iterator[Row]:
    """The lines to reach, of those that were measured."""
    yield ("line", "measured", "in each round", "at least", "", "aim", "")
    for line in LINES:
        value = line.value(results)
        if value is None:
            continue
        rounds = " ".join(f"{each:.2f}" for each in line.values(results))
        shown = f"{value:.2f} {line.unit}"
        yield (
            line.text,
            shown,
            rounds,
            *_limit(line, line.least, value),
            *_limit(line, line.aim, value),
        )


def _limit(line: Line, limit: float | None, value: float) -> tuple[str, str]:
    if limit is None:
        return ("", "")
    if line.meets(value, limit):
        return (f"{limit:g} {line.unit}", "met")
    return (f"{limit:g} {line.unit}", f"not met, {abs(value / limit - 1):.0%} off")


def work_tables(results: Results) -> Iterator[tuple[str, list[Row]]]:
    """Medians: for each work a title, and a row for each server. The works of a letter that are the
    gateway's alone are in one table."""
    for alone, group in itertools.groupby(
        WORKS, lambda work: len(work.servers) == 1 and work.letter
    ):
        if alone:
            yield f"({alone}) {GATEWAY}", [_titles("work"), *_rows_alone(results, group)]
            continue
        for work in group:
            per = "" if work.per == "request" else f", CPU time for each {work.per}"
            title = f"({work.letter}) {work.title}{per}"
            yield title, [_titles("server"), *_rows_of(results, work)]


def _titles(first: str) -> Row:
    return (first, *(title for title, _, _ in _COLUMNS.values()), "gateway's CPU", "remarks")


def _rows_alone(results: Results, works: Iterable[Work]) -> Iterator[Row]:
    for work in works:
        for row in _rows_of(results, work):
            yield (work.title, *row[1:])


def _rows_of(results: Results, work: Work) -> Iterator[Row]:
    remarks = results.remarks.get(work.name, {})
    measured = dict(results.servers(work.name))
    for server in work.servers:
        remark = remarks.get(server, "")
        if server in measured:
            figures = measured[server]
            cells = [_cell(figures, name, work.per) for name in _COLUMNS]
            ratio = results.ratios("cpu", (work.name, GATEWAY), (work.name, server))
            beside = f"{statistics.median(ratio):.2f} x" if ratio and server != GATEWAY else ""
            others = [
                form.format(figures[name]) for name, form in _OTHERS.items() if name in figures
            ]
            told = [*others, *_disturbed(figures), *filter(None, [remark])]
            yield (server, *cells, beside, "; ".join(told))
        elif remark:
            yield (server, *("" for _ in _COLUMNS), "", remark)


def _cell(figures: Figures, name: str, per: str) -> str:
    if name not in figures:
        return ""
    if name in _TIMES:
        return cpu(figures[name], per)
    return _COLUMNS[name][1].format(figures[name])


def _present(rows: Sequence[Row]) -> list[Row]:
    """Without the columns that have nothing below their title."""
    kept = [number for number in range(len(rows[0])) if any(row[number] for row in rows[1:])]
    return [[row[number] for number in kept] for row in rows]


def as_text(rows: Sequence[Row]) -> str:
    rows = _present(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def as_markdown(rows: Sequence[Row]) -> str:
    title, *others = _present(rows)
    lines = [title, ["---"] * len(title), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def text(results: Results) -> str:
    """Everything, to be read in a terminal."""
    parts = [f"{title}\n{as_text(rows)}" for title, rows in work_tables(results) if len(rows) > 1]
    lines = list(line_rows(results))
    return "\n".join([*parts, as_text(lines)] if len(lines) > 1 else parts)


def markdown(results: Results) -> str:
    """Everything, for the documents."""
    machine = ", ".join(
        value if name == "processor" else f"{name} {value}"
        for name, value in results.machine.items()
    )
    rounds = {len(each) for work in results.rounds.values() for each in work.values()}
    parts = [f"Measured on: {machine}.\nMedians of {'/'.join(map(str, sorted(rounds)))} rounds.\n"]
    lines = list(line_rows(results))
    if len(lines) > 1:
        parts.append(as_markdown(lines))
    parts += [
        f"**{title}**\n\n{as_markdown(rows)}"
        for title, rows in work_tables(results)
        if len(rows) > 1
    ]
    return "\n".join(parts)


def write_into(path: Path, results: Results) -> None:
    """Replace what is between the markers of a document. Raises `ValueError` if it has none."""
    before, after = around(path)
    files.write(path, f"{before}{BEGIN}\n\n{markdown(results)}\n{END}{after}")


def around(path: Path) -> tuple[str, str]:
    """What is before the markers of a document, and after them. Raises `ValueError` if it has none."""
    before, begin, rest = files.text_of(path).partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN} and {END}")
    return before, after
