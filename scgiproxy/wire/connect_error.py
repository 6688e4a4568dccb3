"""Why a connection could not be made, as a sentence for whoever runs the gateway."""

from __future__ import annotations

import os
import stat
from errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAGAIN,
    ECONNREFUSED,
    EHOSTUNREACH,
    ENETUNREACH,
    ENOENT,
    ENOTDIR,
    EPERM,
    EPROTOTYPE,
    ETIMEDOUT,
)
from pathlib import Path

from twisted.internet import error as twisted_error
from twisted.internet.address import IPv6Address, UNIXAddress

from scgiproxy.errors import BackendBusy, ConnectFailed, OutOfSockets
from scgiproxy.message.backend_url import MAX_SOCKET_PATH
from scgiproxy.wire.descriptors import EXHAUSTED
from scgiproxy.wire.streamsocket import SocketAddress

_OURS = EXHAUSTED | {EADDRNOTAVAIL}
_UNIX_SENTENCES = {
    ENOENT: "there is no socket {where}; is the backend running?",
    ENOTDIR: "there is no socket {where}; a part of the path is no directory",
    ECONNREFUSED: "nobody listens on {where} (connection refused); is the backend running?",
    EACCES: "no permission to connect to {where}; the gateway needs write permission on the socket",
    EPROTOTYPE: "{where} is no stream socket",
}
_TCP_SENTENCES = {
    ECONNREFUSED: "nobody listens on {where} (connection refused); is the backend running?",
    ETIMEDOUT: "{where} does not answer (timed out)",
    EHOSTUNREACH: "no route to the host of {where}",
    ENETUNREACH: "no route to the network of {where}",
    EACCES: "no permission to connect to {where}; a firewall may refuse it",
    EPERM: "no permission to connect to {where}; a firewall may refuse it",
}
# What Twisted's errors mean when they come without a number.
_NUMBERS: dict[type, int] = {
    twisted_error.ConnectionRefusedError: ECONNREFUSED,
    twisted_error.NoRouteError: ENETUNREACH,
    twisted_error.TCPTimedOutError: ETIMEDOUT,
}


# What the kernel refuses as if nobody listened, or as if the permission were all that is missing.
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a plain file",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def show_address(address: SocketAddress) -> str:
    """``127.0.0.1:4000``, ``[::1]:4000`` or ``unix:/path``."""
    if isinstance(address, UNIXAddress):
        name = os.fsdecode(address.name or b"")
        return "unix:" + ("@" + name[1:] if name.startswith("\0") else name)
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    return f"{address.host}:{address.port}"


def connect_failed(error: OSError, address: SocketAddress) -> ConnectFailed:
    """The error to report for what socket() or connect() raised."""
    where = show_address(address)
    number = error.errno
    path = _path_of(address)
    if number is None:
        # Python refuses an overlong path itself.
        size = len(os.fsencode(path))
        if size > MAX_SOCKET_PATH:
            return ConnectFailed(
                f"cannot connect to {where}: its path is {size} bytes long,"
                f" and a socket's at most {MAX_SOCKET_PATH}"
            )
        return ConnectFailed(f"cannot connect to {where}: {error}")
    if number in _OURS or (number == EAGAIN and not isinstance(address, UNIXAddress)):
        return OutOfSockets(
            f"the gateway has no socket left for {where}: {os.strerror(number)}"
            " (see `ulimit -n` and the range of local ports)"
        )
    if number == EAGAIN:
        return backlog_full(address)
    told = _look_at(path, number, where) if path else None
    if told is None:
        sentences = _UNIX_SENTENCES if isinstance(address, UNIXAddress) else _TCP_SENTENCES
        sentence = sentences.get(number, "cannot connect to {where}: {reason}")
        told = sentence.format(where=where, reason=os.strerror(number))
    return ConnectFailed(told)


def _path_of(address: SocketAddress) -> str:
    """Of a UNIX socket that is in the file system; empty for any other address."""
    name = address.name or b"" if isinstance(address, UNIXAddress) else b""
    return "" if name[:1] in (b"@", b"\0") else os.fsdecode(name)


def _look_at(path: str, number: int, where: str) -> str | None:
    """What is wrong with that path, where the file system knows more than the error says."""
    if number not in (ECONNREFUSED, EACCES, ENOENT, ENOTDIR):
        return None
    real = Path(os.path.realpath(path))
    part = real
    try:
        for part in (*reversed(real.parents), real):
            kind = stat.S_IFMT(part.stat().st_mode)
    except OSError as error:
        if error.errno != number:
            return None
        folder = part.parent
        if number == EACCES:
            return f"no permission to connect to {where}; the gateway may not enter {folder}"
        if number == ENOTDIR:
            return f"there is no socket {where}; {folder} is no directory"
        if part != real:
            return f"there is no socket {where}, and no directory {part}; is the backend running?"
        if Path(path).is_symlink():
            return f"there is no socket {where}; it is a symbolic link to {real}, which is missing"
        return None
    if number in (ECONNREFUSED, EACCES) and kind != stat.S_IFSOCK:
        return f"{where} is {_KINDS.get(kind, 'something else')}, and no socket"
    return None


def backlog_full(address: SocketAddress, timeout: float | None = None) -> BackendBusy:
    """The listen queue is full, and has been for `timeout` seconds."""
    since = "" if timeout is None else f", for {timeout:g} s"
    return BackendBusy(f"the listen queue of {show_address(address)} is full{since}")


def timed_out(address: SocketAddress, timeout: float) -> ConnectFailed:
    """No answer within `timeout` seconds."""
    return ConnectFailed(f"no connection to {show_address(address)} within {timeout:g} s")


def translate(error: BaseException | None, address: SocketAddress, timeout: float) -> ConnectFailed:
    """The same for what a reactor's own connector reports."""
    if isinstance(error, ConnectFailed):
        return error
    if type(error) is twisted_error.TimeoutError:
        return timed_out(address, timeout)
    if isinstance(error, twisted_error.ConnectError):
        number = error.osError or _NUMBERS.get(type(error))
        if isinstance(number, int):
            return connect_failed(OSError(number, ""), address)
    return ConnectFailed(f"cannot connect to {show_address(address)}: {error}")
