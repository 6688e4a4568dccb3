"""The table of phases and faults, on sockets: a gateway as a process, and a scripted backend."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.certificates import authority
from tests.e2e.gateway import Gateway, open_files
from tests.e2e.http_client import Connection, Response, ask
from tests.e2e.processes import free_port, wait_until
from tests.e2e.scripted import (
    Action,
    AwaitEnd,
    HalfClose,
    Pause,
    ReadBody,
    ReadHead,
    Reset,
    Script,
    ScriptedBackend,
    Send,
    Wait,
)
from tests.e2e.stunnel import Stunnel
from tests.faults.table import (
    CLOSES,
    CONNECTING,
    FAULTS,
    GET,
    HALF_CLOSES,
    LEAVES,
    OTHER,
    PHASES,
    RESETS,
    STREAM,
    Acts,
    Outcome,
    Phase,
    outcome,
)
from tests.fuzz.heads import read
from tests.soak.readings import busy

pytestmark = pytest.mark.e2e

TIMEOUT = 1.0
"""Seconds for the backend."""
DRIBBLE = 0.1
"""Seconds between two bytes: ten in that time, as in memory."""

METRICS = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CLOSING = b"\r\nConnection: close\r\n\r\n"
GOOD = (ReadHead(), ReadBody(), Send(b"Status: 200 OK\r\n\r\n" + OTHER))


class Unreachable:
    """Ports on which no connection comes up: one that refuses, and one whose queue is full."""

    def __init__(self) -> None:
        self.refusing = free_port()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.full: int = self._listener.getsockname()[1]
        self._waiting = [socket.socket() for _ in range(3)]
        for each in self._waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", self.full))

    def close(self) -> None:
        for each in (*self._waiting, self._listener):
            each.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, ScriptedBackend]]:
    """A gateway before one backend with ``max=1``: what were not released would show. Behind
    ``/member`` there is another member, which is well."""
    with ExitStack() as stack:
        backend, other = (stack.enter_context(ScriptedBackend()) for _ in range(2))
        unreachable = stack.enter_context(closing(Unreachable()))
        other.play(GOOD)
        text = f"""
            ProxyPass /x {backend.url}/ timeout={TIMEOUT:g} max=1
            ProxyPass /member balancer://b/
            <Proxy balancer://b>
                BalancerMember {backend.url} timeout={TIMEOUT:g} max=1 retry=0
                BalancerMember {other.url} timeout={TIMEOUT:g} status=+H
            </Proxy>
            ProxyPass /refusing scgi://127.0.0.1:{unreachable.refusing}/ timeout={TIMEOUT:g}
            ProxyPass /full scgi://127.0.0.1:{unreachable.full}/ timeout={TIMEOUT:g}
            <Location /metrics>
                SetHandler metrics
            </Location>
        """
        folder: Path = tmp_path_factory.mktemp("faults")
        gateway = stack.enter_context(Gateway(folder, text))
        yield gateway, backend


@pytest.fixture(scope="module")
def through_tls(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Gateway, ScriptedBackend]]:
    """A gateway before a backend behind stunnel."""
    folder: Path = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(authority().certificate)
    with (
        ScriptedBackend() as backend,
        Stunnel(folder, backend.port, authority().issue("localhost")) as stunnel,
    ):
        text = f"""
            SSLProxyCACertificateFile {folder}/ca.pem
            ProxyPass /x {stunnel.url}/ timeout={TIMEOUT:g} max=1
            <Location /metrics>
                SetHandler metrics
            </Location>
        """
        with Gateway(folder, text) as gateway:
            yield gateway, backend


def script(phase: Phase, acts: Acts, released: threading.Event) -> Script:
    """What the backend does: it comes to the phase, and then goes wrong when the test says so."""
    actions: list[Action] = []
    if phase.reads and phase is not CONNECTING:
        actions.append(ReadHead())
        sent = phase.asked.partition(b"\r\n\r\n")[2]
        if phase.uploads and sent:
            actions.append(ReadBody(5 if phase.rest else 10))
    if phase.answered:
        actions.append(Send(phase.answered))
    actions.append(Wait(released))
    for piece in acts.pieces:
        actions.append(Send(piece))
        if acts.dribbles:
            actions.append(Pause(DRIBBLE))
    if acts.ends == HALF_CLOSES:
        actions += [HalfClose(), AwaitEnd()]
    elif acts.ends == RESETS:
        actions.append(Reset())
    elif acts.ends != CLOSES:
        actions.append(AwaitEnd())
    elif not phase.reads or phase is CONNECTING:
        # Who closes with bytes unread resets.
        actions += [ReadHead(), ReadBody()]
    return actions


def _exchange(
    gateway: Gateway, phase: Phase, acts: Acts, backend: ScriptedBackend, path: bytes = b"/x"
) -> Response:
    released = threading.Event()
    backend.play(script(phase, acts, released))
    asked = phase.asked.replace(b"/x", path)
    reaches = phase is not CONNECTING or bool(acts.pieces)
    if phase is CONNECTING and not acts.pieces:
        asked = GET.replace(b"/x", b"/refusing" if acts.ends in LEAVES else b"/full")
    with Connection(gateway.http) as connection:
        connection.send(asked.replace(b"\r\n\r\n", CLOSING, 1))
        if reaches:
            wait_until(lambda: backend.told, "the backend is connected to")
            told = backend.told[0]
            if phase.reads and phase is not CONNECTING:
                wait_until(lambda: told.has_head, "the block has come")
            wait_until(lambda: told.sent >= len(phase.answered), "the answer has come so far")
        if read(phase.answered).complete:
            wait_until(lambda: _has_got(connection, phase), "the client has the answer so far")
        # As long as the client is to send, a backend is not waited for.
        is_slow = acts.dribbles or not (acts.pieces or acts.ends in LEAVES)
        if is_slow:
            connection.send(phase.rest)
        released.set()
        return connection.read()


def _has_got(connection: Connection, phase: Phase) -> bool:
    """Whether the answer's head is there, and what there was of its body. A reset may overtake what a
    process in between has not read."""
    try:
        got = connection.socket.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return read(phase.answered).body in got


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_what_comes_of_it(
    served: tuple[Gateway, ScriptedBackend], phase: Phase, fault: str
) -> None:
    """As in memory; and no descriptor is left, nor anything that the metrics count."""
    _check(served, phase, fault, b"/x", outcome(phase, fault))


@pytest.mark.parametrize("fault", ["hangs", "resets", "closes", "half-closes"])
@pytest.mark.parametrize(
    "phase",
    [phase for phase in PHASES if phase is not CONNECTING and not phase.uploads],
    ids=lambda phase: phase.name,
)
def test_of_a_member(served: tuple[Gateway, ScriptedBackend], phase: Phase, fault: str) -> None:
    """Beside which there is another one."""
    _check(served, phase, fault, b"/member", outcome(phase, fault, has_another=True))


@pytest.mark.parametrize("fault", ["hangs", "resets", "closes", "half-closes", "sends garbage"])
@pytest.mark.parametrize(
    "phase",
    [phase for phase in PHASES if phase is not CONNECTING and not phase.rest],
    ids=lambda phase: phase.name,
)
def test_through_tls(
    through_tls: tuple[Gateway, ScriptedBackend], phase: Phase, fault: str
) -> None:
    """With stunnel between them, which makes an orderly end of a reset: only a length tells then."""
    seen = "closes" if fault == "resets" and phase.answered.startswith(STREAM) else fault
    _check(through_tls, phase, fault, b"/x", outcome(phase, seen))


def _check(
    served: tuple[Gateway, ScriptedBackend],
    phase: Phase,
    fault: str,
    path: bytes,
    expected: Outcome,
) -> None:
    gateway, backend = served
    before = set(open_files(gateway))
    logged = len(gateway.logged())
    acts = FAULTS[fault](phase)
    response = _exchange(gateway, phase, acts, backend, path)
    assert (response.status, response.complete) == (expected.status, expected.whole)
    assert expected.body is None or response.body == expected.body
    if expected.keys:
        wait_until(
            lambda: any(key in gateway.logged()[logged:] for key in expected.keys),
            f"the log has one of {expected.keys}",
        )
    # Also the next one that waits for the only place.
    backend.play(GOOD)
    request = GET.replace(b"/x", path).replace(b"\r\n\r\n", CLOSING)
    assert ask(gateway.http, request).body == OTHER
    wait_until(lambda: not busy(ask(gateway.http, METRICS).text), "nothing is under way")
    wait_until(lambda: set(open_files(gateway)) <= before, "every descriptor is closed")
