"""Rows of the table: variables of a request (mod_env, mod_setenvif)."""

from __future__ import annotations

from scgiproxy.config.expressions import compile_expression, missing_groups
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import ANYWHERE, Directive, Merge, Read
from scgiproxy.rules.environment import (
    EnvironmentRule,
    SetVariable,
    SetVariableIf,
    UnsetVariable,
    parse_assignment,
)
from scgiproxy.rules.parameters import as_bytes

_FRAMING = ("CONTENT_LENGTH", "SCGI")
"""What the protocol itself sets: another value would break it, and is left out."""
_COMPUTED = frozenset(
    {
        "REQUEST_METHOD",
        "REQUEST_URI",
        "REQUEST_SCHEME",
        "QUERY_STRING",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "SERVER_ADDR",
        "SERVER_PROTOCOL",
        "SERVER_SOFTWARE",
        "SERVER_ADMIN",
        "SERVER_SIGNATURE",
        "REMOTE_ADDR",
        "DOCUMENT_ROOT",
    }
)


def _check_name(place: Place, directive: str, name: str) -> None:
    if not name or any(ord(character) < 0x20 for character in name):
        raise ValueError(f"expected the name of a variable, got {name!r}")
    if name in _FRAMING:
        place.warn(f"{directive}: {name} does nothing: it is part of the protocol")
    if name in _COMPUTED:
        place.warn(f"{directive}: {name} does nothing: the gateway computes it for each request")
    if name == "GATEWAY_INTERFACE":
        place.warn(f"{directive}: {name} does nothing: it is not sent (nor is it by Apache)")


def _read_set(place: Place, words: list[str]) -> tuple[EnvironmentRule, ...]:
    name = words[0]
    value = words[1] if len(words) == 2 else ""
    _check_name(place, "SetEnv", name)
    if "=" in name:
        place.warn(f"SetEnv: {name!r} is taken as a name, '=' and all; expected SetEnv NAME VALUE")
    if name == "no-proxy":
        place.warn("SetEnv: no-proxy does nothing here; expected SetEnvIf outside sections")
    return (SetVariable(as_bytes(name), as_bytes(value)),)


def _read_pass(place: Place, words: list[str]) -> tuple[EnvironmentRule, ...]:
    rules: list[EnvironmentRule] = []
    for name in words:
        _check_name(place, "PassEnv", name)
        value = place.configuration.environment.get(name)
        if value is None:
            place.warn(f"PassEnv: {name} is not in the gateway's environment")
        else:
            rules.append(SetVariable(as_bytes(name), as_bytes(value)))
    return tuple(rules)


def _read_unset(_: Place, words: list[str]) -> tuple[EnvironmentRule, ...]:
    return tuple(UnsetVariable(as_bytes(name)) for name in words)


def _read_if(directive: str, *, attribute: str = "", ignore_case: bool = False) -> Read:
    """SetEnvIf and kin; with an `attribute` the words begin with the expression."""

    def read(place: Place, words: list[str]) -> tuple[EnvironmentRule, ...]:
        named, expression, *assigned = words if not attribute else (attribute, *words)
        pattern = compile_expression(expression, ignore_case=ignore_case)
        assignments = tuple(parse_assignment(word) for word in assigned)
        for assignment in assignments:
            name = assignment.name.decode("utf-8", "surrogateescape")
            _check_name(place, directive, name)
            if missing := missing_groups(assignment.value or b"", pattern):
                place.warn(f"{directive}: in the value of {name}, {missing}")
        return (SetVariableIf(as_bytes(named), pattern, assignments),)

    return read


def _conditional(name: str, syntax: str, doc: str, read: Read) -> Directive:
    return Directive(
        name=name,
        contexts=ANYWHERE,
        syntax=syntax,
        count=(len(syntax.split()) - 1, None),
        read=read,
        server="environment",
        settings="set_env_if",
        merge=Merge.APPEND,
        doc=doc,
    )


_ASSIGNED = "EXPRESSION [!]NAME[=VALUE] ..."

ROWS = (
    Directive(
        name="SetEnv",
        contexts=ANYWHERE,
        syntax="NAME [VALUE]",
        count=(1, 2),
        read=_read_set,
        settings="set_env",
        merge=Merge.APPEND,
        doc="Sets a variable, which the backend receives.",
    ),
    Directive(
        name="PassEnv",
        contexts=ANYWHERE,
        syntax="NAME ...",
        count=(1, None),
        read=_read_pass,
        settings="set_env",
        merge=Merge.APPEND,
        doc="Sets variables to what they are in the gateway's own environment.",
    ),
    Directive(
        name="UnsetEnv",
        contexts=ANYWHERE,
        syntax="NAME ...",
        count=(1, None),
        read=_read_unset,
        settings="set_env",
        merge=Merge.APPEND,
        doc="Takes back what SetEnv and PassEnv set before it.",
    ),
    _conditional(
        "SetEnvIf",
        f"ATTRIBUTE {_ASSIGNED}",
        "Sets variables if an expression is found in a header or in a part of the request.",
        _read_if("SetEnvIf"),
    ),
    _conditional(
        "SetEnvIfNoCase",
        f"ATTRIBUTE {_ASSIGNED}",
        "SetEnvIf without regard to case.",
        _read_if("SetEnvIfNoCase", ignore_case=True),
    ),
    _conditional(
        "BrowserMatch",
        _ASSIGNED,
        "SetEnvIf with the header User-Agent.",
        _read_if("BrowserMatch", attribute="User-Agent"),
    ),
    _conditional(
        "BrowserMatchNoCase",
        _ASSIGNED,
        "BrowserMatch without regard to case.",
        _read_if("BrowserMatchNoCase", attribute="User-Agent", ignore_case=True),
    ),
)
