"""Health checks: the ``hc...`` parameters, and rows of the table (mod_proxy_hcheck)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from scgiproxy.config.arguments import integer, parse_duration
from scgiproxy.config.expressions import compile_expression
from scgiproxy.config.lexer import split_name, split_words
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import HOST, Context, Directive, Merge
from scgiproxy.rules.expression import parse_condition
from scgiproxy.rules.health import (
    SHORTEST_INTERVAL,
    VOCABULARY,
    CheckMethod,
    HealthCheck,
    HealthCondition,
)
from scgiproxy.rules.parameters import parse_check_method, parse_check_uri, parse_integer, suggest

_PREFIX = "health."
"""In front of a field of `HealthCheck`, among those of `BackendSettings`: each is a parameter of its
own, of which a later line may change one."""

_Fields = Mapping[str, Any]


def _field(name: str, parse: Callable[[str], Any]) -> Callable[[Place, str], _Fields]:
    return lambda _, word: {_PREFIX + name: parse(word)}


def _parse_interval(word: str) -> float:
    interval = parse_duration(word, zero=True)
    if interval < SHORTEST_INTERVAL:
        raise ValueError(f"expected a time of 100ms or more, got {word!r}")
    return interval


def _read_condition_name(place: Place, word: str) -> _Fields:
    for host in (place.host, place.configuration.main):
        if condition := host.health_conditions.get(word.lower()):
            return {_PREFIX + "condition": condition}
    if "proxyhcexpr" in place.configuration.failed:
        return {}
    raise ValueError(
        f"expected the name of a ProxyHCExpr before this line, got {word!r}"
        + suggest(word, place.host.health_conditions)
    )


def _read_template_name(place: Place, word: str) -> _Fields:
    for host in (place.host, place.configuration.main):
        if template := host.health_templates.get(word.lower()):
            return template
    if "proxyhctemplate" in place.configuration.failed:
        return {}
    raise ValueError(
        f"expected the name of a ProxyHCTemplate before this line, got {word!r}"
        + suggest(word, place.host.health_templates)
    )


READERS: Mapping[str, Callable[[Place, str], _Fields]] = {
    "hcmethod": _field("method", parse_check_method),
    "hcinterval": _field("interval", _parse_interval),
    "hcpasses": _field("passes", parse_integer),
    "hcfails": _field("fails", parse_integer),
    "hcuri": _field("uri", parse_check_uri),
    "hcexpr": _read_condition_name,
    "hctemplate": _read_template_name,
}
"""How each parameter is read, for a member and for a template."""


def with_health_check(fields: _Fields, warn: Callable[[str], object]) -> dict[str, Any]:
    """Fields of `BackendSettings`, of which those that `READERS` gave have become one.

    `warn` is told what does nothing.
    """
    given = {key[len(_PREFIX) :]: fields[key] for key in fields if key.startswith(_PREFIX)}
    others = {key: value for key, value in fields.items() if not key.startswith(_PREFIX)}
    if not given:
        return others
    method = given.get("method")
    if method is None:
        warn(f"{_shown(given)} without hcmethod: there is no check")
        return others
    if method is CheckMethod.NONE:
        return others
    if not method.asks and (unused := [key for key in ("uri", "condition") if given.get(key)]):
        warn(f"{_shown(unused)} with hcmethod={method.value}: there is no answer to look at")
    return {**others, "health": HealthCheck(**given)}


def _shown(names: Any) -> str:
    shown = ["hcexpr" if name == "condition" else f"hc{name}" for name in names]
    return f"{', '.join(shown)} {'does' if len(shown) == 1 else 'do'} nothing"


def _read_condition(place: Place, words: list[str]) -> HealthCondition:
    written, rest = split_name(words[0])
    name = split_words(written)[0].text
    expression = _in_braces(rest) if rest.startswith("{") else _one_word(rest)
    if not expression.strip():
        raise ValueError("expected an expression, as in {%{REQUEST_STATUS} =~ /^[23]/}")
    condition = parse_condition(expression, VOCABULARY, compile_expression)
    if name.lower() in place.host.health_conditions:
        place.warn(f"ProxyHCExpr: there is a {name} already; from here on this one counts")
    return HealthCondition(name, condition)


def _in_braces(text: str) -> str:
    """What is between an opening brace and its closing one, which ends the line."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if not depth:
            if rest := text[at + 1 :].strip():
                raise ValueError(f"expected nothing after the closing brace, got {rest!r}")
            return text[1:at].replace("\\\\", "\\")
    raise ValueError("expected a closing brace at the end")


def _one_word(text: str) -> str:
    words = split_words(text)
    if len(words) > 1:
        raise ValueError(f"expected the expression in braces or quotes, got {text!r}")
    return words[0].text if words else ""


def _define_condition(place: Place, condition: HealthCondition) -> None:
    place.host.health_conditions[condition.name.lower()] = condition


def _read_template(place: Place, words: list[str]) -> tuple[str, _Fields]:
    name, *parameters = words
    if "=" in name:
        raise ValueError(f"expected a name first, got {name!r}")
    template = {_PREFIX + one.name: one.default for one in dataclasses.fields(HealthCheck)}
    for word in parameters:
        key, _, value = word.partition("=")
        read = READERS.get(key.lower())
        if read is None or not value:
            known = ", ".join(READERS)
            near = "" if read else suggest(key, READERS)
            place.error(f"ProxyHCTemplate: expected key=value of {known}, got {word!r}{near}")
            continue
        try:
            template.update(read(place, value))
        except ValueError as error:
            place.error(f"ProxyHCTemplate: {key}: {error}")
    return name, template


def _define_template(place: Place, named: tuple[str, _Fields]) -> None:
    name, template = named
    if place.host.health_templates.setdefault(name.lower(), template) is not template:
        place.warn(f"ProxyHCTemplate: there is a {name} already, and this line does nothing")


ROWS = (
    Directive(
        name="ProxyHCExpr",
        contexts=HOST | Context.PROXY,
        syntax="NAME EXPRESSION",
        raw=True,
        read=_read_condition,
        effect=_define_condition,
        merge=Merge.BY_KEY,
        doc="Names a condition for hcexpr: which answer to a health check is a good one. It stands in"
        " braces or quotes, and can ask for %{REQUEST_STATUS}, hc('body') and resp('HEADER').",
    ),
    Directive(
        name="ProxyHCTemplate",
        contexts=HOST | Context.PROXY,
        syntax="NAME KEY=VALUE ...",
        count=(1, None),
        read=_read_template,
        effect=_define_template,
        merge=Merge.BY_KEY,
        doc="Names hc parameters for hctemplate. Without hcmethod it is TCP.",
    ),
    Directive(
        name="ProxyHCTPsize",
        contexts=Context.SERVER,
        syntax="NUMBER",
        read=integer(),
        config="probes_at_once",
        doc="How many members are probed at the same time; 0 is one.",
        default="16",
    ),
)
