"""The gateway's own sockets, on one epoll of ours that the reactor watches as a single reader.

The reactor hears once of all the sockets that are ready, and the gateway knows what it has to do in
one turn. Sends and connects are put off to the end of the turn and follow each other there: the
process at the other end is woken for all of them once, not for each. With 32 clients that saves a
third of what a request costs; a turn with a single event puts nothing off.

Where there is no epoll, or the reactor does not watch descriptors, `descriptors_of` gives a set that
hands everything to the reactor and puts nothing off.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeAlias

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableDescriptor,
    IReactorFDSet,
    IReadDescriptor,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.log.events import Logger

MOST_EVENTS: Final = 256
"""Events in one turn; the reactor's other descriptors wait for so many."""

CLOSED: Final = Failure(CONNECTION_DONE)
"""The reason of connections that end as they should."""

EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""What the system says when there are no descriptors left, or no memory for one."""

_IN: Final[int] = getattr(select, "EPOLLIN", 1)
_OUT: Final[int] = getattr(select, "EPOLLOUT", 4)


def descriptors_of(reactor: Any) -> Descriptors:
    """A new set of descriptors on `reactor`."""
    if isinstance(reactor, PosixReactorBase) and hasattr(select, "epoll"):
        return EpollDescriptors(reactor)
    return ReactorDescriptors(reactor)


class ReactorDescriptors:
    """The reactor itself."""

    def __init__(self, reactor: Any) -> None:
        self.in_turn = False
        self.callLater = reactor.callLater
        self.addReader = reactor.addReader
        self.addWriter = reactor.addWriter
        self.removeReader = reactor.removeReader
        self.removeWriter = reactor.removeWriter

    def forget(self, descriptor: Any) -> None:
        self.removeReader(descriptor)
        self.removeWriter(descriptor)

    def put_off(self, work: Callable[[], None]) -> None:
        work()


class EpollDescriptors:
    """See the module. In the reactor while it watches anything.

    - `in_turn`: several descriptors are being served one after the other; what goes to the kernel
      is better put off.

    When the reactor stops, all that is in it loses its connection, as if it were in the reactor.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.callLater = reactor.callLater
        self.in_turn = False
        # Made when it is needed: a daemon forks before that.
        self._epoll: Any = None
        self._descriptors: dict[int, Any] = {}
        self._masks: dict[int, int] = {}
        self._put_off: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<EpollDescriptors {len(self._descriptors)} watched>"

    def put_off(self, work: Callable[[], None]) -> None:
        """Call `work` at the end of the turn; only while `in_turn`. What it raises is logged."""
        self._put_off.append(work)

    # -- what is watched -----------------------------------------------------------------------

    def addReader(self, reader: Any) -> None:
        """Call ``reader.doRead`` while there is something to read."""
        self._add(reader, _IN)

    def addWriter(self, writer: Any) -> None:
        """Call ``writer.doWrite`` while the socket takes bytes."""
        self._add(writer, _OUT)

    def removeReader(self, reader: Any) -> None:
        """Does nothing for what is not watched for reading. To be called before it is closed."""
        self._remove(reader, _IN)

    def removeWriter(self, writer: Any) -> None:
        """Does nothing for what is not watched for writing. To be called before it is closed."""
        self._remove(writer, _OUT)

    def forget(self, descriptor: Any) -> None:
        """Watch it no more: it is about to be closed, at which the kernel forgets it, too."""
        fd = descriptor.fileno()
        if self._descriptors.get(fd) is descriptor:
            del self._masks[fd], self._descriptors[fd]
            if not self._descriptors:
                self._reactor.removeReader(self)

    def _add(self, descriptor: Any, bit: int) -> None:
        fd = descriptor.fileno()
        mask = self._masks.get(fd)
        # Of one that was closed without having been removed only the number is left.
        if mask is None or self._descriptors[fd] is not descriptor:
            if self._epoll is None:
                self._epoll = select.epoll()
            self._epoll.register(fd, bit)
            self._masks[fd] = bit
            if not self._descriptors:
                self._reactor.addReader(self)
        elif not mask & bit:
            self._epoll.modify(fd, mask | bit)
            self._masks[fd] = mask | bit
        self._descriptors[fd] = descriptor

    def _remove(self, descriptor: Any, bit: int) -> None:
        fd = descriptor.fileno()
        if self._descriptors.get(fd) is not descriptor:
            return
        mask = self._masks[fd]
        if mask == bit:
            self._epoll.unregister(fd)
            del self._masks[fd], self._descriptors[fd]
            if not self._descriptors:
                self._reactor.removeReader(self)
        elif mask & bit:
            self._masks[fd] = mask & ~bit
            self._epoll.modify(fd, mask & ~bit)

    def removeAll(self) -> list[Any]:
        """Watch nothing any more; what was watched."""
        watched = self.getReaders()
        watched += [each for each in self.getWriters() if each not in watched]
        for each in watched:
            self.removeReader(each)
            self.removeWriter(each)
        return watched

    def getReaders(self) -> list[Any]:
        """What is watched for reading."""
        return [self._descriptors[fd] for fd, mask in self._masks.items() if mask & _IN]

    def getWriters(self) -> list[Any]:
        """What is watched for writing."""
        return [self._descriptors[fd] for fd, mask in self._masks.items() if mask & _OUT]

    # -- the reader in the reactor -------------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "connections"

    def doRead(self) -> None:
        """One turn: serve what is ready, then do what was put off."""
        ready = self._epoll.poll(0, MOST_EVENTS)
        self.in_turn = len(ready) > 1
        descriptors = self._descriptors
        for fd, event in ready:
            # What was served before may have ended this one.
            descriptor = descriptors.get(fd)
            if descriptor is not None:
                self._serve(descriptor, fd, event)
        self.end_turn()

    def end_turn(self) -> None:
        """Do what was put off."""
        self.in_turn = False
        if self._put_off:
            put_off, self._put_off = self._put_off, []
            for work in put_off:
                try:
                    work()
                except BaseException:
                    self._log.failure("what was put off by a connection could not be done")

    def _serve(self, descriptor: Any, fd: int, event: int) -> None:
        why: Any = None
        reading = False
        try:
            if event & _IN:
                reading = True
                why = descriptor.doRead()
            elif not event & _OUT:
                # An error or the end, on what nobody reads or writes at the moment, or a reader
                # that will learn it from reading.
                reading = bool(self._masks[fd] & _IN)
                why = descriptor.doRead() if reading else CONNECTION_LOST
            if event & _OUT and not why and descriptor.fileno() == fd:
                reading = False
                why = descriptor.doWrite()
        except BaseException as error:
            # Left to the reactor it would end all connections.
            self._log.failure("while serving a connection")
            why = error
        if why:
            try:
                self._disconnect(descriptor, why, reading)
            except BaseException:
                self._log.failure("while closing a connection")

    def _disconnect(self, descriptor: Any, why: Exception, reading: bool) -> None:
        """What a reactor does with a descriptor that has come to its end."""
        self.removeReader(descriptor)
        half = reading and isinstance(why, ConnectionDone)
        if half and IHalfCloseableDescriptor.providedBy(descriptor):
            descriptor.readConnectionLost(CLOSED)
            return
        self.removeWriter(descriptor)
        descriptor.connectionLost(CLOSED if isinstance(why, ConnectionDone) else Failure(why))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        for descriptor in self.removeAll():
            try:
                descriptor.connectionLost(reason)
            except Exception:
                self._log.failure("while closing a connection")


classImplements(EpollDescriptors, IReactorFDSet, IReadDescriptor)

Descriptors: TypeAlias = EpollDescriptors | ReactorDescriptors
"""What a transport and a dialer know as their reactor: IReactorFDSet, ``callLater``, and more."""
