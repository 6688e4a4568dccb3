"""One attempt to connect to a backend, with a socket alone: see `wire.dial`."""

from __future__ import annotations

import socket
from errno import EAGAIN, EALREADY, ECONNABORTED, EINPROGRESS, EISCONN
from math import inf
from typing import TYPE_CHECKING, Final

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import classImplements

from scgiproxy.errors import ConnectFailed
from scgiproxy.interfaces import IDeadline
from scgiproxy.log.events import Logger
from scgiproxy.wire.backlog import Target
from scgiproxy.wire.connect_error import backlog_full, connect_failed, timed_out
from scgiproxy.wire.descriptors import Descriptors
from scgiproxy.wire.reactor_dial import DialFactory, unix_socket_name
from scgiproxy.wire.streamsocket import SocketAddress
from scgiproxy.wire.transport import BackendConnection

if TYPE_CHECKING:
    from scgiproxy.wire.dial import Dialer

_NONBLOCK: Final = int(getattr(socket, "SOCK_NONBLOCK", 0))
# Plain numbers: arithmetic on the members of an enum is Python code.
_STREAM: Final = int(socket.SOCK_STREAM) | _NONBLOCK
_INET: Final = int(socket.AF_INET)
_INET6: Final = int(socket.AF_INET6)
_UNIX: Final = int(getattr(socket, "AF_UNIX", -1))
_log = Logger()


def _socket_address(address: SocketAddress) -> tuple[int, Target]:
    if isinstance(address, IPv4Address):
        return _INET, (address.host, address.port)
    if isinstance(address, UNIXAddress):
        return _UNIX, unix_socket_name(address)
    return _INET6, (address.host, address.port, address.flowInfo, int(address.scopeID))


class DialAttempt:
    """A connection that is not up yet; a descriptor while the kernel works on it."""

    __slots__ = (
        "_address",
        "_connection",
        "_dialer",
        "_ended",
        "_factory",
        "_failing",
        "_keepalive",
        "_queued",
        "_socket",
        "_timeout",
        "_wait_for_backlog",
        "_writing",
        "deadline",
        "target",
    )

    target: Target

    def __init__(
        self,
        dialer: Dialer,
        address: SocketAddress,
        factory: DialFactory,
        timeout: float,
        keepalive: bool,
        wait_for_backlog: bool,
    ) -> None:
        self._dialer = dialer
        self._address = address
        self._factory = factory
        self._timeout = timeout
        self._keepalive = keepalive
        self._wait_for_backlog = wait_for_backlog
        self._socket: socket.SocketType | None = None
        self.deadline = inf
        self._ended = False
        self._writing = False
        self._queued = False
        self._failing: IDelayedCall | None = None
        self._connection: BackendConnection | None = None

    # -- the ways to go on ---------------------------------------------------------------------

    def begin(self) -> None:
        """Connect. On the same machine that is done when this returns."""
        if self._ended:
            return
        try:
            family, self.target = _socket_address(self._address)
            # The part of `socket.socket` that is written in C has all that is needed.
            self._socket = skt = socket.SocketType(family, _STREAM)
            if not _NONBLOCK:
                skt.setblocking(False)
            if family != _UNIX:
                if self._keepalive:
                    skt.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                number = skt.connect_ex(self.target)
                if number == EINPROGRESS:
                    # On the same machine it is up by now; asking is cheaper than a turn.
                    number = skt.connect_ex(self.target)
            elif self._dialer.backlog.has(self.target):
                number = EAGAIN
            else:
                number = skt.connect_ex(self.target)
        except OSError as error:
            self._fail_later(error)
            return
        except (ValueError, OverflowError) as error:  # an address that is none
            self._fail_later(OSError(str(error)))
            return
        if number == 0 or number == EISCONN:
            self._ended = True
            self._connected(skt)
        elif number in (EINPROGRESS, EALREADY):
            self._watch()
            self._writing = True
            self._descriptors.addWriter(self)
        elif number == EAGAIN and family == _UNIX and self._wait_for_backlog:
            self._watch()
            self._queued = True
            self._dialer.backlog.add(self)
        else:
            self._fail_later(OSError(number, ""))

    @property
    def _descriptors(self) -> Descriptors:
        descriptors = self._dialer.descriptors
        assert descriptors is not None  # without them the reactor dials
        return descriptors

    def _fail_later(self, error: OSError) -> None:
        """It has failed already, which nobody wants to hear from inside `Dialer.dial`."""
        reason = connect_failed(error, self._address)
        self._failing = self._dialer.reactor.callLater(0, self._fail, reason)

    def try_again(self) -> bool:
        """Ask for a place in the listen queue; False if it is still full."""
        assert self._socket is not None  # only with a socket can one queue
        try:
            number = self._socket.connect_ex(self.target)
        except OSError as error:
            self._fail(connect_failed(error, self._address))
            return True
        if number == EAGAIN:
            return False
        self._settle(number)
        return True

    def _watch(self) -> None:
        self.deadline = self._dialer.reactor.seconds() + self._timeout
        self._dialer.wheel.watch(self)

    def _connected(self, skt: socket.SocketType) -> None:
        """Put the factory's protocol on a socket that is up."""
        descriptors = self._descriptors
        try:
            protocol = self._factory.buildProtocol(self._address)
        except BaseException:
            skt.close()
            raise
        if protocol is None:
            skt.close()
            return
        connection = BackendConnection(skt, protocol, descriptors, self._address)
        self._connection = connection
        descriptors.addReader(connection)
        try:
            protocol.makeConnection(connection)
        except Exception:
            failure = Failure()
            _log.failure("{protocol!r} cannot take its connection", failure, protocol=protocol)
            connection.connectionLost(failure)

    # -- the ends ------------------------------------------------------------------------------

    def _end(self) -> bool:
        """Leave the reactor, the wheel and the queue; False if that was done before."""
        if self._ended:
            return False
        self._ended = True
        self._dialer.wheel.forget(self)
        if self._writing:
            self._descriptors.removeWriter(self)
        if self._queued:
            self._dialer.backlog.remove(self)
        if self._failing is not None and self._failing.active():
            self._failing.cancel()
        return True

    def _settle(self, number: int) -> None:
        """The kernel has said how it went."""
        if number:
            self._fail(connect_failed(OSError(number, ""), self._address))
        elif self._end():
            assert self._socket is not None  # the kernel spoke of it
            self._connected(self._socket)

    def _fail(self, error: ConnectFailed) -> None:
        if self._end():
            self._close()
            self._factory.clientConnectionFailed(self, Failure(error))

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def stopConnecting(self) -> None:
        if self._end():
            self._close()

    def disconnect(self) -> None:
        self.stopConnecting()
        if self._connection is not None:
            self._connection.loseConnection()

    def deadline_passed(self) -> None:
        if self._queued:
            self._fail(backlog_full(self._address, self._timeout))
        else:
            self._fail(timed_out(self._address, self._timeout))

    # -- the descriptor ------------------------------------------------------------------------

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "dial"

    def doWrite(self) -> None:
        self._settle(self._error_number())

    def doRead(self) -> None:
        self.doWrite()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002  the socket knows better
        if not self._ended:
            self._settle(self._error_number() or ECONNABORTED)

    def _error_number(self) -> int:
        assert self._socket is not None  # it is a descriptor
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


classImplements(DialAttempt, IReadWriteDescriptor, IDeadline)
