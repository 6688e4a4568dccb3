"""Members that die and come back, under load: no request that may be repeated fails for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.load import Load
from tests.e2e.processes import Address, Process, free_port, wait_until

pytestmark = pytest.mark.e2e

MEMBER = Path(__file__).parent / "apps" / "member.py"
TIMES = 10
CONNECTIONS = 32
SECONDS = 0.005
"""How long a member takes for an answer: so there is always something to cut off."""


def member(name: str, address: Address, folder: Path) -> Process:
    """A member that is yet to be started."""
    where = str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"
    return Process(name, [sys.executable, MEMBER, where, str(SECONDS)], folder, address)


def url(address: Address) -> str:
    if isinstance(address, Path):
        return f"unix:{address}|scgi://{address.name}"
    return f"scgi://{address[0]}:{address[1]}"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_member_is_killed_and_started_again(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, kind: str
) -> None:
    """Ten times, and each time it takes part again before the next."""
    addresses: list[Address] = [
        tmp_path / f"{name}.sock" if kind == "unix" else ("127.0.0.1", free_port())
        for name in ("steady", "killed")
    ]
    members = "\n".join(f'BalancerMember "{url(address)}" retry=1' for address in addresses)
    gateway = start_gateway(
        f"LogLevel info\n<Proxy balancer://app>\n{members}\n</Proxy>\nProxyPass / balancer://app/\n"
    )
    with member("steady", addresses[0], tmp_path):
        killed = member("killed", addresses[1], tmp_path).__enter__()
        try:
            with Load(gateway.port, CONNECTIONS) as load:
                for number in range(1, TIMES + 1):
                    time.sleep(0.2)
                    os.kill(killed.pid, signal.SIGKILL)
                    wait_until(lambda: killed.has_ended, "it is dead")
                    killed.stop()
                    killed.__enter__()
                    wait_until(
                        lambda number=number: gateway.logged().count("backend.up:") >= number,
                        f"it takes part for the {number + 1}. time",
                    )
                report = load.stop()
        finally:
            killed.stop()
    log = gateway.logged()
    assert report.failures == "", log[-4000:]
    assert report.answered > 1000
    assert log.count(" is in error, and tried again after 1 s") == TIMES
    # Requests were cut off, and their clients did not notice.
    assert "backend.repeated:" in log
