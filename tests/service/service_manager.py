"""A service manager, as far as it listens: the datagrams of sd_notify(3)."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class ServiceManager:
    """Takes what is sent to `path` while it is entered; one that begins with ``@`` is in no folder.

    `environment` is what its services get, `heard` what each datagram has said: states by name.
    """

    def __init__(self, path: Path | str, **more: str) -> None:
        name = str(path)
        self.environment = {"NOTIFY_SOCKET": name, **more}
        self._heard: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)

    @property
    def heard(self) -> list[dict[str, str]]:
        """All so far."""
        with suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(4096).decode().split("\n")
                self._heard.append(dict(line.split("=", 1) for line in lines))
        return self._heard

    def states(self, name: str) -> list[str]:
        """All values of one, in order."""
        return [said[name] for said in self.heard if name in said]

    def order(self) -> list[str]:
        """The first word of each datagram, but the watchdog's."""
        names = [next(iter(said)) for said in self.heard]
        return [name for name in names if name != "WATCHDOG"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
