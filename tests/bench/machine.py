"""The machine and the versions that figures were measured with."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from tests.bench.servers import Server


def described(servers: Sequence[Server]) -> dict[str, str]:
    found = {
        "processor": processor(Path("/proc/cpuinfo").read_text()) or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return found | {server.name: server.version() for server in servers}


def processor(cpuinfo: str) -> str | None:
    """Its model, as /proc/cpuinfo has it."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1] if found else None
