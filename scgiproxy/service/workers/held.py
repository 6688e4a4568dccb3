"""The sockets in the parent: bound and held, for workers to accept from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scgiproxy.config.endpoints import endpoint_files
from scgiproxy.config.model import Listener
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.service.endpoints import BACKLOG, problem_of
from scgiproxy.service.listeners import ListenerService
from scgiproxy.service.listening import Listening
from scgiproxy.service.takeover import Place
from scgiproxy.web.site import GatewaySite
from scgiproxy.wire.descriptors import Descriptors

_NOT_SHARED = "this kind of endpoint cannot be shared by workers"


class HeldListeners(ListenerService):
    """Listens, and accepts nobody.

    `files`: for each listener what is in the files that its endpoint names, by their keys. They are
    read when this is made, and by `change`: workers may not be allowed to (``twistd --uid``).
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_site: Callable[[bool], GatewaySite],
        reactor: Any,
        descriptors: Descriptors,
        backlog: int = BACKLOG,
        sockets: Mapping[Place, int] | None = None,
    ) -> None:
        super().__init__(
            listeners, make_site, reactor, descriptors, backlog=backlog, sockets=sockets
        )
        problems: list[Problem] = []
        self.files = self._read(listeners, problems)
        if problems:
            raise ConfigError(problems)

    def descriptors(self) -> list[int]:
        """The socket of each listener, in the order of the configuration; while it runs."""
        return [one.port.fileno() for one in self._listening]

    def change(self, listeners: Sequence[Listener], backlog: int = BACKLOG) -> None:
        problems: list[Problem] = []
        files = self._read(listeners, problems)
        if problems:
            raise ConfigError(problems)
        super().change(listeners, backlog)
        self.files = files

    def _read(
        self, listeners: Sequence[Listener], problems: list[Problem]
    ) -> list[Mapping[str, bytes]]:
        found: list[Mapping[str, bytes]] = []
        for listener in listeners:
            try:
                paths = endpoint_files(self._text(listener))
                found.append({key: Path(path).read_bytes() for key, path in paths.items()})
            except OSError as error:
                told = f"{listener.endpoint!r}: {error.strerror}: {error.filename}"
                problems.append(problem_of(listener, told))
        return found

    def _listen(self, wanted: Iterable[Listening]) -> list[Problem]:
        wanted = list(wanted)
        problems = super()._listen(wanted)
        if not problems:
            told = f"{_NOT_SHARED}: it does not listen at once"
            problems = [problem_of(one.listener, told) for one in wanted if one.port is None]
        return problems

    def _take(self, one: Listening) -> None:
        port = one.port
        if not hasattr(port, "stopReading"):
            raise ConfigError([problem_of(one.listener, f"{_NOT_SHARED}: its port is no socket")])
        # Before the reactor's next turn: nobody has been accepted.
        port.stopReading()
        # Closed, and not shut down: that would be for the workers' sockets as well.
        port._shouldShutdown = False  # noqa: SLF001

    def _make_way(self, added: Sequence[Listening], leaving: Sequence[Listening]) -> None:
        """Workers have them open as well: they cannot be closed, and be had again."""

    def _serve_waiting(self, one: Listening) -> None:
        """Who waits is the workers' to serve."""
