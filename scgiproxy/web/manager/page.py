"""The page: every balancer and its members."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from urllib.parse import urlencode

from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.rules.backend import Flag
from scgiproxy.web.manager.cells import (
    TOP,
    Cells,
    balancer_cells,
    chart_label,
    member_cells,
    top_cells,
)
from scgiproxy.web.manager.snapshot import BalancerState, MemberState, Snapshot
from scgiproxy.web.modstatus import moment
from scgiproxy.web.page import CHART_HEIGHT, Frame, shown

_ROOM = files("scgiproxy.web.manager")

FRAME = Frame(
    _ROOM.joinpath("manager.css").read_text("utf-8"),
    _ROOM.joinpath("live.js").read_text("utf-8"),
)

_TOP = (
    ("members", "Members"),
    ("rate", "Requests"),
    ("in-flight", "In flight"),
    ("queued", "Waiting"),
    ("errors", "Errors / min"),
    ("uptime", "Uptime"),
)
_OF_BALANCER = (
    ("method", "Method"),
    ("sticky", "Session"),
    ("failover", "Failover"),
    ("attempts", "Attempts"),
    ("wait", "Member wait"),
    ("growth", "Growth"),
    ("queued", "Waiting"),
    ("queue-wait", "Waited, p90"),
    ("retries", "Retries"),
)
_OF_MEMBER = (
    ("in-flight", "In flight"),
    ("elected", "Chosen"),
    ("weight", "Weight"),
    ("errors", "Errors"),
    ("sent", "Sent"),
    ("received", "Received"),
)
_BUTTONS = (
    ("drain", Flag.DRAINING, True, "Drain", "Gives it no requests but those of its sessions"),
    ("undrain", Flag.DRAINING, False, "Undrain", "Gives it requests again"),
    ("disable", Flag.DISABLED, True, "Disable", "Gives it no requests at all"),
    ("enable", Flag.DISABLED, False, "Enable", "Gives it requests again"),
    ("start", Flag.STOPPED, False, "Start", "Gives it requests, and checks it, again"),
)
"""For each its class, what it sets, its text, and what that means."""


def content(snapshot: Snapshot) -> Iterator[Flattenable]:
    """All of the page, part by part; bytes are markup."""
    cells = top_cells(snapshot)
    yield tags.p(
        f"As of {moment(snapshot.now)}. Reload the page for newer numbers.",
        class_="live",
        role="status",
        **{"data-state": "still", "data-structure": snapshot.structure},
    )
    yield _with(tags.dl(*_facts(cells, _TOP), id=TOP, class_="top"), cells)
    if not snapshot.balancers:
        yield tags.p(
            "There is no balancer. One is made by ",
            tags.code('<Proxy "balancer://NAME">'),
            " with a ",
            tags.code("BalancerMember"),
            " in it.",
            class_="panel",
        )
    for balancer in snapshot.balancers:
        # In pieces: there may be many members. An id is nothing but letters and digits.
        yield f'<section class="balancer" aria-labelledby="h{balancer.id}">'.encode()
        yield _head(balancer)
        for member in balancer.members:
            yield _member(balancer, member, snapshot.now)
        yield b"</section>"
    yield tags.p(
        "Rates and percentiles are of the last minute, or since the start if that is shorter, charts"
        " of the last two. Programs read ",
        tags.a("JSON", href="?format=json"),
        " or ",
        tags.a("Apache's XML", href="?xml=1"),
        ". ",
        shown(snapshot.software),
        class_="foot",
    )


def address(balancer: str, member: str | None = None) -> str:
    """The query that leads to what edits it."""
    fields = {"b": balancer} | ({} if member is None else {"w": member})
    return "?" + urlencode(fields, errors="surrogateescape")


def identity(nonce: str, balancer: str, member: str | None = None) -> Iterator[Tag]:
    """The fields that each form has: what it changes, and that it may."""
    fields = {"b": balancer, "w": member, "nonce": nonce}
    for name, value in fields.items():
        if value is not None:
            # What is no text a browser cannot send; it finds nothing.
            text = value.encode("utf-8", "replace").decode()
            yield tags.input(type="hidden", name=name, value=text)


def _head(balancer: BalancerState) -> Tag:
    cells = balancer_cells(balancer)
    name = shown(balancer.name)
    head = tags.div(
        tags.div(
            tags.h2("balancer://", tags.wbr(), name, id="h" + balancer.id),
            tags.span(_cell(cells, "members"), class_="count"),
            tags.a(
                "Edit",
                href=address(balancer.name),
                class_="button",
                **{"aria-label": f"Edit {name}"},
            ),
            class_="title",
        ),
        tags.dl(*_facts(cells, _OF_BALANCER), class_="plain"),
        id=balancer.id,
        class_="head",
    )
    return _with(head, cells)


def _member(balancer: BalancerState, member: MemberState, now: float) -> Tag:
    cells = member_cells(member, now)
    name = shown(member.name)
    row = tags.article(
        tags.div(
            tags.h3(*_breakable(name)),
            tags.p(_cell(cells, "state", "badge"), " ", _cell(cells, "note", "note")),
            tags.p(_cell(cells, "tags"), class_="tags"),
            class_="who",
        ),
        tags.div(
            _chart(cells, "Requests", "requests", "rate"),
            _chart(cells, "Errors", "errors", "failing"),
            _latency(cells),
            class_="charts",
        ),
        tags.dl(*_facts(cells, _OF_MEMBER), class_="plain"),
        _buttons(balancer, member),
        tags.dl(
            _line("Last failure", _cell(cells, "failure", "failure")),
            _line("Errors by kind", _cell(cells, "kinds")),
            _line("Last probe", _cell(cells, "probe", "probe")),
            _line("Health check", _cell(cells, "check")),
            class_="lines",
        ),
        id=member.id,
        class_="member",
    )
    return _with(row, cells)


def _buttons(balancer: BalancerState, member: MemberState) -> Tag:
    name = shown(member.name)
    return tags.form(
        *identity(balancer.nonce, balancer.name, member.name),
        *(
            tags.button(
                text,
                name=flag.form_field,
                value=str(int(on)),
                title=meaning,
                class_=kind,
                **{"aria-label": f"{text} {name}"},
            )
            for kind, flag, on, text, meaning in _BUTTONS
        ),
        tags.a(
            "Edit",
            href=address(balancer.name, member.name),
            class_="button",
            **{"aria-label": f"Edit {name}"},
        ),
        method="post",
        action="?",
        class_="actions",
    )


def _chart(cells: Cells, title: str, what: str, number: str) -> Tag:
    return tags.div(
        tags.p(title, " ", tags.b(_cell(cells, number))),
        _drawing(cells, what, chart_label(title)),
        class_=f"{what} figure",
    )


def _latency(cells: Cells) -> Tag:
    percentiles: list[Flattenable] = []
    for name in ("p50", "p90", "p99"):
        percentiles += [" ", tags.span(name, " ", tags.b(_cell(cells, name)))]
    return tags.div(
        tags.p("Time ", tags.span(*percentiles[1:], class_="percentiles")),
        _drawing(cells, "latency", chart_label("Response time")),
        class_="latency figure",
    )


def _drawing(cells: Cells, what: str, label: str) -> Tag:
    name = f"{what}-path"
    return Tag("svg")(
        Tag("path")(d=cells[name], **{"data-cell": name}),
        viewBox=f"0 0 120 {CHART_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        class_="chart",
        **{"aria-label": label},
    )


def _breakable(name: str) -> Iterator[Flattenable]:
    """A long name, with places where a line may end."""
    for piece in re.split(r"(?<=[/|.])(?=[^/|.])", name):
        yield piece
        yield tags.wbr()


def _facts(cells: Cells, names: Sequence[tuple[str, str]]) -> Iterator[Tag]:
    for name, title in names:
        yield _line(title, _cell(cells, name), f"f-{name}")


def _line(title: str, value: Flattenable, class_: str = "") -> Tag:
    return tags.div(tags.dt(title), tags.dd(value), **({"class_": class_} if class_ else {}))


def _cell(cells: Cells, name: str, class_: str = "") -> Tag:
    attributes = {"data-cell": name} | ({"class": class_} if class_ else {})
    return tags.span(cells[name], **attributes)


def _with(element: Tag, cells: Cells) -> Tag:
    """The element with those cells that are its attributes."""
    return element(
        **{"data-" + name[1:]: value for name, value in cells.items() if name.startswith("@")}
    )
