"""Uploads that are kept before they are sent: where, how much of them, and what fails how."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.root import GatewayService
from scgiproxy.web.failurelog import MOST
from scgiproxy.wire.spool import MEMORY_SPOOL
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway, answered
from tests.web.answers import Log
from tests.web.harness import Client

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def _upload(gateway: ConfiguredGateway, size: int) -> Client:
    """The last piece of it is still to come."""
    client = gateway.client()
    client.send(CHUNKED + b"%x\r\n%b\r\n" % (size, bytes(size)))
    return client


def _finish(gateway: ConfiguredGateway, client: Client) -> int:
    client.send(b"0\r\n\r\n")
    gateway.settle()
    end = gateway.accept()
    length = int(end.variables["CONTENT_LENGTH"])
    end.answer(answered("Content-Length: 5"))
    gateway.settle()
    assert client.answer.status == 200
    return length


def _open_in(folder: Path) -> int:
    """How many files of that file system without a name this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            name = str(entry.readlink())
        except FileNotFoundError:
            continue
        found += name.startswith(str(folder)) and name.endswith("(deleted)")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "spool"
    made.mkdir()
    yield made
    assert _open_in(tmp_path) == 0


@behaviour("SpoolDirectory")
def test_folder(configured: Configured, folder: Path) -> None:
    gateway = configured(f"SpoolDirectory {folder}\n{PROXY}")
    client = _upload(gateway, 2 * MEMORY_SPOOL)
    assert _open_in(folder) == 1
    assert list(folder.iterdir()) == []
    assert _finish(gateway, client) == 2 * MEMORY_SPOOL
    assert _open_in(folder) == 0


@behaviour("SpoolDirectory")
def test_folder_that_is_removed_while_it_runs(configured: Configured, folder: Path) -> None:
    """The uploads that are there already go on, new ones are 503, small ones are not concerned."""
    gateway = configured(f"SpoolDirectory {folder}\n{PROXY}")
    before = _upload(gateway, 2 * MEMORY_SPOOL)
    folder.rmdir()
    with Log() as log:
        refused = _upload(gateway, 2 * MEMORY_SPOOL)
    assert refused.answer.status == 503
    assert refused.answer["retry-after"] is None
    assert f"gateway.spool: the body could not be spooled in {folder}: No such" in log.line()
    assert "phase=spool" in log.line()
    small = _upload(gateway, 1000)
    assert _finish(gateway, small) == 1000
    assert _finish(gateway, before) == 2 * MEMORY_SPOOL
    folder.mkdir()
    assert _finish(gateway, _upload(gateway, 2 * MEMORY_SPOOL)) == 2 * MEMORY_SPOOL
    assert (gateway.parts.spool_space.bodies, gateway.parts.spool_space.bytes) == (0, 0)


@behaviour("SpoolDirectory")
def test_failures_by_the_dozen_are_told_by_their_number(
    configured: Configured, folder: Path
) -> None:
    gateway = configured(f"SpoolDirectory {folder}\n{PROXY}")
    folder.rmdir()
    with Log() as log:
        for _ in range(MOST + 5):
            assert _upload(gateway, 2 * MEMORY_SPOOL).answer.status == 503
        gateway.advance(2)
    told = [event for event in log.events if event["log_level"].name == "warn"]
    assert len(told) == MOST + 1
    assert told[-1]["count"] == 5


@behaviour("SpoolDirectory")
def test_resource_gets_no_upload_either(configured: Configured, folder: Path) -> None:
    gateway = configured(
        f"SpoolDirectory {folder}\n<Location />\nSetHandler server-status\n"
        "Require all granted\n</Location>\n"
    )
    folder.rmdir()
    assert _upload(gateway, 2 * MEMORY_SPOOL).answer.status == 503


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
@behaviour("SpoolDirectory")
def test_folder_that_cannot_be_written_is_an_error(configured: Configured, folder: Path) -> None:
    folder.chmod(0o500)
    with pytest.raises(
        ConfigError, match=r"f:1: SpoolDirectory: .* cannot be written by this user"
    ):
        configured(f"SpoolDirectory {folder}\n{PROXY}")


def test_folder_that_this_user_cannot_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As told by the system; a check shows it."""
    monkeypatch.setattr(os, "access", lambda path, _: path != str(folder))
    config = load_text(f"{PROXY}SpoolDirectory {folder}\nListen 1\n", file_name="f")
    with pytest.raises(ConfigError) as failed:
        GatewayParts(config, MemoryReactorClock())
    (problem,) = failed.value.problems
    assert str(problem) == (f"f:2: SpoolDirectory: '{folder}': it cannot be written by this user")


def test_folder_that_takes_no_file_at_the_start(folder: Path) -> None:
    """As the user that the gateway runs as: the line is told, and nothing is served."""
    config = load_text(f"{PROXY}SpoolDirectory {folder}\nListen 1\n", file_name="f", environment={})
    reactor: Any = MemoryReactorClock()
    service = GatewayService(config, reactor)
    folder.rmdir()
    service.privilegedStartService()
    with pytest.raises(ConfigError) as failed:
        service.startService()
    assert str(failed.value) == (
        f"f:2: SpoolDirectory: '{folder}': no file can be made there: No such file or directory"
    )
    assert not service.running


@behaviour("SpoolMaxTotal")
def test_total(configured: Configured, folder: Path) -> None:
    """Who comes too much is told to come again; room is there as soon as another is done."""
    gateway = configured(f"SpoolDirectory {folder}\nSpoolMaxTotal 3M\n{PROXY}")
    first = _upload(gateway, 2 << 20)
    with Log() as log:
        second = _upload(gateway, 2 << 20)
    assert second.answer.status == 503
    assert second.answer["retry-after"] == "10"
    assert second.answer["connection"] == "close"
    assert "gateway.spool_full" in log.line()
    assert _open_in(folder) == 1
    assert _finish(gateway, first) == 2 << 20
    assert _finish(gateway, _upload(gateway, 2 << 20)) == 2 << 20


@behaviour("SpoolMaxTotal")
def test_upload_that_never_fits(configured: Configured, folder: Path) -> None:
    gateway = configured(f"SpoolDirectory {folder}\nSpoolMaxTotal 2M\n{PROXY}")
    client = _upload(gateway, 3 << 20)
    assert client.answer.status == 413
    assert "retry-after" not in dict(client.answer.headers)
    assert gateway.parts.spool_space.bytes == 0


@behaviour("SpoolMaxTotal")
def test_no_limit(configured: Configured) -> None:
    gateway = configured(f"SpoolMaxTotal 0\n{PROXY}")
    assert gateway.parts.spool_space.most == 0
    assert _finish(gateway, _upload(gateway, 2 << 20)) == 2 << 20


@behaviour("SpoolMaxTotal")
def test_memory_does_not_count(configured: Configured) -> None:
    gateway = configured(f"SpoolMaxTotal 1\n{PROXY}")
    assert _finish(gateway, _upload(gateway, 1000)) == 1000
