"""The sockets in a worker: the parent has bound them, and other workers accept from them too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from scgiproxy.config.endpoints import with_files
from scgiproxy.config.model import Listener
from scgiproxy.errors import Problem
from scgiproxy.service.adopting import SocketReactor
from scgiproxy.service.endpoints import (
    BACKLOG,
    endpoint_text,
    endpoint_text_of_socket,
    make_endpoint,
)
from scgiproxy.service.listeners import ListenerService
from scgiproxy.service.listening import Listening
from scgiproxy.web.accepting import Admission, accept_clients
from scgiproxy.web.site import GatewaySite
from scgiproxy.wire.descriptors import Descriptors

_OWN_FILES = Path("/proc/self/fd")


class InheritedListeners(ListenerService):
    """Accepts from `sockets`, one for each of `listeners`, while it runs; they are closed then.

    `files` are those of `HeldListeners`. Everything about an endpoint but its socket (TLS, the
    PROXY protocol) is as its string says.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        sockets: Sequence[int],
        files: Sequence[Mapping[str, bytes]],
        make_site: Callable[[bool], GatewaySite],
        reactor: Any,
        descriptors: Descriptors,
        admission: Admission,
    ) -> None:
        self._paths = ExitStack()
        self.give(listeners, sockets, files)
        super().__init__(listeners, make_site, reactor, descriptors, admission)

    def give(
        self,
        listeners: Sequence[Listener],
        sockets: Sequence[int],
        files: Sequence[Mapping[str, bytes]],
    ) -> None:
        """What `change` is to make ports of. The sockets are closed when it is done."""
        self._given = dict(zip(listeners, zip(sockets, files, strict=True), strict=True))
        self._unused = set(sockets)

    def _endpoint(self, listener: Listener) -> IStreamServerEndpoint:
        fd, files = self._given[listener]
        text = endpoint_text_of_socket(endpoint_text(listener))
        if not (hasattr(os, "memfd_create") and _OWN_FILES.is_dir()):
            files = {}  # it reads them itself, if it may
        paths = {key: self._path(key, content) for key, content in files.items()}
        reactor = SocketReactor(self._reactor, lambda: self._use(fd))
        return make_endpoint(with_files(text, paths), reactor)

    def _use(self, fd: int) -> int:
        self._unused.remove(fd)
        return fd

    def _path(self, key: str, content: bytes) -> str:
        """A name under which this process, and no other, can read `content` until it listens."""
        file = self._paths.enter_context(os.fdopen(os.memfd_create(key), "wb"))
        file.write(content)
        file.flush()
        return str(_OWN_FILES / str(file.fileno()))

    def _bind(self) -> None:
        with self._paths:
            super()._bind()

    def change(self, listeners: Sequence[Listener], backlog: int = BACKLOG) -> None:
        """As `ListenerService.change`, of what was given by `give`."""
        try:
            with self._paths:
                super().change(listeners, backlog)
        finally:
            for fd in self._unused:
                os.close(fd)

    def _renewed(
        self,
        one: Listening,
        listener: Listener,
        problems: list[Problem],
    ) -> Listening | None:
        if one.listener.endpoint == listener.endpoint and not self._given[listener][1]:
            return None
        made = self._new([listener], problems)
        for anew in made:
            anew.site = one.site_for(listener)
            return anew
        return None

    def _make_way(self, added: Sequence[Listening], leaving: Sequence[Listening]) -> None:
        """The parent has bound what is new."""

    def _keep(self, one: Listening) -> None:
        """Its queue is the parent's affair."""

    def _tell(self, port: IListeningPort) -> None:
        """The parent has told where."""

    def _take(self, one: Listening) -> None:
        """Accept one at a time: what else waits is for whoever has the time.

        A worker that is woken for a connection that another has taken meanwhile sleeps on without
        getting there: of 4700 connections to four idle workers 8 were sought in vain. So there is no
        EPOLLEXCLUSIVE, which would prefer one of them.
        """
        accept_clients(one.port, self._descriptors, self._admission, at_once=1)
