"""A disk that is really full, and a folder that is really gone, under a gateway that runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway import Gateway, spool_files, twistd
from tests.e2e.http_client import Connection, ask
from tests.e2e.processes import wait_until
from tests.e2e.scripted import HELLO, ReadBody, ReadHead, ScriptedBackend, Send

pytestmark = pytest.mark.e2e

CHUNKED = b"POST /app/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
DONE = Send(b"Content-Length: 4\r\n\r\ndone")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount(8)")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _piece(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, bytes(size))


def _upload(gateway: Gateway, size: int) -> int:
    """The status. The answer may come before the last piece has been sent."""
    with Connection(gateway.http, 60) as connection:
        connection.send(CHUNKED)
        try:
            for _ in range(size // MIB):
                connection.send(_piece(MIB))
            connection.send(b"0\r\n\r\n")
        except OSError:
            pass
        return connection.read().status


def test_full_disk(small: Path, tmp_path: Path) -> None:
    """507 for the one that does not fit; another in progress goes on, and the room is free again."""
    with ScriptedBackend() as backend:
        backend.play((ReadHead(), ReadBody(keep=False), DONE))
        rule = f"SpoolDirectory {small}\nProxyPass /app/ {backend.url}/\n"
        with Gateway(tmp_path, rule, workers=1) as gateway:
            with Connection(gateway.http, 60) as other:
                other.send(CHUNKED + _piece(2 * MIB))
                wait_until(lambda: len(spool_files(gateway)) == 1, "it is on disk")
                assert _upload(gateway, 10 * MIB) == 507
                assert ask(gateway.http, b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
                wait_until(lambda: len(spool_files(gateway)) == 1, "the other file is gone")
                other.send(b"0\r\n\r\n")
                assert other.read().status == 200
            assert _upload(gateway, 7 * MIB) == 200
            wait_until(lambda: not spool_files(gateway), "all files are gone")
            told = [line for line in gateway.logged().splitlines() if "disk_full" in line]
            assert len(told) == 1
            assert f"could not be spooled in {small}: No space left on device" in told[0]


def test_largest_file(tmp_path: Path) -> None:
    """What a limit of the system on files makes of an upload (``ulimit -f``, LimitFSIZE=)."""
    with ScriptedBackend() as backend:
        backend.play(HELLO)
        folder = tmp_path / "spool"
        folder.mkdir()
        rule = f"SpoolDirectory {folder}\nProxyPass /app/ {backend.url}/\n"
        with Gateway(tmp_path, rule, workers=1) as gateway:
            limit = ["prlimit", f"--pid={gateway.pid}", f"--fsize={3 * MIB}"]
            subprocess.run(limit, check=True)
            assert _upload(gateway, 5 * MIB) == 507
            assert _upload(gateway, 2 * MIB) == 200
            wait_until(lambda: not spool_files(gateway), "all files are gone")


def test_folder_that_is_removed(tmp_path: Path) -> None:
    with ScriptedBackend() as backend:
        backend.play((ReadHead(), ReadBody(keep=False), DONE))
        folder = tmp_path / "spool"
        folder.mkdir()
        rule = f"SpoolDirectory {folder}\nProxyPass /app/ {backend.url}/\n"
        with Gateway(tmp_path, rule) as gateway:
            assert _upload(gateway, 2 * MIB) == 200
            folder.rmdir()
            assert _upload(gateway, 2 * MIB) == 503
            assert ask(gateway.http, b"GET /app/ HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
            told = f"gateway.spool: the body could not be spooled in {folder}"
            wait_until(lambda: told in gateway.logged(), "it is told why")
            folder.mkdir()
            assert _upload(gateway, 2 * MIB) == 200


def test_user_that_may_not_write_there(tmp_path: Path) -> None:
    """Root may, and starts it, and the user that it changes to may not: it does not start."""
    if os.getuid() != 0:
        pytest.skip("only root can change its user")
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    config = tmp_path / "gateway.conf"
    config.write_text(
        f"Listen unix:{tmp_path}/http\nProxyPass / scgi://127.0.0.1:1/\nSpoolDirectory {folder}\n"
    )
    done = subprocess.run(
        [
            *(twistd(), "-n", "--pidfile=", "--uid=65534", "--gid=65534"),
            *("scgiproxy", "--config", config),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    wanted = f"{config}:3: SpoolDirectory: '{folder}': no file can be made there: Permission denied"
    assert wanted in done.stderr.splitlines()
