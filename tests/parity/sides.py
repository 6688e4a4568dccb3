"""The two servers that are compared."""

from __future__ import annotations

from pathlib import Path
from shutil import which

from tests.e2e.gateway import GatewayProcess
from tests.e2e.processes import Process, free_port, missing
from tests.parity.case import APACHE
from tests.parity.site import MODULES


class Apache(Process):
    """Debian's Apache httpd, run in the foreground with nothing of Debian's configuration.

    The configuration finds the port, which is the only thing to differ, in the environment.
    """

    def __init__(self, config: Path, name: str = "apache") -> None:
        program = which("apache2") or which("apache2", path="/usr/sbin")
        if program is None or not (MODULES / "mod_proxy_scgi.so").exists():
            missing("Apache httpd", "apache2 from Debian")
        self.port = free_port()
        (config.parent / f"run-{self.port}").mkdir()
        command: list[str | Path] = [program, "-D", "FOREGROUND", "-D", APACHE, "-f", config]
        super().__init__(
            f"{name}-{config.stem}",
            command,
            config.parent,
            ("127.0.0.1", self.port),
            environment={"PORT": str(self.port)},
        )

    def said(self) -> str:
        """Its error log too."""
        log = self.folder / f"run-{self.port}" / "error.log"
        logged = log.read_bytes()[-4000:] if log.exists() else b""
        return super().said() + logged.decode(errors="backslashreplace")


def gateway(config: Path) -> GatewayProcess:
    """The gateway with the same file."""
    port = free_port()
    return GatewayProcess(config, port, f"gateway-{config.stem}", {"PORT": str(port)})


Side = Apache | GatewayProcess
