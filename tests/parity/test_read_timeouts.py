"""Which RequestReadTimeout lines are right: Apache's check and ours."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from tests.e2e.processes import missing
from tests.parity.site import MODULES

pytestmark = pytest.mark.parity

RIGHT = [
    "header=20",
    "header=20-40,MinRate=500",
    "header=20-40,MinRate=500 body=20,MinRate=500",
    "handshake=5 header=10 body=30",
    "HEADER=0 Body=0",
    "body=10,minrate=1000",
    "header=10-30,MINRATE=1 header=5",
    "header=10-0,MinRate=5",
]
WRONG = [
    "header",
    "header=",
    "header=x",
    "header=-1",
    "header=20-40",
    "header=40-20,MinRate=500",
    "header=20-20,MinRate=500",
    "header=20,MinRate=0",
    "header=20,MinRate=-5",
    "header=20,MinRate=",
    "header=20,MinRate=x",
    "header=20-x,MinRate=5",
    "header=20s",
    "header=20;MinRate=500",
    "other=20",
    "20",
]
CONFIG = """\
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule reqtimeout_module {modules}/mod_reqtimeout.so
Listen 127.0.0.1:1
ServerName a.test
ServerRoot {folder}
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
{line}
"""


def apache_takes(line: str, folder: Path) -> bool:
    program = which("apache2") or which("apache2", path="/usr/sbin")
    if program is None or not (MODULES / "mod_reqtimeout.so").exists():
        missing("Apache httpd", "apache2 from Debian")
    config = folder / "httpd.conf"
    config.write_text(CONFIG.format(modules=MODULES, folder=folder, line=line))
    ran = subprocess.run(
        [program, "-t", "-f", config], capture_output=True, text=True, timeout=30, check=False
    )
    assert ("Syntax OK" in ran.stderr) == (ran.returncode == 0), ran.stderr
    assert ran.returncode == 0 or "RequestReadTimeout" in ran.stderr, ran.stderr
    return ran.returncode == 0


def gateway_takes(line: str) -> bool:
    try:
        load_text(f"{line}\nListen 8080\n", file_name="f", environment={})
    except ConfigError as error:
        return "f:1: RequestReadTimeout: " not in str(error)
    return True


@pytest.mark.parametrize("words", [*RIGHT, *WRONG])
def test_both_take_the_same(words: str, tmp_path: Path) -> None:
    line = f"RequestReadTimeout {words}"
    assert apache_takes(line, tmp_path) is gateway_takes(line) is (words in RIGHT)
