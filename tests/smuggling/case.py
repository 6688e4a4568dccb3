"""One raw stream of a client, and what is right to come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ADMIN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
"""What is smuggled behind most of them."""

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Sent behind what leaves the connection open: its answer shows that both agree where they are."""

Statuses = tuple[int | tuple[int, ...], ...]


@dataclass(frozen=True)
class Case:
    """What is sent, and what comes of it.

    - `data`: the bytes, whole.
    - `answers`: the statuses of the final answers in order; several where each of them is right.
    - `seen`: what the backend is asked, ``METHOD target``, in order: that, and nothing else.
    - `why`: what would go wrong, or has gone wrong elsewhere.
    - `bodies`: what the backend gets with each, if that matters.
    - `variables`: of what it is asked first; None for those that must not be there.
    - `open`: the connection lasts. None: it does, unless the last answer is an error.
    - `waits`: there is no whole request, and the gateway must wait for the rest of it.
    - `site`: the configuration, one of `sites.SITES`.
    """

    name: str
    data: bytes
    answers: Statuses
    seen: tuple[str, ...]
    why: str
    bodies: tuple[bytes, ...] | None = None
    variables: Mapping[str, str | None] = field(default_factory=dict)
    open: bool | None = None
    waits: bool = False
    site: str = "plain"

    @property
    def stays_open(self) -> bool:
        if self.open is not None:
            return self.open
        last = self.answers[-1]
        return isinstance(last, int) and last in (200, 301, 403, 404)


def refused(
    name: str, data: bytes, why: str, status: int | tuple[int, ...] = 400, site: str = "plain"
) -> Case:
    """Answered once, and closed; no backend hears of it or of what follows."""
    return Case(name, data + ADMIN, (status,), (), why, open=False, site=site)


def served(
    name: str,
    data: bytes,
    seen: str,
    why: str,
    body: bytes = b"",
    variables: Mapping[str, str | None] | None = None,
    site: str = "plain",
) -> Case:
    """One request; and what follows it is another one, as it would be for everybody."""
    return Case(
        name,
        data + ADMIN,
        (200, 200),
        (seen, "GET /admin"),
        why,
        bodies=(body, b""),
        variables=variables or {},
        site=site,
    )


def unfinished(name: str, data: bytes, why: str, *seen: str) -> Case:
    """No whole request: nothing is answered (but what is `seen`) until more comes."""
    return Case(name, data, (200,) * len(seen), seen, why, open=True, waits=True)
