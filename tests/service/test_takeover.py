"""A process that takes another's place: what it is given, and what the two say."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.errors import ConfigError
from scgiproxy.service.takeover import FORMAT, VARIABLE, Takeover, share_log
from scgiproxy.service.upgrade import PidFile


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def given(channel: int, **more: Any) -> dict[str, str]:
    output = [os.open(os.devnull, os.O_WRONLY) for _ in range(2)]
    words = {"format": FORMAT, "channel": channel, "output": output, "sockets": [], **more}
    return {VARIABLE: json.dumps(words), "PATH": "/bin"}


def close(takeover: Takeover) -> None:
    takeover._channel.detach()
    for fd in takeover._output:
        os.close(fd)


def test_nobody_before() -> None:
    assert Takeover.from_environment({"PATH": "/bin"}) is None


def test_what_is_given(channel: tuple[socket.socket, socket.socket]) -> None:
    """It is for this process alone: no child learns of it, or gets it."""
    fd = channel[1].fileno()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        environment = given(fd, sockets=[["127.0.0.1", 80, "", listening.fileno()]])
        takeover = Takeover.from_environment(environment)
        assert takeover is not None
        assert environment == {"PATH": "/bin"}
        assert takeover.sockets == {("127.0.0.1", 80, ""): listening.fileno()}
        assert not os.get_inheritable(listening.fileno())
        close(takeover)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"format": 99}',
        '{"format": 1, "output": [1], "sockets": [], "channel": 3}',
        '{"format": 1, "output": [1, 2], "sockets": [["", 80]], "channel": 3}',
        '{"format": 1, "output": [1, 2], "sockets": [], "channel": 99999}',
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match=f"{VARIABLE}:1: expected what a process before"):
        Takeover.from_environment({VARIABLE: text})


def test_it_begins_when_it_may(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    takeover = Takeover.from_environment(given(theirs.fileno()))
    assert takeover is not None
    ours.sendall(b"go\n")
    takeover.prepare()
    takeover.prepare()
    assert ours.recv(100) == b"prepared %d\n" % os.getpid()
    close(takeover)


@pytest.mark.parametrize("said", [b"", b"no\n"])
def test_it_may_not(channel: tuple[socket.socket, socket.socket], said: bytes) -> None:
    ours, theirs = channel
    takeover = Takeover.from_environment(given(theirs.fileno()))
    assert takeover is not None
    ours.sendall(said)
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(ConfigError, match="the process before has gone"):
        takeover.prepare()
    close(takeover)


def test_a_pid_file(tmp_path: Path) -> None:
    """Out of the way, back again, and out of the way for good."""
    path, aside = tmp_path / "pid", tmp_path / f"pid.old.{os.getpid()}"
    path.write_text(str(os.getpid()))
    options = {"pidfile": str(path)}
    file = PidFile(options)
    for _ in range(2):
        file.set_aside()
        file.set_aside()
        assert (path.exists(), aside.exists(), options["pidfile"]) == (False, True, str(aside))
        path.write_text("1")  # of one that could not serve
        file.put_back()
        file.put_back()
        assert (path.read_text(), aside.exists()) == (str(os.getpid()), False)
        assert options["pidfile"] == str(path)


@pytest.mark.parametrize("text", [None, "1", "none"])
def test_no_pid_file_of_its_own(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "pid"
    if text is not None:
        path.write_text(text)
    for name in (str(path), "", None):
        options = {"pidfile": name}
        file = PidFile(options)
        file.set_aside()
        file.put_back()
        assert options == {"pidfile": name}
    assert path.exists() is (text is not None)


def test_a_log_of_two(tmp_path: Path) -> None:
    """twistd's is opened without O_APPEND."""
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with path.open("rb+", 0) as one, path.open("rb+", 0) as other:
        for file in (one, other):
            file.seek(0, os.SEEK_END)
        share_log(str(path))
        one.write(b"one\n")
        other.write(b"other\n")
    assert path.read_bytes() == b"before\none\nother\n"
    share_log(str(tmp_path / "missing"))
