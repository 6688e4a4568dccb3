"""stunnel, which speaks TLS for an application that does not."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import which

from tests.certificates import Authority, Identity
from tests.e2e.processes import Process, free_port, missing

_CONFIGURATION = """\
foreground = yes
pid =
syslog = no
debug = info
[scgi]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
cert = {certificate}
{lines}
"""


class Stunnel(Process):
    """Takes TLS as `identity` on a free port of this machine, and passes what is in it to `backend`.

    `clients`: who has to have signed the certificates of those that connect.
    """

    def __init__(
        self,
        folder: Path,
        backend: int,
        identity: Identity,
        clients: Authority | None = None,
        name: str = "stunnel",
    ) -> None:
        program = which("stunnel4", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            missing("stunnel4", "stunnel4 from Debian")
        self.port = free_port()
        lines = ""
        if clients is not None:
            (folder / f"{name}-clients.pem").write_bytes(clients.certificate)
            lines = f"verifyChain = yes\nCAfile = {folder}/{name}-clients.pem"
        configuration = folder / f"{name}.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                port=self.port,
                backend=backend,
                certificate=identity.write(folder / f"{name}.pem"),
                lines=lines,
            )
        )
        super().__init__(name, [program, configuration], folder, ("127.0.0.1", self.port))

    @property
    def url(self) -> str:
        """For a configuration."""
        return f"scgis://localhost:{self.port}"
