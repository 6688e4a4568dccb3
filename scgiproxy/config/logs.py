"""Rows of the table: the error log and the access logs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_IFDIR, S_IFMT
from typing import Literal

from scgiproxy.config.scopes import Place
from scgiproxy.config.table import ANYWHERE, HOST, Directive, Merge
from scgiproxy.rules.settings import AccessLog

_LEVELS = (
    *("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"),
    *(f"trace{number}" for number in range(1, 9)),
)
_Name = Literal["common", "combined"]
_COMMON = '%h %l %u %t "%r" %>s %b'
_FORMATS: Mapping[str, _Name] = {
    _COMMON: "common",
    _COMMON + ' "%{Referer}i" "%{User-Agent}i"': "combined",
}


def _read_level(place: Place, words: list[str]) -> str | None:
    level = None
    for word in words:
        module, colon, name = word.rpartition(":")
        if name.lower() not in _LEVELS or (colon and not module):
            raise ValueError(
                f"expected a level ({', '.join(_LEVELS)}), maybe after module:, got {word!r}"
            )
        if colon:
            place.note_once("LogLevel module", f"LogLevel: {word} does nothing: there is one level")
        else:
            level = name.lower()
    return level


def _level(place: Place, level: str | None) -> None:
    if place.values is not place.host.base:
        place.warn("LogLevel: it does nothing inside a section; it is kept per server")
    elif level is not None:
        place.host.server["log_level"] = level


def _kind(path: Path) -> int:
    """As in `stat.S_IFMT`; 0 if nothing is there. Raises OSError, with any Python, if that cannot be
    told."""
    try:
        return S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _file(place: Place, word: str) -> str | None:
    """A log file to append to; None, with a warning, for a pipe or syslog."""
    if word.startswith("|") or word.lower().split(":")[0] == "syslog":
        place.warn(f"{word!r} is not supported: expected a file; twistd's own log is used instead")
        return None
    path = place.resolve(word)
    # A folder that may not be entered: the file may be open already, by a start with more rights.
    with suppress(PermissionError):
        if _kind(path.parent) != S_IFDIR:
            raise ValueError(f"the directory of {str(path)!r} does not exist")
        if _kind(path) == S_IFDIR:
            raise ValueError(f"{str(path)!r} is a directory; expected a file")
    positions = place.configuration.values.setdefault("log_positions", {})
    positions.setdefault(str(path), place.position)
    return str(path)


def _read_error_log(place: Place, words: list[str]) -> str | None:
    return _file(place, words[0])


def _read_custom_log(place: Place, words: list[str]) -> tuple[AccessLog, ...]:
    wanted = words[1] if len(words) > 1 else "common"
    known = place.configuration.log_formats.get(wanted, wanted)
    name = _format_name(known)
    if name is None:
        name = "combined"
        place.warn(
            f"CustomLog: the format {wanted!r} is not written here; expected common or combined,"
            " combined is used"
        )
    if len(words) > 2:
        place.warn(f"CustomLog: the condition {words[2]!r} does nothing; every request is logged")
    path = _file(place, words[0])
    return (AccessLog(path, name),) if path is not None else ()


def _format_name(text: str) -> _Name | None:
    """`common` or `combined`, for either name or the format that it stands for."""
    for name in _FORMATS.values():
        if text == name:
            return name
    # Debian counts the bytes of the head too (%O), others spell the name of the header another way.
    plain = text.replace("%O", "%b").replace("%{User-agent}i", "%{User-Agent}i")
    return _FORMATS.get(plain.replace("%{referer}i", "%{Referer}i"))


def _read_log_format(_: Place, words: list[str]) -> tuple[str, str]:
    return words[0], words[1] if len(words) == 2 else ""


def _log_format(place: Place, value: tuple[str, str]) -> None:
    text, name = value
    if name:
        place.configuration.log_formats[name] = text
    else:
        place.warn("LogFormat: it does nothing without a name, as TransferLog is not supported")


ROWS = (
    Directive(
        name="LogLevel",
        contexts=ANYWHERE,
        syntax="[MODULE:]LEVEL ...",
        count=(1, None),
        read=_read_level,
        effect=_level,
        doc="What is written to the error log: messages of this level and graver ones.",
        default="warn",
    ),
    Directive(
        name="ErrorLog",
        contexts=HOST,
        syntax="FILE",
        read=_read_error_log,
        server="error_log",
        doc="The file for errors; a relative path is below ServerRoot.",
        default="twistd's log",
    ),
    Directive(
        name="LogFormat",
        contexts=HOST,
        syntax="FORMAT NAME",
        count=(1, 2),
        read=_read_log_format,
        effect=_log_format,
        doc="Gives a name to a format, for CustomLog; only common and combined are written.",
    ),
    Directive(
        name="CustomLog",
        contexts=HOST,
        syntax="FILE common|combined",
        count=(2, 3),
        read=_read_custom_log,
        server="access_logs",
        merge=Merge.COLLECT,
        doc="A file with one line for each request.",
        default="none",
    ),
)
