"""What edits a balancer or a member: forms of Apache's fields, with the values of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from twisted.web.template import Flattenable, Tag, tags

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.backend import Flag
from scgiproxy.rules.changes import MAX_ATTEMPTS, MAX_URL, MAX_WAIT
from scgiproxy.rules.health import CheckMethod
from scgiproxy.rules.parameters import MAX_LBSET
from scgiproxy.rules.sticky import MAX_ROUTE
from scgiproxy.web.amounts import NOTHING
from scgiproxy.web.manager.page import identity
from scgiproxy.web.page import shown

_FLAGS = (
    (Flag.DRAINING, "Draining", "requests of its sessions only"),
    (Flag.DISABLED, "Disabled", "no requests"),
    (Flag.STOPPED, "Stopped", "no requests, and no health checks"),
    (Flag.STANDBY, "Hot standby", "used when no other member of its set can be"),
    (Flag.SPARE, "Hot spare", "takes the place of a member of its set that cannot be used"),
    (Flag.IGNORE_ERRORS, "Ignore errors", "is never put in error"),
    (Flag.CHECK_FAILED, "Health check failed", "not used until it passes"),
)


def member_forms(balancer: ManagedBalancer, member: Backend) -> Tag:
    """What changes one member."""
    values = balancer.fields_of(member)
    form = tags.form(
        *identity(balancer.nonce, balancer.name, member.label),
        tags.fieldset(
            tags.legend("Balancing"),
            _number("w_lf", "Weight (load factor)", values, 1, 100, "0.01"),
            _number("w_ls", "Set", values, 0, MAX_LBSET),
            _number("w_max", "Connections at most (0: any number)", values, 0),
            _text("w_wr", "Route", values, MAX_ROUTE),
            _text("w_rr", "Redirect (a route)", values, MAX_ROUTE),
        ),
        tags.fieldset(
            tags.legend("State"),
            *(_switch(flag.form_field, name, meaning, values) for flag, name, meaning in _FLAGS),
        ),
        tags.fieldset(
            tags.legend("Health check"),
            _select("w_hm", "Method", values, [method.value for method in CheckMethod]),
            _number("w_hi", "Interval (milliseconds)", values, 100, example="30000"),
            _number("w_hp", "Up after so many passes", values, 0, example="1"),
            _number("w_hf", "Down after so many failures", values, 0, example="1"),
            _text("w_hu", "URI (after the member's path)", values, 1000),
            _text("w_he", "Condition (name of a ProxyHCExpr)", values, 100),
        ),
        _ends(),
        method="post",
        action="?",
    )
    return _frame(f"Member {shown(member.label)} of balancer://{shown(balancer.name)}", form)


def balancer_forms(balancer: ManagedBalancer) -> Tag:
    """What changes one balancer, and what adds a member to it."""
    values = balancer.fields
    forms = [
        tags.form(
            *identity(balancer.nonce, balancer.name),
            tags.fieldset(
                tags.legend("Balancing"),
                _select("b_lbm", "Method", values, balancer.methods),
                _number(
                    "b_max", "Further attempts (empty: each member once)", values, 0, MAX_ATTEMPTS
                ),
                _number("b_tmo", "Wait for a member (seconds)", values, 0, MAX_WAIT, "0.001"),
                _text("b_ss", "Session: COOKIE or COOKIE|parameter (-: none)", values, 200),
                _switch("b_sforce", "No failover", "503 if a session's own member fails", values),
            ),
            _ends(),
            method="post",
            action="?",
        )
    ]
    if balancer.growth_left:
        adding = tags.form(
            *identity(balancer.nonce, balancer.name),
            tags.input(type="hidden", name="b_wyes", value="1"),
            tags.fieldset(
                tags.legend(f"Add a member ({balancer.growth_left} more may be added)"),
                _text("b_nwrkr", "URL; it is disabled at first", {}, MAX_URL, "scgi://host:4000"),
            ),
            _ends("Add"),
            method="post",
            action="?",
        )
        forms.append(adding)
    return _frame(f"balancer://{shown(balancer.name)}", *forms)


def _frame(title: str, *forms: Tag) -> Tag:
    return tags.section(tags.h2(title), *forms, class_="edit")


def _ends(text: str = "Save") -> Tag:
    return tags.div(
        tags.button(text, class_="main"),
        tags.a("Back", href="?", class_="button back"),
        class_="row",
    )


def _input(name: str, title: str, values: Mapping[str, str], attributes: Mapping[str, str]) -> Tag:
    value = values.get(name, "")
    if value.encode("utf-8", "replace").decode() != value:
        # No text, so a browser cannot send it: it stays as it is.
        return tags.label(title, tags.input(value=shown(value), disabled="disabled"))
    return tags.label(title, tags.input(name=name, value=value, **attributes))


def _number(
    name: str,
    title: str,
    values: Mapping[str, str],
    least: int,
    most: int | None = None,
    step: str = "1",
    example: str = "",
) -> Tag:
    limits = {"min": str(least), "step": step} | ({} if most is None else {"max": str(most)})
    limits |= {"placeholder": example} if example else {}
    return _input(name, title, values, {"type": "number", **limits})


def _text(name: str, title: str, values: Mapping[str, str], longest: int, example: str = "") -> Tag:
    attributes = {"type": "text", "maxlength": str(longest), "autocomplete": "off"}
    attributes |= {"spellcheck": "false"} | ({"placeholder": example} if example else {})
    return _input(name, title, values, attributes)


def _select(name: str, title: str, values: Mapping[str, str], choices: Sequence[str]) -> Tag:
    return tags.label(title, tags.select(*_options(values.get(name, ""), choices), name=name))


def _options(value: str, choices: Sequence[str]) -> Iterator[Tag]:
    known = choices if value in choices else (*choices, value)
    for choice in known:
        selected = {"selected": "selected"} if choice == value else {}
        yield tags.option(shown(choice) or NOTHING, value=choice, **selected)


def _switch(name: str, title: str, meaning: str, values: Mapping[str, str]) -> Tag:
    """A box, and what is sent if it is empty: of two values the last one counts."""
    checked = {"checked": "checked"} if values.get(name) == "1" else {}
    text: Sequence[Flattenable] = (title, tags.small(meaning))
    return tags.label(
        tags.input(type="hidden", name=name, value="0"),
        tags.input(type="checkbox", name=name, value="1", **checked),
        tags.span(*text),
        class_="switch",
    )
