"""Members that die and come back, under load: no request that may be repeated fails for it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.load import Load
from tests.e2e.processes import Address, Process, free_port, wait_until

pytestmark = pytest.mark.e2e

MEMBER = Path(__file__).parent / "apps" / "member.py"
TIMES = 10
CONNECTIONS = 12
"""What these lose at each kill is half of what may be repeated, also where all is slow."""
STREAMS = 4
SECONDS = 0.005
"""How long a member takes for an answer: so there is always something to cut off."""

both_kinds = pytest.mark.parametrize("kind", ["tcp", "unix"])


def member(name: str, address: Address, folder: Path) -> Process:
    """A member that is yet to be started."""
    where = str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"
    return Process(name, [sys.executable, MEMBER, where, str(SECONDS)], folder, address)


def url(address: Address) -> str:
    if isinstance(address, Path):
        return f"unix:{address}|scgi://{address.name}"
    return f"scgi://{address[0]}:{address[1]}"


class Members:
    """Two members, of which one may be killed, behind `gateway`."""

    def __init__(
        self, start_gateway: Callable[[str], Gateway], folder: Path, kind: str, more: str = ""
    ) -> None:
        addresses: list[Address] = [
            folder / f"{name}.sock" if kind == "unix" else ("127.0.0.1", free_port())
            for name in ("steady", "killed")
        ]
        lines = "\n".join(f'BalancerMember "{url(address)}" retry=1' for address in addresses)
        self.gateway = start_gateway(
            "LogLevel info\n"
            f"<Proxy balancer://app>\n{lines}\n{more}\n</Proxy>\n"
            "ProxyPass / balancer://app/\n"
        )
        self.steady, self.killed = (
            member(name, address, folder)
            for name, address in zip(("steady", "killed"), addresses, strict=True)
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.steady:
            self.killed.__enter__()
            try:
                yield
            finally:
                self.killed.stop()

    def kill_again_and_again(self) -> None:
        """Ten times, and each time it takes part again before the next."""
        for number in range(1, TIMES + 1):
            time.sleep(0.2)
            os.kill(self.killed.pid, signal.SIGKILL)
            wait_until(lambda: self.killed.has_ended, "it is dead")
            self.killed.stop()
            self.killed.__enter__()
            wait_until(
                lambda number=number: self.gateway.logged().count("backend.up:") >= number,
                f"it takes part for the {number + 1}. time",
            )


def is_number(body: bytes) -> bool:
    return body.endswith(b"\n") and body[:-1].isdigit()


@both_kinds
def test_a_member_is_killed_and_started_again(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, kind: str
) -> None:
    """Each and every request counts: it is answered with 200, and a body that is whole and right."""
    members = Members(start_gateway, tmp_path, kind)
    with members.running(), Load(members.gateway.port, CONNECTIONS, is_number) as load:
        members.kill_again_and_again()
        report = load.stop()
    log = members.gateway.logged()
    assert (dict(report.failures), report.cut_off) == ({}, 0), log[-4000:]
    assert report.answered > 1000
    assert log.count(" is in error, and tried again after 1 s") == TIMES
    # Requests were cut off, and their clients did not notice.
    assert "backend.repeated:" in log


@both_kinds
def test_answers_that_come_in_pieces(
    start_gateway: Callable[[str], Gateway], tmp_path: Path, kind: str
) -> None:
    """Only those break off that had begun, at most all that were under way; their clients notice.

    Counted as cut off are answers whose head had come, of the member that was killed. Nothing else
    may happen to a stream, and nothing at all to the other requests of that time.
    """
    members = Members(start_gateway, tmp_path, kind)
    with (
        members.running(),
        Load(members.gateway.port, STREAMS, b"0123456789".__eq__, "/stream") as streams,
        Load(members.gateway.port, CONNECTIONS - STREAMS, is_number) as load,
    ):
        members.kill_again_and_again()
        reports = [load.stop(), streams.stop()]
    log = members.gateway.logged()
    assert [dict(report.failures) for report in reports] == [{}, {}], log[-4000:]
    assert reports[0].cut_off == 0
    assert 0 < reports[1].cut_off <= TIMES * STREAMS
    assert log.count("backend.truncated: the backend closed after") == reports[1].cut_off
    assert reports[0].answered > 1000
    assert reports[1].answered > TIMES


def test_a_full_listen_queue_is_busy_and_not_down(
    start_gateway: Callable[[str], Gateway], tmp_path: Path
) -> None:
    """The requests go to the other member, each is told, and no member is in error for it."""
    path = tmp_path / "killed.sock"
    with ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(str(path)) == errno.EAGAIN:
                break
        members = Members(start_gateway, tmp_path, "unix")
        stack.enter_context(members.steady)
        with Load(members.gateway.port, 4, is_number) as load:
            wait_until(lambda: load.report.answered > 100, "a hundred answers")
            report = load.stop()
    assert (dict(report.failures), report.cut_off) == ({}, 0)
    log = members.gateway.logged()
    assert "is in error" not in log
    assert f"answers after the listen queue of unix:{path} is full (" in log
