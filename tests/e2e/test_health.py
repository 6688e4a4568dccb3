"""Members that fail and recover, with real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from scgiproxy.pool.condition import Condition
from tests.e2e.in_process import InProcess, until
from tests.e2e.scripted import AwaitEnd, ReadHead, ScriptedBackend, answer

pytestmark = pytest.mark.e2e

TEXT = b"Content-Type: text/plain\r\n\r\n"
Serve = Callable[[str], InProcess]


class Member:
    """A backend on a UNIX socket that can be stopped and started again; it answers its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"unix:{path}|scgi://{path.name}"
        self.backend: ScriptedBackend
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self.backend = self._running.enter_context(ScriptedBackend(self.path))
        self.backend.play(answer(TEXT + self.path.name.encode()))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[tuple[Member, Member]]:
    a, b = Member(tmp_path / "a"), Member(tmp_path / "b")
    yield a, b
    a.stop()
    b.stop()


@pytest_twisted.async_yield_fixture
async def serve() -> Any:
    """``serve(TEXT)`` is a gateway that runs."""
    running: list[InProcess] = []

    def start(text: str) -> InProcess:
        running.append(InProcess(text))
        return running[-1]

    yield start
    for gateway in running:
        await gateway.stop()


def balancer(*members: str, before: str = "") -> str:
    lines = "\n".join(f"BalancerMember {member}" for member in members)
    return f"{before}\nProxyPass / balancer://app/\n<Proxy balancer://app>\n{lines}\n</Proxy>"


@pytest_twisted.ensureDeferred
async def test_by_connecting(serve: Serve, members: tuple[Member, Member]) -> None:
    """To a UNIX socket: nothing is sent, requests go elsewhere meanwhile, and come back."""
    a, b = members
    gateway = serve(balancer(f'"{a.url}" hcmethod=TCP hcinterval=100ms', f'"{b.url}"'))
    first = gateway.members[0]
    await until(lambda: first.last_probe, lambda: first)
    assert first.last_probe is not None
    assert (first.last_probe.passed, first.last_probe.told) == (True, "connected")
    await until(lambda: a.backend.told and a.backend.told[0].is_over, lambda: a.backend.told)
    assert "EOFError" in a.backend.told[0].error
    assert {await gateway.get() for _ in range(2)} == {(200, "a"), (200, "b")}
    a.stop()
    await until(lambda: first.check_failed, lambda: first)
    assert f"nobody listens on unix:{a.path}" in first.last_probe.told
    assert {await gateway.get() for _ in range(4)} == {(200, "b")}
    assert first.errors == 0
    a.start()
    await until(lambda: not first.check_failed, lambda: first)
    assert {await gateway.get() for _ in range(4)} == {(200, "a"), (200, "b")}


@pytest_twisted.ensureDeferred
async def test_by_asking(serve: Serve, backend: ScriptedBackend) -> None:
    """In SCGI, over TCP; what counts is in the body."""
    backend.play(answer(TEXT + b"all is well"))
    gateway = serve(
        balancer(
            f"{backend.url}/app hcmethod=GET hcuri=/status?full hcexpr=works hcinterval=100ms",
            before="ProxyHCExpr works {hc('body') !~ /maintenance/}",
        )
    )
    (member,) = gateway.members
    await until(lambda: member.last_probe, lambda: member)
    asked = backend.requests()[0]
    assert (asked.get("REQUEST_METHOD"), asked.get("REQUEST_URI")) == ("GET", "/app/status?full")
    assert (asked.get("SCRIPT_NAME"), asked.get("QUERY_STRING")) == ("/app/status", "full")
    assert asked.get("HTTP_USER_AGENT") == "scgiproxy (health check)"
    assert asked.get("REMOTE_ADDR") == "127.0.0.1"
    assert await gateway.get() == (200, "all is well")
    backend.play(answer(TEXT + b"under ", b"maintenance"))
    await until(lambda: member.check_failed, lambda: member)
    status, _ = await gateway.get()
    assert status == 503
    # It goes on being asked, though no request goes there.
    backend.play(answer(TEXT + b"all is well"))
    await until(lambda: not member.check_failed, lambda: member)
    assert await gateway.get() == (200, "all is well")


@pytest_twisted.ensureDeferred
async def test_one_that_hangs(serve: Serve, backend: ScriptedBackend) -> None:
    """It takes connections, and never answers: one at a time, given up in time."""
    backend.play((ReadHead(), AwaitEnd()))
    gateway = serve(balancer(f"{backend.url} hcmethod=HEAD11 hcinterval=200ms hcfails=2"))
    (member,) = gateway.members
    await until(lambda: member.check_failed, lambda: member)
    assert member.last_probe is not None
    assert member.last_probe.told == "no answer within 0.2 s"
    assert [told.is_over for told in backend.told[:-1]] == [True] * (len(backend.told) - 1)
    backend.play(answer(b"Status: 204\r\n\r\n"))
    await until(lambda: not member.check_failed, lambda: member)


@pytest_twisted.ensureDeferred
async def test_one_that_is_back_is_found_early(
    serve: Serve, members: tuple[Member, Member]
) -> None:
    """Without any check, and long before its retry time; no client notices."""
    a, b = members
    gateway = serve(balancer(f'"{a.url}" retry=1h', f'"{b.url}"'))
    first = gateway.members[0]
    a.stop()
    assert [await gateway.get() for _ in range(2)] == [(200, "b")] * 2
    assert first.condition is Condition.DOWN
    a.start()
    await until(lambda: first.last_probe and first.last_probe.passed, lambda: first)
    assert {await gateway.get() for _ in range(4)} == {(200, "a"), (200, "b")}
    assert first.condition.value == "up"
