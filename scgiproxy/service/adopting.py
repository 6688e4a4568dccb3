"""Ports on sockets that listen already: of another process, or of a port before."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.python.lockfile import FilesystemLock


class SocketReactor:
    """A reactor on which whoever listens, anywhere, gets the one socket: `take` is called then, and
    returns its descriptor, which is closed after it was duplicated. It may return it once."""

    def __init__(self, reactor: Any, take: Callable[[], int]) -> None:
        self._reactor = reactor
        self._take: Callable[[], int] | None = take

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
        wantPID: bool = False,
    ) -> IListeningPort:
        port: Any = self._listen(factory)
        port.wantPID = wantPID
        listening: IListeningPort = port
        return listening

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
        take, self._take = self._take, None
        if take is None:
            raise ValueError("an endpoint that listens twice cannot have a socket that is there")
        fd = take()
        try:
            return adopt_port(self._reactor, fd, factory)
        finally:
            os.close(fd)


class HandedOverReactor:
    """A reactor whose ports on sockets that were handed over, as by systemd, leave the file of a UNIX
    socket where it is: it is that of who has bound it, and listens on."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def adoptStreamPort(
        self,
        fileDescriptor: int,
        addressFamily: int,  # noqa: ARG002  the socket says so itself
        factory: Any,
    ) -> IListeningPort:
        return adopt_port(self._reactor, fileDescriptor, factory)


def adopt_port(reactor: Any, fd: int, factory: Any) -> IListeningPort:
    """A port that accepts from a socket that listens; `fd` is duplicated."""
    with socket.socket(fileno=os.dup(fd)) as skt:
        family = skt.family
    if family == socket.AF_UNIX:
        kind: Any = InheritedUnixPort
        port = kind._fromListeningDescriptor(reactor, fd, factory)  # noqa: SLF001
    else:
        kind = InheritedTcpPort
        port = kind._fromListeningDescriptor(reactor, fd, family, factory)  # noqa: SLF001
    port.startListening()
    listening: IListeningPort = port
    return listening


class _Inherited(tcp.Port):
    """What is different for a socket that others have, too."""

    factory: Any
    fileno: Any
    socket: Any

    def startListening(self) -> None:
        """Accept. The socket listens already: its backlog, and of a file the mode, are set."""
        self.factory.doStart()
        self.connected = True
        self.socket, self._preexistingSocket = self._preexistingSocket, None
        # Somebody else may have taken the connection that is to be accepted.
        self.socket.setblocking(False)
        self._shouldShutdown = False
        self.fileno = self.socket.fileno
        self.startReading()  # type: ignore[no-untyped-call]

    def _logConnectionLostMsg(self) -> None:
        """Who has bound it tells of it."""


class InheritedTcpPort(_Inherited):
    """A socket of IPv4 or IPv6."""


class InheritedUnixPort(_Inherited, unix.Port):
    """A UNIX socket, whose file is to be removed by who has bound it, or by who `owns` it now."""

    owns_file = False

    def own(self) -> None:
        """Who has bound it is no more: its file, and the lock beside it, are this process's.

        Raises OSError if the lock cannot be had.
        """
        self.owns_file = True
        if self.wantPID and self._bindPath[:1] != b"\0":
            name = os.fsdecode(self._bindPath + b".lock")
            mine = f"{name}.{os.getpid()}"
            # As `FilesystemLock` has it, but at once in the place of the one before.
            os.symlink(str(os.getpid()), mine)  # noqa: PTH211
            os.replace(mine, name)  # noqa: PTH105
            self.lockFile = FilesystemLock(name)
            self.lockFile.locked = True

    def remove(self) -> None:
        """Who has bound it is no more, and nobody wants it: close it, and remove its file and lock.

        Raises OSError if the lock cannot be had: then it is closed, and both stay.
        """
        try:
            self.own()
        except OSError:
            self.owns_file = False
            raise
        finally:
            self.connectionLost(Failure(CONNECTION_DONE))

    def connectionLost(self, reason: Any) -> None:
        if self.owns_file:
            unix.Port.connectionLost(self, reason)
        else:
            tcp.Port.connectionLost(self, reason)


def unread_port(reactor: Any, fd: int, is_locked: bool) -> InheritedUnixPort:
    """The port of a UNIX socket that nobody accepts from here; `fd` is duplicated."""
    factory = Factory()
    factory.noisy = False
    port: Any = adopt_port(reactor, fd, factory)
    port.stopReading()
    port.wantPID = is_locked
    made: InheritedUnixPort = port
    return made


def leave_port(port: tcp.Port) -> None:
    """Close it, at once, for this process alone: others go on to accept from its socket."""
    port.stopReading()
    port._shouldShutdown = False  # noqa: SLF001
    port.disconnecting = True
    # Also a UNIX port's: its file stays.
    tcp.Port.connectionLost(port, Failure(CONNECTION_DONE))
