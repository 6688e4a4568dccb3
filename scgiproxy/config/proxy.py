"""Rows of the table: ProxyPass and kin, and SCGIMount (mod_proxy, mod_scgi)."""

from __future__ import annotations

import re
from dataclasses import replace

from scgiproxy.config.arguments import parse_flag
from scgiproxy.config.expressions import compile_expression, missing_groups
from scgiproxy.config.parameters import read_parameters, set_parameters
from scgiproxy.config.scopes import MountDraft, Place
from scgiproxy.config.table import ANYWHERE, HOST, Context, Directive, Merge, Read
from scgiproxy.message.backend_url import (
    BackendUrl,
    TcpAddress,
    UnixAddress,
    parse_backend_url,
    split_authority,
)
from scgiproxy.rules.networks import is_loopback
from scgiproxy.rules.parameters import as_bytes, parse_integer
from scgiproxy.rules.sections import Pattern

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|unix:", re.IGNORECASE)
_CAPTURE = re.compile(r"\$[0-9]")
_KEYWORDS = {
    "nocanon": "an application gets the decoded path and the URI as the client sent it",
    "noquery": "it is about SCRIPT_FILENAME, which is not sent",
    "interpolate": "${...} is replaced on loading",
}
"""Words after the URL, and why they do nothing here."""
_FORM = "URL or !, and then key=value, nocanon or noquery"


def _read_mount(directive: str, *, expression: bool) -> Read:
    """ProxyPass and ProxyPassMatch: the path is the section's, inside a Location."""

    def read(place: Place, words: list[str]) -> MountDraft:
        if place.context is Context.LOCATION:
            if len(words) > 1 and (words[0].startswith(("/", "^")) or _URL.match(words[1])):
                raise ValueError(f"the path is the section's; expected {_FORM}, got {words[0]!r}")
            pattern = place.pattern
            if expression and isinstance(pattern, bytes):
                pattern = compile_expression(pattern.decode("utf-8", "surrogateescape"))
            rest = words
        else:
            pattern, rest = _leading_pattern(directive, place, words, expression=expression)
        if rest[0] == "!":
            return MountDraft(pattern, None, place.parameters({}))
        target = _target(place, directive, rest[0], pattern)
        return _draft(place, directive, pattern, target, rest[1:])

    return read


def _leading_pattern(
    directive: str, place: Place, words: list[str], *, expression: bool
) -> tuple[Pattern, list[str]]:
    if words[0] == "~" and not expression:
        expression, words = True, words[1:]
    if len(words) < 2:
        wanted = "an expression" if expression else "a path"
        raise ValueError(f"expected {wanted}, and then {_FORM}")
    if expression:
        return compile_expression(words[0]), words[1:]
    if _URL.match(words[0]):
        raise ValueError(f"expected a path before the URL, got {words[0]!r}")
    if not words[0].startswith("/"):
        place.warn(f"{directive}: a path without / at its front matches no request")
    return as_bytes(words[0]), words[1:]


def _target(place: Place, directive: str, url: str, pattern: Pattern) -> BackendUrl:
    """The backend's URL, with hints about what will not work as it looks."""
    if isinstance(pattern, bytes):
        target = parse_backend_url(url)
        if _is_plain_socket(target):
            # `scgi:///path` has no place for a path of its own.
            target = replace(target, path=b"/" if pattern.endswith(b"/") else b"")
        elif pattern.endswith(b"/") != target.path.endswith(b"/"):
            place.warn(
                f"{directive}: one of {pattern.decode('utf-8', 'replace')} and {url} ends in / and"
                " the other does not, so that paths are glued together or doubled slashes appear;"
                " expected both to, or neither"
            )
    else:
        target = _expression_target(url)
        if missing := missing_groups(target.path, pattern):
            place.warn(f"{directive}: {missing}")
    hint_at(place, directive, target)
    return target


def _is_plain_socket(target: BackendUrl) -> bool:
    return isinstance(target.address, UnixAddress) and not target.label.lower().startswith("unix:")


def _expression_target(url: str) -> BackendUrl:
    """A URL in whose path captures are replaced. One that could name the backend is refused: it
    would let a client choose where its request goes (CVE-2011-3368)."""
    found = _CAPTURE.search(url)
    if found is None:
        return parse_backend_url(url)
    front, back = url[: found.start()], url[found.start() :]
    authority = front.rpartition("|")[2].partition("://")[2]
    if "/" in authority and not authority.startswith("/"):
        return parse_backend_url(url)
    if re.search(r":[0-9]+\Z", authority):
        # `scgi://host:port$1`: the address is complete, and the capture begins the path.
        return replace(parse_backend_url(front), path=as_bytes(back), label=url)
    raise ValueError(
        f"{found[0]} may not be part of the backend's address in {url!r}; expected it in the path,"
        " as in scgi://host:port/$1"
    )


def hint_at(place: Place, directive: str, target: BackendUrl) -> None:
    """Tell what is to be known of a backend at that address."""
    if target.note:
        place.warn(f"{directive}: {target.note}")
    address = target.address
    if isinstance(address, TcpAddress) and not (target.secure or is_loopback(address.host)):
        place.note_once(
            f"remote {address.host}",
            f"{directive}: {address.host} is not a loopback address: whoever can reach it speaks"
            " to the application as this gateway does, since SCGI has no password, and whoever is on"
            " the way reads along; scgis:// is TLS",
        )


def _draft(
    place: Place, directive: str, pattern: Pattern, target: BackendUrl, words: list[str]
) -> MountDraft:
    """Read what follows the URL: keywords and parameters, which may be a balancer's."""
    for word in words:
        if reason := _KEYWORDS.get(word.lower()):
            place.note_once(
                f"keyword {word.lower()}", f"{directive}: {word} does nothing: {reason}"
            )
    pairs = [word for word in words if word.lower() not in _KEYWORDS]
    is_balancer = target.address is None
    parameters = read_parameters(place, directive, pairs, balancer=is_balancer)
    if is_balancer:
        balancer = place.host.balancer(target.balancer, place.position)
        # How paths are split is the mount's affair, and not that of others with this balancer.
        values = dict(parameters.values)
        own = {"path_info": values.pop("path_info")} if "path_info" in values else {}
        if values:
            balancer.parameters.append(place.parameters(values))
        parameters = place.parameters(own)
    return MountDraft(pattern, target, parameters)


def _mount(place: Place, draft: MountDraft) -> None:
    if place.context is Context.LOCATION:
        place.values["proxy"] = draft
    else:
        place.host.mounts.append(draft)


def _read_scgi_mount(place: Place, words: list[str]) -> MountDraft:
    path, address = words
    if not path.startswith("/"):
        raise ValueError(f"expected a path that begins with / first, got {path!r}")
    if _URL.match(address):
        raise ValueError(f"expected HOST:PORT and no URL, got {address!r}")
    host, port = split_authority(address)
    target = BackendUrl(
        TcpAddress(host, port), b"/" if path.endswith("/") else b"", f"scgi://{address}"
    )
    hint_at(place, "SCGIMount", target)
    # mod_scgi always tells the application where it is mounted.
    return MountDraft(as_bytes(path), target, place.parameters({"path_info": True}))


def _set(place: Place, words: list[str]) -> None:
    if place.context is Context.PROXY and "=" in words[0].partition("://")[0]:
        if place.is_lost:
            return
        if place.backend is None:
            raise ValueError("this <Proxy> names no single backend; expected a URL first")
        set_parameters(place, "ProxySet", place.backend, words)
        return
    if len(words) < 2 or not _URL.match(words[0]):
        raise ValueError(f"expected URL key=value, got {' '.join(words)!r}")
    set_parameters(place, "ProxySet", parse_backend_url(words[0]), words[1:])


def _read_words(_: Place, words: list[str]) -> list[str]:
    return words


def _read_error_override(_: Place, words: list[str]) -> frozenset[int]:
    if not parse_flag(words[0]):
        if len(words) > 1:
            raise ValueError("no status may follow Off")
        return frozenset()
    codes = frozenset(parse_integer(word, 400, 599) for word in words[1:])
    return codes or frozenset(range(400, 600))


def _read_preserve_host(place: Place, words: list[str]) -> bool:
    preserved = parse_flag(words[0])
    if not preserved:
        place.note_once(
            "ProxyPreserveHost",
            "ProxyPreserveHost: Off does nothing: an SCGI backend always sees the client's Host",
        )
    return preserved


ROWS = (
    Directive(
        name="ProxyPass",
        contexts=HOST | Context.LOCATION,
        syntax="[PATH] URL|! [KEY=VALUE ...] [nocanon] [noquery]",
        count=(1, None),
        read=_read_mount("ProxyPass", expression=False),
        effect=_mount,
        merge=Merge.APPEND,
        doc="Gives a path and what is below it to a backend, or (!) to none; the first match"
        " counts. In a Location, PATH is the section's.",
    ),
    Directive(
        name="ProxyPassMatch",
        contexts=HOST | Context.LOCATION,
        syntax="[EXPRESSION] URL|! [KEY=VALUE ...] [nocanon] [noquery]",
        count=(1, None),
        read=_read_mount("ProxyPassMatch", expression=True),
        effect=_mount,
        merge=Merge.APPEND,
        doc="ProxyPass with a regular expression; $0 to $9 in the URL's path are replaced, and"
        " without any the whole path is appended.",
    ),
    Directive(
        name="SCGIMount",
        contexts=HOST,
        syntax="PATH HOST:PORT",
        count=(2, 2),
        read=_read_scgi_mount,
        effect=_mount,
        merge=Merge.APPEND,
        doc="mod_scgi's ProxyPass: with PATH_INFO, and PATH as SCRIPT_NAME.",
    ),
    Directive(
        name="ProxySet",
        contexts=ANYWHERE,
        syntax="[URL] KEY=VALUE ...",
        count=(1, None),
        read=_read_words,
        effect=_set,
        merge=Merge.BY_KEY,
        doc="Parameters for a balancer, or for every mount and member of a backend. In a <Proxy>"
        " with a URL, that is the backend.",
    ),
    Directive(
        name="ProxyErrorOverride",
        contexts=ANYWHERE,
        syntax="On|Off [STATUS ...]",
        count=(1, None),
        read=_read_error_override,
        settings="error_override",
        doc="Whether a backend's error pages are replaced by those of the gateway; all from 400"
        " to 599, or those given.",
        default="Off",
    ),
    Directive(
        name="ProxyAddHeaders",
        contexts=ANYWHERE,
        syntax="On|Off",
        read=lambda _, words: parse_flag(words[0]),
        settings="add_forwarded_headers",
        doc="Whether X-Forwarded-For, -Host and -Server are sent to the backend.",
        default="Off",
    ),
    Directive(
        name="ProxyPreserveHost",
        contexts=ANYWHERE,
        syntax="On|Off",
        read=_read_preserve_host,
        doc="The backend always sees the client's Host.",
        default="On",
    ),
)
