"""BalancerPersist with a process that is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.service.statefile import StateFile
from tests.e2e.gateway import GatewayProcess, twistd
from tests.e2e.http_client import ask
from tests.e2e.processes import free_port, wait_until
from tests.e2e.scripted import ScriptedBackend, answer

pytestmark = pytest.mark.e2e

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STATE = "scgiproxy-app-balancers.json"

APPLICATION = """
    import json
    from pathlib import Path

    from twisted.application.service import Application
    from twisted.internet import reactor
    from twisted.internet.task import LoopingCall

    from scgiproxy.config.load import load_file
    from scgiproxy.rules.changes import member_change
    from scgiproxy.service.root import GatewayService

    gateway = GatewayService(load_file("app.conf"), reactor)
    application = Application("changed")
    gateway.setServiceParent(application)

    def look():
        wanted = Path("wanted")
        if wanted.exists():
            balancer = gateway.parts.balancing.managed["app"]
            for label, fields in json.loads(wanted.read_text()):
                if not any(one.label == label for one in balancer.pool.backends):
                    balancer.add(label)
                balancer.change_member(balancer.member(label), member_change(fields))
            wanted.unlink()

    LoopingCall(look).start(0.02)
"""


class Changed(GatewayProcess):
    """A gateway as an application of its own; `change` has it change its members."""

    def __init__(self, folder: Path) -> None:
        (folder / "app.tac").write_text(textwrap.dedent(APPLICATION))
        super().__init__(
            folder / "app.conf", int((folder / "port").read_text()), "gateway", workers=1
        )
        start = [twistd(), "-n", "--pidfile=", f"--logfile={self.log}", "-y", "app.tac"]
        self.command = [str(word) for word in start]

    def change(self, *wanted: tuple[str, dict[str, str]]) -> None:
        new = self.folder / "wanted.new"
        new.write_text(json.dumps(wanted))
        new.rename(self.folder / "wanted")

    def get(self) -> str:
        return ask(self.http, GET).text

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: self.has_ended, "its end")


@pytest.fixture
def backends() -> Iterator[list[ScriptedBackend]]:
    made = [ScriptedBackend() for _ in range(3)]
    for name, one in zip("abc", made, strict=True):
        one.__enter__()
        one.play(answer(b"Content-Type: text/plain\r\n\r\n" + name.encode()))
    yield made
    for one in made:
        one.__exit__(None, None, None)


def test_a_gateway_that_is_killed(tmp_path: Path, backends: list[ScriptedBackend]) -> None:
    """What was changed is there again, with who was added, and what was counted goes on."""
    a, b, c = (one.url for one in backends)
    port = free_port()
    (tmp_path / "port").write_text(str(port))
    (tmp_path / "app.conf").write_text(
        f"Listen 127.0.0.1:{port}\nDefaultRuntimeDir {tmp_path}\nBalancerPersist On\n"
        "ProxyPass / balancer://app/\n<Proxy balancer://app>\n"
        f"BalancerMember {a}\nBalancerMember {b}\nProxySet growth=1\n</Proxy>\n"
    )
    state = tmp_path / STATE

    def members() -> Any:
        return json.loads(state.read_text())["balancers"]["app"]["members"]

    with Changed(tmp_path) as gateway:
        assert "".join(gateway.get() for _ in range(4)) == "abab"
        gateway.change((a, {"w_status_D": "1"}), (c, {"w_status_D": "0", "w_lf": "2"}))
        wait_until(lambda: state.exists() and c in members(), "the state in the file")
        assert state.stat().st_mode & 0o777 == 0o600
        gateway.kill()
    with Changed(tmp_path) as gateway:
        assert sorted(gateway.get() for _ in range(6)) == list("bbcccc")
        os.kill(gateway.pid, signal.SIGTERM)
        wait_until(lambda: gateway.has_ended, "the gateway's end")
    assert [members()[url]["counters"]["elected"] for url in (a, b, c)] == [2, 4, 4]
    assert members()[c]["changed"] == {"w_status_D": "0", "w_lf": "2"}


WRITER = """
    import sys
    from pathlib import Path

    from scgiproxy.service.statefile import StateFile

    file = StateFile(Path(sys.argv[1]))
    while True:
        for digit in b"0123456789":
            file.write(bytes([digit]) * 300_000)
"""


def test_a_write_that_is_killed(tmp_path: Path) -> None:
    """At any moment: the file is the old one or the new one, whole."""
    file = StateFile(tmp_path / "state")
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), file.path])
        try:
            before = file.read()
            wait_until(lambda before=before: file.read() != before, "a write")
            time.sleep(random.uniform(0, 0.05))
        finally:
            writer.kill()
            writer.wait()
        data = file.read()
        assert data is not None
        assert data == data[:1] * 300_000
