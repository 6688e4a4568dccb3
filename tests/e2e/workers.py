"""Gateways with several workers, what is seen of them, and clients of one of them."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.gateway import Gateway
from tests.e2e.http_client import Connection
from tests.e2e.processes import wait_until

Start = Callable[..., Gateway]
"""``start(TEXT, workers=2, environment=None)``: a gateway whose workers all serve."""

MODULES = os.pathsep.join(
    [
        str(Path(__file__).parents[2]),
        *(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
    ]
)
"""Where the gateway and what it needs are, but for the standard library."""

BROKEN = """\
import os, sys
if "worker" in sys.orig_argv and os.path.exists({flag!r}):
    print("broken on purpose", file=sys.stderr, flush=True)
    os._exit(7)
"""
"""A module that Python imports at its start, before anything of the gateway."""


def serving(gateway: Gateway) -> int:
    """How many workers have ever begun to serve."""
    return len(re.findall(r"worker \d+ \(pid \d+\) serves", gateway.logged()))


def _state(pid: int) -> str:
    """A letter of proc_pid_stat(5); none of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    return _state(pid) not in ("", "Z")


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """These processes do nothing meanwhile."""
    with ExitStack() as stack:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
            wait_until(lambda pid=pid: _state(pid) == "T", f"{pid} is stopped")
        yield


def owner(gateway: Gateway, connection: Connection) -> int | None:
    """The worker that has a client's connection, by its process id; None before one has accepted
    it."""
    return owner_of(gateway, connection.socket.getsockname()[1])


def owner_of(gateway: Gateway, port: int) -> int | None:
    """The same for the client's connection from that port; None when it is closed, too."""
    wanted = f"0100007F:{gateway.port:04X} 0100007F:{port:04X}"
    # The kernel may tell a row twice, while others come and go.
    rows = [row for row in Path("/proc/net/tcp").read_text().splitlines() if wanted in row]
    inodes = {f"socket:[{row.split()[9]}]" for row in rows}
    for pid in gateway.worker_pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(fd.readlink()) in inodes:
                    return pid
            except OSError:
                continue
    return None


def connect(gateway: Gateway, pid: int) -> Connection:
    """A client's connection that this worker has accepted. The others are stopped meanwhile: who
    takes what, when all may, is the kernel's affair."""
    with stopped(other for other in gateway.worker_pids if other != pid):
        connection = Connection(gateway.http)
        wait_until(lambda: owner(gateway, connection) == pid, f"worker {pid} accepts")
    return connection
