"""The demo as a service: an SCGI server on a UNIX socket in a private temporary folder, and a
gateway before it."""

from __future__ import annotations

from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed

from scgiproxy.config.load import load_text
from scgiproxy.demo.resource import NUMBERS, PICTURE, build_demo
from scgiproxy.errors import ConfigError
from scgiproxy.service.root import GatewayService
from scgiproxy.wire.server import ScgiServerFactory

DEMO_CONFIG = """\
Listen ${LISTEN}

ProxySCGISendfile On
XSendFilePath "${FILES}"

ProxyPass "/" "unix:${SOCKET}|scgi://demo/" pathinfo=on
"""
"""What the gateway needs to serve the demo; `ApplicationService` fills it in."""

MAX_BODY = 1 << 30
"""The gateway's own limit (LimitRequestBody) is the same."""

PICTURE_TEXT = """\
<svg xmlns="http://www.w3.org/2000/svg" width="640" height="200" viewBox="0 0 640 200">
  <defs>
    <linearGradient id="sky" x1="0" y1="0" x2="1" y2="1">
      <stop offset="0" stop-color="#0b6e6e"/>
      <stop offset="1" stop-color="#3b4fb8"/>
    </linearGradient>
  </defs>
  <rect width="640" height="200" fill="url(#sky)"/>
  <circle cx="545" cy="62" r="34" fill="#ffd166"/>
  <path d="M0 160 Q110 105 220 150 T440 140 T640 120 V200 H0 Z" fill="#ffffff" opacity=".18"/>
  <path d="M0 178 Q140 130 300 172 T640 158 V200 H0 Z" fill="#ffffff" opacity=".22"/>
  <text x="36" y="84" font-family="system-ui, sans-serif" font-size="30" font-weight="700"
    fill="#ffffff">Sent by the gateway</text>
  <text x="36" y="118" font-family="system-ui, sans-serif" font-size="18"
    fill="#ffffff" opacity=".85">straight from the disk, by X-Sendfile</text>
</svg>
"""


def write_files(folder: Path) -> None:
    """Put the files that the demo has sent by X-Sendfile into `folder`."""
    (folder / PICTURE).write_text(PICTURE_TEXT, "utf-8")
    lines = "".join(f"{number:>7}\n" for number in range(1, 131073))
    (folder / NUMBERS).write_text(lines, "ascii")


class ApplicationService(Service):
    """Serves the demo over SCGI on a UNIX socket while it runs.

    - `reactor`: provides `IReactorUNIX` and `IReactorTime`.
    - `listen`: where the gateway listens, for `configuration`.

    The folder (mode 0700) is made at once, so that a configuration can name what is in it, and is
    removed when the service stops, or with the process if it was never started. Raises OSError if
    there is no place for it.
    """

    def __init__(self, reactor: Any, listen: str = "127.0.0.1:8080") -> None:
        self._reactor = reactor
        self._folder = TemporaryDirectory(prefix="scgiproxy-demo-")  # mkdtemp: 0700
        self.files = Path(self._folder.name, "files")
        self.socket = Path(self._folder.name, "demo.sock")
        self.files.mkdir(mode=0o700)
        self.defines = {"LISTEN": listen, "FILES": str(self.files), "SOCKET": str(self.socket)}
        """What `DEMO_CONFIG` leaves open."""
        self.configuration = Template(DEMO_CONFIG).substitute(self.defines)
        self._factory: ScgiServerFactory | None = None
        self._port: Any = None

    def startService(self) -> None:
        """Write the files and listen. Raises CannotListenError if the socket cannot be made."""
        super().startService()  # type: ignore[no-untyped-call]
        write_files(self.files)
        root = build_demo(self.files, self._reactor, self.configuration)
        self._factory = ScgiServerFactory(
            root, reactor=self._reactor, max_body=MAX_BODY, parse_forms=False
        )
        self._port = self._reactor.listenUNIX(str(self.socket), self._factory, mode=0o600)

    def stopService(self) -> Deferred[None]:
        """Stop listening, break off what is being answered, and remove the folder."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        if self._factory is not None:
            self._factory.abort_connections()
        stopped: Deferred[None] = (
            succeed(None) if port is None else maybeDeferred(port.stopListening)
        )
        return stopped.addBoth(self._discard_after)

    def _discard_after(self, result: Any) -> Any:
        self.discard()
        return result

    def discard(self) -> None:
        """Remove the folder of a service that will not run."""
        self._folder.cleanup()


class DemoService(MultiService):
    """The demo and a gateway before it: all of ``twistd scgiproxy --demo``.

    `listen` is one word of a Listen directive. Raises `errors.ConfigError` if it is none.
    """

    def __init__(self, reactor: Any, listen: str = "127.0.0.1:8080") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.application = ApplicationService(reactor, listen)
        self.application.setServiceParent(self)  # type: ignore[no-untyped-call]
        try:
            config = load_text(DEMO_CONFIG, file_name="--demo", defines=self.application.defines)
        except ConfigError:
            self.application.discard()
            raise
        self.gateway = GatewayService(config, reactor)
        self.gateway.setServiceParent(self)  # type: ignore[no-untyped-call]
