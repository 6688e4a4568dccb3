"""The sockets in a worker: the parent has bound them, and other workers accept from them too."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from scgiproxy.config.endpoints import endpoint_type, with_files
from scgiproxy.config.model import Listener
from scgiproxy.service.listeners import ListenerService, endpoint_text, make_endpoint
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
        self._given = dict(zip(listeners, zip(sockets, files, strict=True), strict=True))
        super().__init__(listeners, make_site, reactor, descriptors, admission)

    def _endpoint(self, listener: Listener) -> IStreamServerEndpoint:
        fd, files = self._given[listener]
        text = endpoint_text(listener)
        if endpoint_type(text) == "systemd":
            # It was handed over to the parent alone; the socket says what it is.
            text = "haproxy:" * text.lower().count("haproxy:") + "tcp:0"
        if not (hasattr(os, "memfd_create") and _OWN_FILES.is_dir()):
            files = {}  # it reads them itself, if it may
        paths = {key: self._path(key, content) for key, content in files.items()}
        return make_endpoint(with_files(text, paths), _SocketReactor(self._reactor, fd))

    def _path(self, key: str, content: bytes) -> str:
        """A name under which this process, and no other, can read `content` until it listens."""
        file = self._paths.enter_context(os.fdopen(os.memfd_create(key), "wb"))
        file.write(content)
        file.flush()
        return str(_OWN_FILES / str(file.fileno()))

    def _bind(self) -> None:
        with self._paths:
            super()._bind()

    def _listening(self, port: IListeningPort, listener: Listener) -> None:
        # The parent has told where.
        self.ports.append(port)
        self._take(port, listener)

    def _take(self, port: IListeningPort, listener: Listener) -> None:  # noqa: ARG002  of a kind
        """Accept one at a time: what else waits is for whoever has the time.

        A worker that is woken for a connection that another has taken meanwhile sleeps on without
        getting there: of 4700 connections to four idle workers 8 were sought in vain. So there is no
        EPOLLEXCLUSIVE, which would prefer one of them.
        """
        accept_clients(port, self._descriptors, self._admission, at_once=1)


class _SocketReactor:
    """A reactor on which whoever listens, anywhere, gets the one socket."""

    def __init__(self, reactor: Any, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self,
        port: int,  # noqa: ARG002
        factory: Any,
        backlog: int = 50,  # noqa: ARG002
        interface: str = "",  # noqa: ARG002
    ) -> IListeningPort:
        return self._listen(factory)

    def listenUNIX(
        self,
        address: str,  # noqa: ARG002
        factory: Any,
        backlog: int = 50,  # noqa: ARG002
        mode: int = 0o666,  # noqa: ARG002
        wantPID: bool = False,  # noqa: ARG002
    ) -> IListeningPort:
        return self._listen(factory)

    def listenSSL(
        self,
        port: int,  # noqa: ARG002
        factory: Any,
        contextFactory: Any,
        backlog: int = 50,  # noqa: ARG002
        interface: str = "",  # noqa: ARG002
    ) -> IListeningPort:
        from twisted.protocols.tls import TLSMemoryBIOFactory

        # Now, and not with the first connection: some of the files are read only then.
        contextFactory.getContext()
        return self._listen(TLSMemoryBIOFactory(contextFactory, False, factory))

    def _listen(self, factory: Any) -> IListeningPort:
        fd, self._fd = self._fd, -1
        if fd < 0:
            raise ValueError("workers cannot share an endpoint that listens twice")
        with socket.socket(fileno=fd) as skt:
            if skt.family == socket.AF_UNIX:
                kind: Any = InheritedUnixPort
                port = kind._fromListeningDescriptor(self._reactor, fd, factory)  # noqa: SLF001
            else:
                kind = InheritedTcpPort
                port = kind._fromListeningDescriptor(  # noqa: SLF001
                    self._reactor, fd, skt.family, factory
                )
        port.startListening()
        listening: IListeningPort = port
        return listening


class _Inherited(tcp.Port):
    """What is different for a socket that others accept from, too."""

    factory: Any
    fileno: Any
    socket: Any

    def startListening(self) -> None:
        """Accept. The socket listens already: its backlog, and of a file the mode, are set."""
        self.factory.doStart()
        self.connected = True
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        self._shouldShutdown = False
        self.fileno = self.socket.fileno
        self.startReading()  # type: ignore[no-untyped-call]

    def _logConnectionLostMsg(self) -> None:
        """The parent tells of it."""


class InheritedTcpPort(_Inherited):
    """A socket of IPv4 or IPv6."""


class InheritedUnixPort(_Inherited, unix.Port):
    """A UNIX socket, whose file is the parent's to remove."""

    def connectionLost(self, reason: Any) -> None:
        tcp.Port.connectionLost(self, reason)
