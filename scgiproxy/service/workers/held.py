"""The sockets in the parent: bound and held, for workers to accept from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IStreamServerEndpoint

from scgiproxy.config.endpoints import endpoint_files
from scgiproxy.config.model import Listener
from scgiproxy.errors import ConfigError
from scgiproxy.service.listeners import BACKLOG, ListenerService, endpoint_text, problem_of
from scgiproxy.web.site import GatewaySite
from scgiproxy.wire.descriptors import Descriptors

_NOT_SHARED = "this kind of endpoint cannot be shared by workers"


class HeldListeners(ListenerService):
    """Listens, and accepts nobody.

    `files`: for each listener what is in the files that its endpoint names, by their keys. They are
    read when this is made: workers may not be allowed to (``twistd --uid``).
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_site: Callable[[bool], GatewaySite],
        reactor: Any,
        descriptors: Descriptors,
        backlog: int = BACKLOG,
    ) -> None:
        self.files: list[Mapping[str, bytes]] = []
        self._listeners = listeners
        self._held: dict[Listener, Any] = {}
        super().__init__(listeners, make_site, reactor, descriptors, backlog=backlog)

    def descriptors(self) -> list[int]:
        """The socket of each listener, in the order of the configuration; while it runs."""
        return [self._held[listener].fileno() for listener in self._listeners]

    def _endpoint(self, listener: Listener) -> IStreamServerEndpoint:
        endpoint = super()._endpoint(listener)
        try:
            paths = endpoint_files(endpoint_text(listener))
            self.files.append({key: Path(path).read_bytes() for key, path in paths.items()})
        except OSError as error:
            raise ValueError(
                f"{listener.endpoint!r}: {error.strerror}: {error.filename}"
            ) from error
        return endpoint

    def _bind(self) -> None:
        was_bound = self._bound
        super()._bind()
        late = [listener for listener in self._listeners if listener not in self._held]
        if late and not was_bound:
            self._bound = False
            self._close_ports()
            raise ConfigError(
                [problem_of(one, f"{_NOT_SHARED}: it does not listen at once") for one in late]
            )

    def _take(self, port: Any, listener: Listener) -> None:
        if not hasattr(port, "stopReading"):
            raise ConfigError([problem_of(listener, f"{_NOT_SHARED}: its port is no socket")])
        # Before the reactor's next turn: nobody has been accepted.
        port.stopReading()
        # Closed, and not shut down: that would be for the workers' sockets as well.
        port._shouldShutdown = False  # noqa: SLF001
        self._held[listener] = port

    def _close_ports(self) -> list[Any]:
        self._held.clear()
        return super()._close_ports()
