"""Rows of the table: who may come in (mod_authz_core and kin, mod_auth_basic, mod_access_compat).

What a section says is kept in parts: `require`, `hosts` and `satisfy` become ``Settings.access``,
and `auth_type`, `auth_name` and `auth_user_file` become ``Settings.auth``, when the sections of a
request are merged (see `config.merge`).
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence

from scgiproxy.config.arguments import choice, flag, text
from scgiproxy.config.scopes import Place
from scgiproxy.config.table import SECTION, Context, Directive, Merge
from scgiproxy.config.tree import Node
from scgiproxy.rules.access import (
    RequireAll,
    RequireAllGranted,
    RequireAny,
    RequireIp,
    RequireLocal,
    Requirement,
    RequireNone,
    RequireNot,
    RequireUser,
    RequireValidUser,
)
from scgiproxy.rules.hostaccess import AccessOrder, parse_host_list
from scgiproxy.rules.networks import parse_networks
from scgiproxy.rules.parameters import as_bytes

_PROVIDERS = "all granted|denied, ip, local, user or valid-user"
_NOT_SERVED = ("host", "forward-dns", "env", "method", "expr", "group", "file-owner", "dbm-group")


def _read_require(place: Place, words: list[str]) -> tuple[Requirement, ...]:
    negated = words[0].lower() == "not"
    if negated:
        words = words[1:]
    if not words:
        raise ValueError(f"expected {_PROVIDERS} after not")
    requirement = _requirement(words[0].lower(), words[1:])
    if not negated:
        return (requirement,)
    if place.context is not Context.REQUIRE:
        raise ValueError(
            "a negative rule has no effect outside a container; expected it in <RequireAll>,"
            " beside one that grants"
        )
    return (RequireNot(requirement),)


def _requirement(provider: str, words: list[str]) -> Requirement:
    if provider == "all":
        lower = [word.lower() for word in words]
        if lower not in (["granted"], ["denied"]):
            raise ValueError("expected granted or denied after all")
        return RequireAllGranted(lower == ["granted"])
    if provider == "ip":
        return RequireIp(parse_networks(words))
    if provider == "user":
        if not words:
            raise ValueError("expected one or more names after user")
        return RequireUser(frozenset(as_bytes(word) for word in words))
    if provider in ("local", "valid-user"):
        if words:
            raise ValueError(f"nothing may follow {provider}, got {words[0]!r}")
        return RequireLocal() if provider == "local" else RequireValidUser()
    known = " is not supported here" if provider in _NOT_SERVED else " is no provider"
    raise ValueError(f"{provider!r}{known}; expected {_PROVIDERS}")


def _container(
    make: Callable[[tuple[Requirement, ...]], Requirement],
) -> Callable[[Place, Node], None]:
    """A section of requirements; its place keeps them, like any other, under `require`."""

    def enter(place: Place, node: Node) -> None:
        inside = Place(
            Context.REQUIRE,
            place.configuration,
            place.host,
            {},
            node.position,
            place.load,
            pattern=place.pattern,
        )
        errors = place.configuration.problems.error_count
        place.load(node.children or (), inside)
        children: Sequence[Requirement] = inside.values.get("require", ())
        if place.configuration.problems.error_count > errors and not children:
            return  # It is empty because what was in it could not be read.
        requirement = make(tuple(children))
        if requirement.negative and place.context is not Context.REQUIRE:
            raise ValueError(
                "it only refuses, which has no effect outside a container; expected it in"
                " <RequireAll>, beside one that grants"
            )
        place.values["require"] = (*place.values.get("require", ()), requirement)

    return enter


def _read_order(_: Place, words: list[str]) -> tuple[tuple[str, AccessOrder], ...]:
    for order in AccessOrder:
        if words[0].lower() == order.value:
            return (("order", order),)
    expected = ", ".join(repr(order.value) for order in AccessOrder)
    raise ValueError(f"expected one of {expected}, got {words[0]!r}")


def _read_hosts(kind: str) -> Callable[[Place, list[str]], tuple[tuple[str, str], ...]]:
    def read(place: Place, words: list[str]) -> tuple[tuple[str, str], ...]:
        if words[0].lower() != "from" or len(words) < 2:
            raise ValueError("expected from, and then all, addresses, networks or env=NAME")
        if parse_host_list(words[1:]).names:
            if kind == "deny":
                raise ValueError(
                    "host names are not looked up, so this would let in whom it is to refuse;"
                    " expected addresses or networks"
                )
            place.warn(
                f"{kind.title()}: host names are not looked up, so they match nobody unless"
                " REMOTE_HOST is set; expected an address or a network"
            )
        return tuple((kind, word) for word in words[1:])

    return read


def _read_auth_type(_: Place, words: list[str]) -> str | None:
    lower = words[0].lower()
    if lower not in ("basic", "none"):
        raise ValueError(f"expected Basic or None, got {words[0]!r}")
    return None if lower == "none" else "basic"


def _read_user_file(place: Place, words: list[str]) -> str:
    path = place.resolve(words[0])
    try:
        # Before it is opened: a pipe would wait for ever.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"cannot read {str(path)!r}: it is not a regular file")
        with path.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror}") from None
    return str(path)


def _read_providers(_: Place, words: list[str]) -> str:
    if [word.lower() for word in words] != ["file"]:
        raise ValueError(f"expected file, the only one that is served, got {' '.join(words)!r}")
    return "file"


_INSIDE = SECTION | Context.REQUIRE

ROWS = (
    Directive(
        name="Require",
        contexts=_INSIDE,
        syntax=f"[not] {_PROVIDERS}",
        count=(1, None),
        read=_read_require,
        settings="require",
        merge=Merge.COLLECT,
        doc="Lets requests in; of several lines outside a container one must grant.",
        default="everybody may come in",
    ),
    Directive(
        name="RequireAll",
        contexts=_INSIDE,
        syntax="",
        count=(0, 0),
        enter=_container(RequireAll),
        inside=Context.REQUIRE,
        doc="None of the rules in it may refuse, and at least one must grant.",
    ),
    Directive(
        name="RequireAny",
        contexts=_INSIDE,
        syntax="",
        count=(0, 0),
        enter=_container(RequireAny),
        inside=Context.REQUIRE,
        doc="At least one of the rules in it must grant.",
    ),
    Directive(
        name="RequireNone",
        contexts=_INSIDE,
        syntax="",
        count=(0, 0),
        enter=_container(RequireNone),
        inside=Context.REQUIRE,
        doc="None of the rules in it may grant; it belongs into <RequireAll>.",
    ),
    Directive(
        name="AuthType",
        contexts=SECTION,
        syntax="Basic|None",
        read=_read_auth_type,
        settings="auth_type",
        doc="How a client says who its user is.",
        default="None",
    ),
    Directive(
        name="AuthName",
        contexts=SECTION,
        syntax="REALM",
        read=text,
        settings="auth_name",
        doc="What the browser shows when it asks for a password.",
    ),
    Directive(
        name="AuthUserFile",
        contexts=SECTION,
        syntax="FILE",
        read=_read_user_file,
        settings="auth_user_file",
        doc="The file of users and passwords that htpasswd writes; it is below ServerRoot if its"
        " path is relative.",
    ),
    Directive(
        name="AuthBasicProvider",
        contexts=SECTION,
        syntax="file",
        count=(1, None),
        read=_read_providers,
        doc="Where passwords are kept: file is the only value.",
        default="file",
    ),
    Directive(
        name="CGIPassAuth",
        contexts=SECTION,
        syntax="On|Off",
        read=flag,
        settings="cgi_pass_auth",
        doc="Whether the backend sees the client's Authorization.",
        default="Off",
    ),
    Directive(
        name="Order",
        contexts=SECTION,
        syntax="deny,allow|allow,deny|mutual-failure",
        read=_read_order,
        settings="hosts",
        merge=Merge.COLLECT,
        doc="Whether Deny or Allow has the last word (mod_access_compat); prefer Require.",
        default="deny,allow",
    ),
    Directive(
        name="Allow",
        contexts=SECTION,
        syntax="from all|ADDRESS|NETWORK|env=[!]NAME ...",
        count=(1, None),
        read=_read_hosts("allow"),
        settings="hosts",
        merge=Merge.COLLECT,
        doc="Whom to let in, in the order that Order says.",
    ),
    Directive(
        name="Deny",
        contexts=SECTION,
        syntax="from all|ADDRESS|NETWORK|env=[!]NAME ...",
        count=(1, None),
        read=_read_hosts("deny"),
        settings="hosts",
        merge=Merge.COLLECT,
        doc="Whom to refuse, in the order that Order says.",
    ),
    Directive(
        name="Satisfy",
        contexts=SECTION,
        syntax="All|Any",
        read=choice({"all": "all", "any": "any"}),
        settings="satisfy",
        doc="Whether both Require and Allow must let a request in, or one of them.",
        default="All",
    ),
)
