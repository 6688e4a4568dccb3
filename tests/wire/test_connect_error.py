"""Each way a connection can fail has a sentence that says which it was, and where."""

from __future__ import annotations

import errno

import pytest
from twisted.internet import error as twisted_error
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.errors import BackendBusy, ConnectFailed, OutOfSockets
from scgiproxy.wire.connect_error import connect_failed, show_address, translate
from scgiproxy.wire.transport import SocketAddress

TCP = IPv4Address("TCP", "127.0.0.1", 4000)
UNIX = UNIXAddress("/run/app.sock")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (TCP, "127.0.0.1:4000"),
        (IPv6Address("TCP", "::1", 4000), "[::1]:4000"),
        (UNIX, "unix:/run/app.sock"),
        (UNIXAddress(b"\0app"), "unix:@app"),
        (UNIXAddress("@app"), "unix:@app"),
    ],
)
def test_addresses_are_shown_as_they_are_configured(address: SocketAddress, shown: str) -> None:
    assert show_address(address) == shown


@pytest.mark.parametrize(
    ("number", "address", "kind", "words"),
    [
        (errno.ECONNREFUSED, TCP, ConnectFailed, "nobody listens on 127.0.0.1:4000"),
        (errno.ETIMEDOUT, TCP, ConnectFailed, "127.0.0.1:4000 does not answer"),
        (errno.EHOSTUNREACH, TCP, ConnectFailed, "no route to the host"),
        (errno.EACCES, TCP, ConnectFailed, "no permission to connect to 127.0.0.1:4000"),
        (errno.EADDRNOTAVAIL, TCP, OutOfSockets, "no socket left for 127.0.0.1:4000"),
        (errno.EAGAIN, TCP, OutOfSockets, "no socket left"),
        (errno.EMFILE, UNIX, OutOfSockets, "Too many open files"),
        (errno.ENOENT, UNIX, ConnectFailed, "there is no socket unix:/run/app.sock"),
        (errno.ECONNREFUSED, UNIX, ConnectFailed, "nobody listens on unix:/run/app.sock"),
        (errno.EACCES, UNIX, ConnectFailed, "no permission to connect to unix:/run/app.sock"),
        (errno.EAGAIN, UNIX, BackendBusy, "the listen queue of unix:/run/app.sock is full"),
        (errno.EIO, UNIX, ConnectFailed, "unix:/run/app.sock: Input/output error"),
    ],
)
def test_sentences(
    number: int, address: SocketAddress, kind: type[ConnectFailed], words: str
) -> None:
    error = connect_failed(OSError(number, ""), address)
    assert type(error) is kind
    assert words in str(error)


def test_only_what_the_backend_did_counts() -> None:
    """Being busy, or the gateway's own lack of descriptors, puts no backend in error."""
    counted = {number: connect_failed(OSError(number, ""), UNIX).counts for number in (11, 24, 111)}
    assert counted == {errno.EAGAIN: False, errno.EMFILE: False, errno.ECONNREFUSED: True}


def test_an_error_without_a_number() -> None:
    """Python refuses a long path itself."""
    error = connect_failed(OSError("AF_UNIX path too long"), UNIX)
    assert str(error) == "cannot connect to unix:/run/app.sock: AF_UNIX path too long"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (twisted_error.ConnectionRefusedError(), "nobody listens on 127.0.0.1:4000"),
        (twisted_error.ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nobody listens"),
        (twisted_error.TimeoutError(), "no connection to 127.0.0.1:4000 within 5 s"),
        (twisted_error.TCPTimedOutError(), "127.0.0.1:4000 does not answer"),
        (twisted_error.NoRouteError(), "no route"),
        (twisted_error.ConnectError(string="odd"), "cannot connect to 127.0.0.1:4000: An error"),
        (ConnectFailed("kept"), "kept"),
        (RuntimeError("odd"), "cannot connect to 127.0.0.1:4000: odd"),
    ],
)
def test_a_reactors_own_errors_get_the_same_sentences(error: Exception, words: str) -> None:
    assert words in str(translate(error, TCP, 5.0))
