"""What the parent and the workers say to each other of one configuration, and of none before it.

What is said of members and of numbers calls them by their places in the configuration. While another
one is taken up, what is still on its way is of the one before.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from scgiproxy.service.workers.link import JSON, Link, Responder

COUNTED = "counted"
"""The topic of what workers have counted."""


class LinkPart:
    """The part of a `link` that is about the configuration of this `generation`, counted from 1. It is
    like a `Link` of its own, until it is closed. `serving`: the worker serves already, by the one
    before."""

    def __init__(self, link: Link, generation: int, serving: bool = False) -> None:
        self.number = link.number
        self.serving = serving
        self._link = link
        self._name = f"{generation} "
        self._topics: list[str] = []

    def __repr__(self) -> str:
        return f"<LinkPart {self._name}of {self._link!r}>"

    def ask(self, topic: str, value: JSON = None) -> Deferred[JSON]:
        """See `Link.ask`. Where the part is closed, or not there yet, it fails with ValueError."""
        return self._link.ask(self._name + topic, value)

    def tell(self, topic: str, value: JSON = None) -> None:
        """See `Link.tell`."""
        self._link.tell(self._name + topic, value)

    def answer(self, topic: str, responder: Responder) -> None:
        """See `Link.answer`."""
        self._topics.append(topic)
        self._link.answer(self._name + topic, responder)

    def close(self, but: str = "") -> None:
        """Hear nothing any more, but of that topic: what is told is dropped, and what is asked fails
        with ValueError."""
        for topic in self._topics:
            if topic != but:
                self._link.refuse(self._name + topic, "another configuration is in force")


class Generation:
    """The workers' links for the configuration number `number`.

    `started` and `ended` are called with the part of each worker's link as
    `service.workers.parent.WorkerProcesses` says of its own.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.started: list[Callable[[LinkPart], object]] = []
        self.ended: list[Callable[[LinkPart], object]] = []
        self._parts: dict[Link, LinkPart] = {}

    def join(self, link: Link, serving: bool = False) -> None:
        """A worker is about to serve by this configuration."""
        part = self._parts[link] = LinkPart(link, self.number, serving)
        for tell in self.started:
            tell(part)

    def leave(self, link: Link) -> None:
        """A worker is gone."""
        part = self._parts.pop(link, None)
        if part is not None:
            for tell in self.ended:
                tell(part)

    def leave_behind(self) -> None:
        """Another one follows: of this one only what was counted is of interest."""
        for part in self._parts.values():
            part.close(but=COUNTED)

    def close(self, following: Generation) -> None:
        """Workers serve by the one that follows, but for those that are about to end."""
        for link, part in self._parts.items():
            if link in following._parts:
                part.close()
