"""dnsmasq, a real name server, with records that a test may change."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which

from tests.e2e.processes import Process, free_port, missing, wait_until

_CONFIGURATION = """\
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts={hosts}
local=/example/
local-ttl={ttl}
log-queries
{lines}
"""


class Dnsmasq(Process):
    """The name server of the domain ``example``, on a free port of this machine, UDP and TCP.

    `ttl` is that of every record, in seconds. Names have no address until `set_addresses`.
    """

    def __init__(self, folder: Path, ttl: int = 1) -> None:
        # Debian puts it where a user's PATH may not lead.
        program = which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            missing("dnsmasq", "dnsmasq-base from Debian")
        self.port = free_port()
        self._ttl = ttl
        self._hosts = folder / "hosts"
        self._configuration = folder / "dnsmasq.conf"
        self._hosts.write_text("")
        self.configure()
        # In the foreground, as the user who started it, and without a pid file.
        command = [program, "--no-daemon", f"--conf-file={self._configuration}"]
        super().__init__("dnsmasq", command, folder, ("127.0.0.1", self.port))

    def configure(self, *lines: str) -> None:
        """Let these be the further lines of the configuration, from the next start on."""
        self._configuration.write_text(
            _CONFIGURATION.format(
                port=self.port, hosts=self._hosts, ttl=self._ttl, lines="\n".join(lines)
            )
        )

    def set_addresses(self, names: Mapping[str, Sequence[str]]) -> None:
        """Let these names have these addresses, and no others any: from now on."""
        self._hosts.write_text(
            "".join(f"{text} {name}\n" for name, texts in names.items() for text in texts)
        )
        if not self.has_ended:
            before = self._times_read()
            os.kill(self.pid, signal.SIGHUP)
            wait_until(lambda: self._times_read() > before, "dnsmasq reads its hosts again")

    def _times_read(self) -> int:
        return self.output.read_text().count(f"read {self._hosts} - ")
