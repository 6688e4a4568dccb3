"""The gateway of a soak: its configuration, which changes, its log, and its numbers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import programs
from tests.e2e.http_client import Response, ask
from tests.soak.members import Application

CONFIG = """\
Listen 127.0.0.1:{port}
ServerName localhost
Timeout 20
KeepAliveTimeout 2
RequestReadTimeout header=3 body=3,MinRate=500
ResponseSendTimeout 5
LimitRequestBody 20000000
SpoolDirectory {folder}/spool
ProxySCGISendfile On
XSendFilePath {folder}/files
SSLProxyCACertificateFile {folder}/ca.pem
CustomLog {folder}/access.log common
Header set X-Generation {generation}
ProxyPass /app/ scgi://127.0.0.1:{app}/ timeout=2
ProxyPass /narrow/ scgi://127.0.0.1:{narrow}/ timeout=20 max={max}
ProxyPass /ready/ scgi://127.0.0.1:{ready}/ timeout=5 preconnect=4
ProxyPass /tls/ scgis://localhost:{tls}/ timeout=5
ProxyPass /lb/ balancer://lb/
<Proxy balancer://lb>
{members}
</Proxy>
<Location /metrics>
SetHandler metrics
</Location>
"""
_GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TROUBLE = ("Traceback", "Unhandled", "exception caught here")
_SOON = 30.0


@dataclass
class SoakedGateway:
    """In front of `applications`, the first of which has four ports and the others are members.

    `folder` has all of its files; `reloads` is how often its configuration has been read again.
    """

    folder: Path
    applications: list[Application]
    workers: int = 1
    port: int = field(default_factory=programs.free_port)
    reloads: int = 0
    _broken: int = 0

    @property
    def config(self) -> Path:
        return self.folder / "gateway.conf"

    @property
    def command(self) -> list[str]:
        self.write()
        more = ("--workers", str(self.workers)) if self.workers > 1 else ()
        return programs.gateway(self.config, *more)

    def write(self, more: str = "") -> None:
        app, *members = self.applications
        names = dict(zip(("app", "narrow", "ready", "tls"), app.ports, strict=True))
        lines = [
            f"BalancerMember scgi://127.0.0.1:{each.ports[0]} retry=1 timeout=2"
            f" loadfactor={1 + self.reloads % 3}"
            for each in members
        ]
        text = CONFIG.format(
            port=self.port,
            folder=self.folder,
            generation=self.reloads,
            max=2 + self.reloads % 3,
            members="\n".join(lines),
            **names,
        )
        self.config.write_text(text + more)

    def get(self, path: str) -> Response:
        return ask(("127.0.0.1", self.port), _GET % path.encode())

    # -- its configuration -----------------------------------------------------------------------

    def reload(self, pid: int) -> None:
        """Another one, until every answer is by it. Raises TimeoutError."""
        self.reloads += 1
        self.write()
        os.kill(pid, signal.SIGHUP)
        wanted = str(self.reloads)
        wait_until(lambda: self._generations() == {wanted}, f"generation {wanted} is served")

    def _generations(self) -> set[str | None]:
        answers = [
            self.get("/app/x?do=bytes&size=0") for _ in range(1 if self.workers == 1 else 20)
        ]
        return {answer.header("X-Generation") for answer in answers}

    def reload_broken(self, pid: int) -> None:
        """One with an error, which is not used: the log says so. Raises TimeoutError."""
        self._broken += 1
        self.write(f"Brocken{self._broken} On\n")
        os.kill(pid, signal.SIGHUP)
        word = f"unknown directive Brocken{self._broken}"
        wait_until(lambda: word in self.logged(), f"{word!r} is in the log")

    # -- its log -------------------------------------------------------------------------------

    def logged(self) -> str:
        """All of it: twistd begins another file now and then."""
        files = sorted(self.folder.glob("gateway.log*"), key=lambda path: path.stat().st_mtime)
        return "".join(path.read_text(errors="backslashreplace") for path in files)

    def trouble(self) -> list[str]:
        """The tracebacks in it."""
        lines = self.logged().splitlines()
        return [
            "\n".join(lines[number : number + 30])
            for number, line in enumerate(lines)
            if any(sign in line for sign in _TROUBLE)
        ]


def wait_until(condition: Callable[[], object], what: str, seconds: float = _SOON) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
