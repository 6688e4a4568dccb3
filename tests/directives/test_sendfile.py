"""ProxySCGISendfile and XSendFilePath: a backend names a file, and the gateway sends it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, ConfiguredGateway, answered
from tests.web.answers import Log

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("root", "one", "two", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text(f"in {name}")
    (tmp_path / "one" / "link").symlink_to(tmp_path / "other" / "file.txt")
    (tmp_path / "one" / "deep").mkdir()
    (tmp_path / "one" / "deep" / "file.txt").write_text("deep")
    return tmp_path


def named(path: object, *more: str, header: str = "X-Sendfile", status: str = "200 OK") -> bytes:
    return answered(f"{header}: {path}", *more, status=status, body=b"not shown")


@behaviour("ProxySCGISendfile")
@pytest.mark.parametrize(
    ("line", "header", "sent"),
    [
        ("", "X-Sendfile", False),
        ("ProxySCGISendfile Off", "X-Sendfile", False),
        ("ProxySCGISendfile On", "X-Sendfile", True),
        ("ProxySCGISendfile on", "x-sendFILE", True),
        ("ProxySCGISendfile X-Send-Static", "X-Send-Static", True),
        ("ProxySCGISendfile X-Send-Static", "X-Sendfile", False),
        ("ProxySCGISendfile On", "X-Send-Static", False),
    ],
)
def test_which_header(
    configured: Configured, folder: Path, line: str, header: str, sent: bool
) -> None:
    """The header that is acted on, and X-Sendfile itself, never reach a client."""
    gateway = configured(f"{line}\nXSendFilePath {folder}/one\n{PROXY}")
    asked = gateway.ask(answer=named(folder / "one/file.txt", header=header))
    assert asked.body == (b"in one" if sent else b"not shown")
    assert asked["x-sendfile"] is None
    assert (asked["x-send-static"] is None) is (sent or header.lower() == "x-sendfile")


@behaviour("ProxySCGISendfile", "XSendFilePath")
def test_places(configured: Configured, folder: Path) -> None:
    """The innermost place says which header it is; folders are added from outside in."""
    gateway = configured(
        f"""
        ProxySCGISendfile X-Main
        XSendFilePath {folder}/root
        {PROXY}
        <VirtualHost *>
          ServerName main.example
        </VirtualHost>
        <VirtualHost *>
          ServerName host.example
          ProxySCGISendfile On
          XSendFilePath {folder}/one
          <Location /in>
            ProxySCGISendfile X-In
            XSendFilePath {folder}/two
          </Location>
          <Location /in/off>
            ProxySCGISendfile Off
          </Location>
        </VirtualHost>
        """
    )
    for host, path, header, folders in (
        ("main", "/", "X-Main", {"root"}),
        ("host", "/", "X-Sendfile", {"root", "one"}),
        ("host", "/in", "X-In", {"root", "one", "two"}),
        ("host", "/in/off", None, set()),
    ):
        for name in ("X-Main", "X-Sendfile", "X-In"):
            for each in ("root", "one", "two", "other"):
                answer = named(folder / each / "file.txt", header=name)
                asked = gateway.ask(path, host=f"{host}.example", answer=answer)
                if name != header:
                    assert asked.body == b"not shown"
                elif each in folders:
                    assert asked.body == f"in {each}".encode()
                else:
                    assert asked.status == 403


@behaviour("XSendFilePath", "ProxySCGISendfile", "DocumentRoot")
def test_without_a_path_it_is_document_root(configured: Configured, folder: Path) -> None:
    text = f"ProxySCGISendfile On\n{PROXY}"
    only_root = configured(f"DocumentRoot {folder}/root\n{text}")
    assert only_root.ask(answer=named(folder / "root/file.txt")).body == b"in root"
    assert only_root.ask(answer=named(folder / "one/file.txt")).status == 403
    other = configured(f"DocumentRoot {folder}/root\nXSendFilePath {folder}/one\n{text}")
    assert other.ask(answer=named(folder / "root/file.txt")).status == 403
    assert other.ask(answer=named(folder / "one/file.txt")).body == b"in one"
    nothing = configured(text)
    assert nothing.ask(answer=named(folder / "root/file.txt")).status == 403


@behaviour("XSendFilePath")
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("one/deep/file.txt", 200),
        ("one/nothing", 404),
        ("one/deep", 403),
        ("one/link", 403),
        ("one/../other/file.txt", 403),
        ("one/../one/file.txt", 403),
        ("onex/file.txt", 403),
        ("other/file.txt", 403),
        ("ONE/file.txt", 403),
        ("one/FILE.TXT", 404),
        ("one/%2e%2e/other/file.txt", 404),
        ("one/file.txt/", 404),
        ("one/..%2fother/file.txt", 404),
        ("one/fifo", 403),
        ("one/socket", 403),
        ("one/zero", 403),
        ("one/top/etc/passwd", 403),
        ("one/fd/0", 403),
    ],
)
def test_confinement(configured: Configured, folder: Path, name: str, status: int) -> None:
    """Only regular files in the folders, whatever the way that names them."""
    os.mkfifo(folder / "one" / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "one" / "socket"))
    (folder / "one" / "zero").symlink_to("/dev/zero")
    # These of the kernel lead where no path does.
    (folder / "one" / "top").symlink_to("/proc/self/root")
    (folder / "one" / "fd").symlink_to("/proc/self/fd")
    gateway = configured(f"ProxySCGISendfile On\nXSendFilePath {folder}/one\n{PROXY}")
    _check(gateway, f"{folder}/{name}", status)


@behaviour("XSendFilePath")
@pytest.mark.parametrize(
    "name", ["/etc/passwd", "//host/share", "one/file.txt", "", ".", "file:///x"]
)
def test_what_is_no_path_in_a_folder(configured: Configured, folder: Path, name: str) -> None:
    gateway = configured(f"ProxySCGISendfile On\nXSendFilePath {folder}/one\n{PROXY}")
    _check(gateway, name, 403)


def _check(gateway: ConfiguredGateway, name: str, status: int) -> None:
    """Neither the file nor its name is shown, and the log says why."""
    with Log() as log:
        asked = gateway.ask(answer=named(name))
    assert asked.status == status
    assert asked["x-sendfile"] is None
    assert asked.backends[-1].closed
    if status != 200:
        assert len(name) < 2 or name.encode() not in asked.client.received
        assert log.line().startswith(f"client.{'forbidden' if status == 403 else 'not_found'}: ")


@behaviour("XSendFilePath")
@pytest.mark.parametrize("name", ["one/fi\0le.txt", "one/file.txt\0.png"])
def test_a_name_with_a_nul(configured: Configured, folder: Path, name: str) -> None:
    """It is no header: that is the end of the whole answer."""
    gateway = configured(f"ProxySCGISendfile On\nXSendFilePath {folder}/one\n{PROXY}")
    assert gateway.ask(answer=named(f"{folder}/{name}")).status == 502


@behaviour("XSendFilePath")
def test_folder_that_is_replaced_or_removed(configured: Configured, folder: Path) -> None:
    """It is looked up by its name for each request: what is there now is sent."""
    (folder / "current").symlink_to("one")
    gateway = configured(f"ProxySCGISendfile On\nXSendFilePath {folder}/current\n{PROXY}")
    answer = named(folder / "current/file.txt")
    assert gateway.ask(answer=answer).body == b"in one"
    (folder / "new").symlink_to("two")
    (folder / "new").rename(folder / "current")
    assert gateway.ask(answer=answer).body == b"in two"
    (folder / "current").unlink()
    assert gateway.ask(answer=answer).status == 404


@behaviour("ProxySCGISendfile")
@pytest.mark.parametrize("line", ["", "ProxySCGISendfile On", "ProxySCGISendfile X-Accel-Redirect"])
@pytest.mark.parametrize("header", ["X-Accel-Redirect", "x-accel-redirect", "X-LIGHTTPD-send-file"])
def test_what_other_servers_call_it(
    configured: Configured, folder: Path, line: str, header: str
) -> None:
    """It reaches no client, and means something only if that is said."""
    gateway = configured(f"{line}\nXSendFilePath {folder}/one\n{PROXY}")
    asked = gateway.ask(answer=named(folder / "one/file.txt", header=header))
    assert asked[header.lower()] is None
    meant = line.lower().endswith(header.lower())
    assert asked.body == (b"in one" if meant else b"not shown")


@behaviour("ProxySCGISendfile")
def test_what_is_kept_and_what_is_added(configured: Configured, folder: Path) -> None:
    """The backend's status and headers, and of the file what it takes to cache and resume it."""
    gateway = configured(f"ProxySCGISendfile On\nXSendFilePath {folder}/one\n{PROXY}")
    more = ("Content-Type: a/b", "Content-Disposition: attachment", "Set-Cookie: a=1")
    whole = gateway.ask(answer=named(folder / "one/file.txt", *more))
    assert (whole["content-type"], whole["content-length"]) == ("a/b", "6")
    assert (whole["content-disposition"], whole["set-cookie"]) == ("attachment", "a=1")
    assert whole["last-modified"]
    assert whole["etag"]
    part = gateway.ask("/", "Range: bytes=3-", answer=named(folder / "one/file.txt", *more))
    assert (part.status, part.body, part["content-range"]) == (206, b"one", "bytes 3-5/6")
    fresh = gateway.ask(
        "/", f"If-None-Match: {whole['etag']}", answer=named(folder / "one/file.txt", *more)
    )
    assert fresh.status == 304
    wrong = gateway.ask(answer=named(folder / "one/file.txt", status="404 Not Found"))
    assert (wrong.status, wrong.body) == (404, b"in one")


@behaviour("ProxySCGISendfile", "ProxySCGIInternalRedirect")
def test_file_before_redirect(configured: Configured, folder: Path) -> None:
    gateway = configured(
        f"ProxySCGISendfile On\nProxySCGIInternalRedirect On\nXSendFilePath {folder}/one\n{PROXY}"
    )
    asked = gateway.ask(answer=named(folder / "one/file.txt", "Location: /elsewhere"))
    assert (asked.body, len(asked.attempts)) == (b"in one", 1)


@behaviour("ProxySCGISendfile", "Directory", "Require")
def test_directories_guard_files(configured: Configured, folder: Path) -> None:
    """A backend cannot hand out what <Directory> forbids to everybody."""
    gateway = configured(
        f"""
        ProxySCGISendfile On
        XSendFilePath {folder}/one
        <Directory {folder}/one/deep>
          Require all denied
        </Directory>
        {PROXY}
        """
    )
    assert gateway.ask(answer=named(folder / "one/file.txt")).status == 200
    assert gateway.ask(answer=named(folder / "one/deep/file.txt")).status == 403
    assert gateway.ask(answer=named(f"{folder}/one/./deep//file.txt")).status == 403


@behaviour("ProxySCGISendfile", "FilesMatch", "Require")
def test_names_guard_files(configured: Configured, folder: Path) -> None:
    """Nor what <Files> forbids, in all folders or in one."""
    gateway = configured(
        f"""
        ProxySCGISendfile On
        XSendFilePath {folder}/one
        <FilesMatch "^file">
          Require all denied
        </FilesMatch>
        <Directory {folder}/one/deep>
          <Files file.txt>
            Require all granted
          </Files>
        </Directory>
        {PROXY}
        """
    )
    assert gateway.ask(answer=named(folder / "one/file.txt")).status == 403
    assert gateway.ask(answer=named(folder / "one/deep/file.txt")).status == 200
