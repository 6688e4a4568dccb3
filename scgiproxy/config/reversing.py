"""Rows of the table: what a backend says of itself, in the words of this server."""

from __future__ import annotations

from scgiproxy.config.scopes import Place, ReverseDraft
from scgiproxy.config.table import HOST, Context, Directive, Merge, Read
from scgiproxy.message.backend_url import parse_backend_url
from scgiproxy.rules.parameters import as_bytes
from scgiproxy.rules.rewriting import CookieRule, ReverseRule

_Reverse = tuple[ReverseRule | ReverseDraft, ...]


def _drop_interpolate(place: Place, directive: str, words: list[str]) -> list[str]:
    if len(words) > 1 and words[-1].lower() == "interpolate":
        place.warn(f"{directive}: interpolate does nothing; ${{...}} is replaced on loading")
        return words[:-1]
    return words


def _read_reverse(place: Place, words: list[str]) -> _Reverse:
    words = _drop_interpolate(place, "ProxyPassReverse", words)
    if place.context is Context.LOCATION:
        if len(words) > 1:
            raise ValueError(f"the path is the section's; expected URL, got {words[0]!r}")
        if not isinstance(place.pattern, bytes):
            place.warn("ProxyPassReverse: it does nothing in a section with an expression")
            return ()
        return _reverse(place, place.pattern, words[0])
    if len(words) != 2:
        raise ValueError("expected PATH and URL")
    if not words[0].startswith("/"):
        raise ValueError(f"expected a path that begins with / first, got {words[0]!r}")
    return _reverse(place, as_bytes(words[0]), words[1])


def _reverse(place: Place, local: bytes, url: str) -> _Reverse:
    if not url.lower().startswith("balancer://"):
        return (ReverseRule(local, as_bytes(url)),)
    target = parse_backend_url(url)
    return (ReverseDraft(local, target.balancer, target.path, place.position),)


def _read_cookie(directive: str, example: str) -> Read:
    def read(place: Place, words: list[str]) -> tuple[CookieRule, ...]:
        words = _drop_interpolate(place, directive, words)
        if len(words) != 2:
            raise ValueError(f"expected what the backend says and what to say instead: {example}")
        return (CookieRule(as_bytes(words[0]), as_bytes(words[1])),)

    return read


ROWS = (
    Directive(
        name="ProxyPassReverse",
        contexts=HOST | Context.LOCATION,
        syntax="[PATH] URL",
        count=(1, 3),
        read=_read_reverse,
        settings="reverse",
        merge=Merge.APPEND,
        doc="Puts PATH in place of URL in Location, Content-Location, URI and Destination.",
    ),
    Directive(
        name="ProxyPassReverseCookieDomain",
        contexts=HOST | Context.LOCATION,
        syntax="INTERNAL EXTERNAL",
        count=(2, 3),
        read=_read_cookie("ProxyPassReverseCookieDomain", "app.internal www.example.com"),
        settings="reverse_cookie_domains",
        merge=Merge.APPEND,
        doc="Replaces the Domain of cookies.",
    ),
    Directive(
        name="ProxyPassReverseCookiePath",
        contexts=HOST | Context.LOCATION,
        syntax="INTERNAL EXTERNAL",
        count=(2, 3),
        read=_read_cookie("ProxyPassReverseCookiePath", "/ /app/"),
        settings="reverse_cookie_paths",
        merge=Merge.APPEND,
        doc="Replaces the Path of cookies.",
    ),
)
