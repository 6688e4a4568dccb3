"""What an example is, and how the usual ones are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scgiproxy.config.model import Config
from tests.certificates import authority
from tests.config.loading import settings_of

HOST = "<VirtualHost *:8080>\n{}\n</VirtualHost>"
LOCATION = "<Location /in>\n{}\n</Location>"
OUTER_LOCATION = "<Location />\n{}\n</Location>"


@dataclass(frozen=True)
class Example:
    """`good` means `value`; `bad` is refused with `says` in the message; `good` in an outer place
    and `other` in an inner one give `merged`. ``{tmp}`` is a folder with what `make_files` makes."""

    good: str
    value: Any
    bad: str
    says: str
    other: str
    merged: Any
    read: Callable[[Config], Any]
    outer: str = "{}"
    inner: str = HOST
    more: str = ""
    """Other lines that the example needs, at the end of the file."""


def make_files(folder: Path) -> None:
    """What there is in ``{tmp}``."""
    for name in ("users", "others"):
        (folder / name).touch()
    for name in ("empty", "authorities"):
        (folder / name).mkdir()
    (folder / "ca.pem").write_bytes(authority().certificate)
    (folder / "authorities" / "ca.pem").write_bytes(authority().certificate)
    authority().issue("gateway", is_client=True).write(folder / "own.pem")


def last(config: Config) -> Any:
    return (config.main, *config.virtual_hosts)[-1]


def server(
    field: str, good: str, value: Any, bad: str, says: str, other: str, merged: Any
) -> Example:
    """A field of ServerSettings: main server and virtual host."""
    return Example(good, value, bad, says, other, merged, lambda c: getattr(last(c).server, field))


def setting(
    field: str,
    good: str,
    value: Any,
    bad: str,
    says: str,
    other: str,
    merged: Any,
    outer: str = "{}",
) -> Example:
    """A field of Settings: `outer` place and a Location."""
    return Example(
        good,
        value,
        bad,
        says,
        other,
        merged,
        lambda c: getattr(settings_of(c), field),
        outer,
        LOCATION,
    )


def inside(
    field: str, good: str, value: Any, bad: str, says: str, other: str, merged: Any
) -> Example:
    """A field of Settings whose directive stands in sections only."""
    return setting(field, good, value, bad, says, other, merged, OUTER_LOCATION)


TIME = "expected a time such as"
FLAG = "expected On or Off, got 'maybe'"
