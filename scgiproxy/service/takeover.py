"""A process that takes another's place: what it gets from it, and what the two say to each other.

The words, each a line, over a socket that both have: ``prepared PID`` (the new one could be made, and
has touched nothing), ``go``, ``serving`` (both accept from the same sockets), ``yours`` (the old one has
given up the sockets, and ends).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from scgiproxy.errors import ConfigError, Problem

VARIABLE = "SCGIPROXY_TAKEOVER"
"""Of the environment: a JSON object with descriptors, for one process and none that it starts."""

FORMAT = 1
"""Of that object. The two processes may be of different versions."""

PREPARED, GO, SERVING, YOURS = b"prepared", b"go", b"serving", b"yours"

WITHIN = 60.0
"""Seconds that either waits for the other."""

Place = tuple[str, int, str]
"""A Listen line: address, port, endpoint string."""


class Takeover:
    """The new process's end.

    - `sockets`: a descriptor for each Listen line of the process before, which is to be closed.
    - `log_file`: a file that twistd has opened in both processes; none if it is empty.
    """

    def __init__(self, channel: int, output: tuple[int, int], sockets: Mapping[Place, int]) -> None:
        self.sockets = dict(sockets)
        self._output = output
        self.log_file = ""
        self._is_prepared = False
        for fd in (channel, *output, *sockets.values()):
            os.set_inheritable(fd, False)
        self._channel = socket.socket(fileno=channel)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self | None:
        """None if there is nobody before. The variable is gone then. Raises ConfigError if it is not
        as this version knows it."""
        text = environment.pop(VARIABLE, None)
        if text is None:
            return None
        try:
            given = json.loads(text)
            if given["format"] != FORMAT:
                raise ValueError(f"format {FORMAT} is known, not {given['format']}")
            sockets = {
                (address, port, endpoint): fd for address, port, endpoint, fd in given["sockets"]
            }
            out, err = given["output"]
            return cls(given["channel"], (out, err), sockets)
        except (ValueError, TypeError, LookupError, OSError) as error:
            raise _problem(f"expected what a process before this one hands over: {error}") from None

    def prepare(self) -> None:
        """Wait until the process before lets this one begin. Raises ConfigError if it does not."""
        if self._is_prepared:
            return
        self._is_prepared = True
        if self.log_file:
            share_log(self.log_file)
        self._channel.settimeout(WITHIN)
        try:
            self._channel.sendall(b"%s %d\n" % (PREPARED, os.getpid()))
            said = self._channel.recv(100)
        except OSError as error:
            raise _problem(f"the process before does not answer: {error}") from None
        if said.strip() != GO:
            raise _problem("the process before has gone")

    def serve(self, reactor: Any, when_alone: Callable[[], object]) -> None:
        """Everything serves: have the process before end. `when_alone` is called when it has given up
        what both have had."""
        self._restore_output()
        self._channel.setblocking(False)
        heard = _Heard(when_alone)
        factory = ChannelFactory(heard)
        reactor.adoptStreamConnection(self._channel.fileno(), socket.AF_UNIX, factory)
        self._channel.close()
        heard.sendLine(SERVING)  # type: ignore[no-untyped-call]

    def _restore_output(self) -> None:
        """What is said from now on goes where the process before has said it."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
        for number, fd in enumerate(self._output, 1):
            os.dup2(fd, number)
            os.close(fd)


def share_log(path: str) -> None:
    """Have what this process writes to the file at `path` come after what others write there.

    twistd's log file is written where this process has ended last, and so over what another one has
    written since.
    """
    try:
        wanted = os.stat(path)  # noqa: PTH116
        descriptors = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return
    for fd in descriptors:
        with suppress(OSError):
            if os.path.samestat(os.fstat(fd), wanted):
                flags = fcntl.fcntl(fd, fcntl.F_GETFL)
                fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND)


class _Heard(LineOnlyReceiver):
    """Says once that it is alone: also if the process before has ended without a word."""

    delimiter = b"\n"

    def __init__(self, when_alone: Callable[[], object]) -> None:
        self._when_alone: Callable[[], object] | None = when_alone

    def lineReceived(self, line: bytes) -> None:
        if line == YOURS and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002
        when_alone, self._when_alone = self._when_alone, None
        if when_alone is not None:
            when_alone()


class ChannelFactory(Factory[Any]):
    """Of one protocol, which is at an end of the channel."""

    noisy = False

    def __init__(self, made: Any) -> None:
        self._made = made

    def buildProtocol(self, addr: object) -> Any:  # noqa: ARG002
        return self._made


def _problem(message: str) -> ConfigError:
    return ConfigError([Problem(VARIABLE, 1, message)])
