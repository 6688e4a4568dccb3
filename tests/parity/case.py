"""What a case is: a configuration, a request, what the backend does, and what may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.scripted import HELLO, Script

Facts = Mapping[str, object]
"""What was seen on one side, by name: ``status``, ``reason``, ``body``, ``header:NAME`` (lower
case; a tuple of values), ``asked`` (how many requests the backends were told), ``told.0.NAME``
(a variable of the first of them), ``told.0.body``, ``before.0`` (the status of the first request
before it, and the backends that were told it) and others; see `observation`."""

APACHE = "APACHE_HTTPD"
"""Defined for Apache only: ``<IfDefine>`` has what concerns its processes, and what it does not
know."""

PROXY = "ProxyPass / scgi://${BACKEND}/"


@dataclass(frozen=True)
class Differs:
    """A deliberate difference, a key of `differences.DIFFERENCES`, and what each side gives.

    The facts named must be as given on each side, and not the same; a value of None says that
    there is no such fact. All other facts must agree, unless `only_these` is False: then the two
    answers have nothing to do with each other.
    """

    difference: str
    apache: Facts
    gateway: Facts
    only_these: bool = True


@dataclass(frozen=True)
class Held:
    """A request that stays under way until the case is over: some of its body is never sent."""

    request: bytes


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request to one server with a configuration, maybe after others.

    `config` goes into a virtual host of its own, which the request names as ``@HOST@``, unless
    `server` names another configuration of `site.SERVERS`; then it must be empty. `scripts` are
    played by every backend but ${OTHER}, for one connection after the other; `other` by that one;
    ``@FOLDER@`` in what they send is the site's folder. `own_page` says that the body is
    made by the server itself: its text is not compared. `before` are requests of the same client
    that come first, each on a connection of its own, and pauses in seconds; one that is `Held`
    has no answer. ``@COOKIES@`` in any request is what the answers so far have set. Each request finds the scripts at their beginning.
    `exact` headers are compared although they are not in other cases. `by_chance` names facts that
    with Apache depend on timing. `differs` has the deliberate differences that the case shows.
    `one_worker` says why the case is none for a gateway of several workers.
    """

    name: str
    request: bytes
    config: str = PROXY
    scripts: tuple[Script, ...] = (HELLO,)
    other: Script = HELLO
    before: tuple[bytes | float | Held, ...] = ()
    server: str = "hosts"
    own_page: bool = False
    exact: frozenset[str] = frozenset()
    by_chance: frozenset[str] = frozenset()
    differs: Differs | tuple[Differs, ...] = ()
    one_worker: str = ""

    @property
    def differences(self) -> tuple[Differs, ...]:
        """What is in `differs`, one or more."""
        return self.differs if isinstance(self.differs, tuple) else (self.differs,)


def get(target: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body to the case's virtual host."""
    lines = [f"{method} {target} HTTP/{version}", "Host: @HOST@", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(target: str, body: bytes, *fields: str, method: str = "POST") -> bytes:
    """A request with a body, whose length is told."""
    return get(target, *fields, f"Content-Length: {len(body)}", method=method) + body


def plain(*lines: str) -> bytes:
    """A request of exactly these lines."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
