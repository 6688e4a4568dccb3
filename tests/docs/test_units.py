"""The example units: what they promise, as systemd itself sees it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.gateway import twistd
from tests.e2e.processes import missing

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (EXAMPLES / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_the_service() -> None:
    """Walls, what the gateway has to be told and to tell, and times that fit each other."""
    unit = settings("scgiproxy.service")
    for key, value in {
        "Type": "notify-reload",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "DynamicUser": "yes",
        "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
        "StateDirectory": "scgiproxy",
    }.items():
        assert unit[key] == [value]
    assert unit["SystemCallFilter"][0] == "@system-service"
    # GracefulShutdownTimeout is 30, and workers have some seconds more.
    assert int(unit["TimeoutStopSec"][0]) > 40


@pytest.mark.parametrize("name", ["ExecStart", "ExecStartPre"])
def test_the_commands(name: str, tmp_path: Path) -> None:
    (command,) = settings("scgiproxy.service")[name]
    config = tmp_path / "gateway.conf"
    config.write_text('Listen "systemd:domain=INET6:index=0"\n')
    words = command.replace("/opt/scgiproxy/bin/twistd", str(twistd()))
    words = words.replace("/etc/scgiproxy/gateway.conf", str(config))
    if name == "ExecStart":
        words += " --check"
    done = subprocess.run(words.split(), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Syntax OK\n", "")


def _analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        missing("systemd-analyze", "systemd")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60)


def _units(folder: Path) -> list[Path]:
    """As this system can read them: with an interpreter that is there, and for a systemd before 253
    as the unit says."""
    version = int(re.findall(r"systemd (\d+)", _analyze("--version").stdout)[0])
    made = []
    for name in ("scgiproxy.service", "scgiproxy.socket"):
        text = (EXAMPLES / name).read_text()
        if version < 253:
            older = "Type=notify\nExecReload=kill -HUP $MAINPID"
            text = text.replace("Type=notify-reload", older)
        file = folder / name
        file.write_text(text.replace("/opt/scgiproxy/bin/twistd", str(twistd())))
        made.append(file)
    return made


def test_systemd_has_no_complaint(tmp_path: Path) -> None:
    done = _analyze("verify", *_units(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_how_exposed_systemd_thinks_it_is(tmp_path: Path) -> None:
    service, _ = _units(tmp_path)
    done = _analyze("security", "--offline=true", "--no-pager", "--threshold=20", service)
    assert done.returncode == 0, done.stdout
