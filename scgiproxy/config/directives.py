"""The one table of directives: it drives parsing, checking, merging and the reference page.

The rows stand with the argument rules of their subject; here they become one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from scgiproxy.config import (
    authorization,
    balancing,
    connections,
    content,
    environment,
    header_edits,
    health,
    inert,
    logs,
    proxy,
    reading,
    reversing,
    sections,
    server,
    tls,
)
from scgiproxy.config.table import Directive, Merge

SUBJECTS: Mapping[str, tuple[Directive, ...]] = {
    "Server and limits": (*server.ROWS, *connections.ROWS),
    "Sections": sections.ROWS,
    "Backends": proxy.ROWS,
    "TLS to backends": tls.ROWS,
    "Balancers": balancing.ROWS,
    "Health checks": health.ROWS,
    "What a backend says of itself": reversing.ROWS,
    "Documents, error pages and redirects": content.ROWS,
    "Variables": environment.ROWS,
    "Headers": header_edits.ROWS,
    "Access": authorization.ROWS,
    "Logs": logs.ROWS,
    "Reading the file": reading.ROWS,
    "Accepted without effect": inert.ROWS,
}
"""The rows by subject, in the order of the reference page."""


def _by_name(rows: Iterable[Directive]) -> Mapping[str, Directive]:
    table: dict[str, Directive] = {}
    for row in rows:
        if table.setdefault(row.name.lower(), row) is not row:
            raise ValueError(f"two rows for {row.name}")
    return table


DIRECTIVES = _by_name(chain.from_iterable(SUBJECTS.values()))
"""Every row by its name in lower case."""


def _rules(field: str) -> Mapping[str, Merge]:
    rules: dict[str, Merge] = {}
    for row in DIRECTIVES.values():
        name = getattr(row, field)
        if name and rules.setdefault(name, row.merge) is not row.merge:
            raise ValueError(f"{row.name} merges {name} in a way of its own")
    return rules


SETTINGS_RULES: Mapping[str, Merge] = {**_rules("settings"), "proxy": Merge.REPLACE}
"""How each field of `rules.settings.Settings` (and each part, see `config.merge`) is merged."""

SERVER_RULES: Mapping[str, Merge] = {
    **_rules("server"),
    "name": Merge.REPLACE,
    "port": Merge.REPLACE,
    "scheme": Merge.REPLACE,
    "log_level": Merge.REPLACE,
}
"""The same for `rules.settings.ServerSettings`; ServerName sets three of its fields."""


def is_served(name: str) -> bool:
    """Whether a directive of that name does something here."""
    row = DIRECTIVES.get(name.lower().strip("<>"))
    return row is not None and not row.inert
