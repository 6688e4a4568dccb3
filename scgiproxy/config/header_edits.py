"""Rows of the table: Header and RequestHeader (mod_headers)."""

from __future__ import annotations

from scgiproxy.config.arguments import parse_header_name
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import ANYWHERE, Directive, Merge
from scgiproxy.message.headers import cgi_name
from scgiproxy.rules.headers import FRAMING_FIELDS, HeaderAction, HeaderEdit
from scgiproxy.rules.parameters import as_bytes

_ACTIONS = {action.value: action for action in HeaderAction}
_SYNTAX = f"{'|'.join(_ACTIONS)} NAME [VALUE] [env=[!]VARIABLE]"


def _read_edit(words: list[str], *, always: bool = False) -> tuple[HeaderEdit, ...]:
    if len(words) < 2:
        raise ValueError(f"expected {_SYNTAX}")
    action = _ACTIONS.get(words[0].lower())
    if action is None:
        raise ValueError(f"expected one of {', '.join(_ACTIONS)}, got {words[0]!r}")
    name = parse_header_name(words[1])
    rest = words[2:]
    value = b""
    if action is not HeaderAction.UNSET:
        if not rest:
            raise ValueError(f"{words[0]} needs a value; expected {_SYNTAX}")
        value = as_bytes(rest.pop(0))
    condition = _read_condition(rest.pop(0)) if rest else None
    if rest:
        raise ValueError(f"{rest[0]!r} is left over; expected {_SYNTAX}, a value in quotes")
    return (HeaderEdit(action, name, value, condition, always),)


def _read_condition(word: str) -> tuple[bytes, bool]:
    name = word[len("env=") :]
    wanted = not name.startswith("!")
    name = name.removeprefix("!")
    if not word.lower().startswith("env=") or not name:
        raise ValueError(f"expected env=VARIABLE or env=!VARIABLE at the end, got {word!r}")
    return as_bytes(name), wanted


def _read_response(place: Place, words: list[str]) -> tuple[HeaderEdit, ...]:
    table = words[0].lower()
    if table in ("always", "onsuccess"):
        edits = _read_edit(words[1:], always=table == "always")
    else:
        edits = _read_edit(words)
    for edit in edits:
        if edit.name.lower() in FRAMING_FIELDS:
            place.warn(f"Header: {_shown(edit)} does nothing, the gateway sets it")
    return edits


def _read_request(place: Place, words: list[str]) -> tuple[HeaderEdit, ...]:
    edits = _read_edit(words)
    for edit in edits:
        if edit.action is not HeaderAction.UNSET and cgi_name(edit.name.lower()) is None:
            place.warn(f"RequestHeader: {_shown(edit)} does nothing, no backend is told of it")
    return edits


def _shown(edit: HeaderEdit) -> str:
    return edit.name.decode("latin-1")


ROWS = (
    Directive(
        name="Header",
        contexts=ANYWHERE,
        syntax=f"[always|onsuccess] {_SYNTAX}",
        count=(2, 5),
        read=_read_response,
        settings="response_headers",
        merge=Merge.APPEND,
        doc="Changes the headers of answers; with always, those of the gateway's own error pages"
        " as well.",
    ),
    Directive(
        name="RequestHeader",
        contexts=ANYWHERE,
        syntax=_SYNTAX,
        count=(2, 4),
        read=_read_request,
        settings="request_headers",
        merge=Merge.APPEND,
        doc="Changes the headers of the request before the backend sees them.",
    ),
)
