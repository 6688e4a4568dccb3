"""Each way a connection can fail has a sentence that says which it was, and where."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet import error as twisted_error
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from scgiproxy.errors import BackendBusy, ConnectFailed, OutOfSockets
from scgiproxy.wire.connect_error import connect_failed, show_address, translate
from scgiproxy.wire.streamsocket import SocketAddress

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
    error = connect_failed(OSError("odd"), UNIX)
    assert str(error) == "cannot connect to unix:/run/app.sock: odd"


# -- what there is in the place of a socket ----------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that any user may enter; pytest's own are closed to others."""
    made = Path(os.path.realpath(tempfile.mkdtemp()))
    made.chmod(0o755)
    yield made
    for inner in made.glob("closed"):
        inner.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may do everything: for a moment, be nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def refused(path: Path | str) -> str:
    """The sentence for the error that connecting gives."""
    with socket.socket(socket.AF_UNIX) as caller, unprivileged():
        with pytest.raises(OSError) as failed:
            caller.connect(os.fspath(path))
        return str(connect_failed(failed.value, UNIXAddress(os.fspath(path))))


def make_directory(path: Path) -> None:
    path.mkdir()


def make_file(path: Path) -> None:
    path.write_text("")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_directory, "a directory"), (make_file, "a plain file"), (make_pipe, "a named pipe")],
)
@pytest.mark.parametrize("mode", [0o777, 0o755])
def test_no_socket(folder: Path, make: Callable[[Path], None], kind: str, mode: int) -> None:
    """Whether one may write to it (connection refused) or not (permission denied)."""
    path = folder / "app.sock"
    make(path)
    path.chmod(mode)
    assert refused(path) == f"unix:{path} is {kind}, and no socket"
    (folder / "link").symlink_to("app.sock")
    assert refused(folder / "link") == f"unix:{folder}/link is {kind}, and no socket"


def test_device() -> None:
    assert refused("/dev/null") == "unix:/dev/null is a device, and no socket"


def test_sockets(folder: Path) -> None:
    """One that nobody listens on any more, and one that is for others."""
    path = folder / "app.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen()
        if os.geteuid() == 0:
            assert refused(path) == (
                f"no permission to connect to unix:{path};"
                " the gateway needs write permission on the socket"
            )
    path.chmod(0o777)
    assert refused(path) == (
        f"nobody listens on unix:{path} (connection refused); is the backend running?"
    )


def test_closed_folder(folder: Path) -> None:
    closed = folder / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    (folder / "link").symlink_to("closed/inner")
    for path in (closed / "inner" / "s", closed / "s", folder / "link" / "s"):
        assert refused(path) == (
            f"no permission to connect to unix:{path}; the gateway may not enter {closed}"
        )


def test_missing(folder: Path) -> None:
    path = folder / "s"
    assert refused(path) == f"there is no socket unix:{path}; is the backend running?"
    path = folder / "no" / "inner" / "s"
    assert refused(path) == (
        f"there is no socket unix:{path}, and no directory {folder}/no; is the backend running?"
    )
    path = folder / "link"
    path.symlink_to("gone")
    assert refused(path) == (
        f"there is no socket unix:{path}; it is a symbolic link to {folder}/gone, which is missing"
    )


def test_a_file_on_the_way(folder: Path) -> None:
    (folder / "file").write_text("")
    path = folder / "file" / "s"
    assert refused(path) == f"there is no socket unix:{path}; {folder}/file is no directory"


def test_links_in_a_circle(folder: Path) -> None:
    (folder / "a").symlink_to("a")
    assert refused(folder / "a").endswith(os.strerror(errno.ELOOP))


def test_overlong_path() -> None:
    path = "/tmp/" + "x" * 103
    assert refused(path) == (
        f"cannot connect to unix:{path}: its path is 108 bytes long, and a socket's at most 107"
    )
    assert "no socket" in refused(path[:-1])


def test_what_has_changed_meanwhile_is_not_told(folder: Path) -> None:
    """The backend was about to start."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        for number, words in [
            (errno.ENOENT, "there is no socket"),
            (errno.ECONNREFUSED, "nobody listens"),
        ]:
            error = connect_failed(OSError(number, ""), UNIXAddress(os.fspath(path)))
            assert str(error).startswith(words)
            assert str(error).endswith("is the backend running?")


@pytest.mark.parametrize("name", ["@/dev/null", b"\0/dev/null"])
def test_abstract_sockets_have_no_path(name: str | bytes) -> None:
    error = connect_failed(OSError(errno.ECONNREFUSED, ""), UNIXAddress(name))
    assert str(error).startswith("nobody listens on unix:@/dev/null")


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
