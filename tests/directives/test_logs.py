"""CustomLog, LogFormat, ErrorLog and LogLevel: the lines in the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway, answered

PROXY = "ProxyPass /app scgi://127.0.0.1:4000\n"
TIME = r"\[09/Sep/2001:\d\d:46:40 [+-]\d{4}\]"


def lines_of(gateway: ConfiguredGateway, path: Path) -> list[str]:
    """What has been written once the gateway has ended."""
    gateway.close()
    return path.read_text().splitlines() if path.exists() else []


@behaviour("CustomLog")
@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("common", ""),
        ("combined", ' "http://from\\.example/" "a \\\\"browser\\\\""'),
        ('"%h %l %u %t \\"%r\\" %>s %b"', ""),
    ],
)
def test_formats(configured: Configured, tmp_path: Path, words: str, more: str) -> None:
    """One line for each answer, whoever gave it, and also for what could not be read."""
    log = tmp_path / "access.log"
    gateway = configured(f"CustomLog {log} {words}\n{PROXY}")
    headers = ("Referer: http://from.example/", 'User-Agent: a "browser"')
    gateway.ask("/app/a%20b?q=1", *headers)
    gateway.ask("/nothing", *headers, method="HEAD")
    gateway.ask("/app", *headers, answer=answered("Content-Length: 0", status="204 No Content"))
    gateway.client().send(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
    good, missing, empty, bad = lines_of(gateway, log)
    assert re.fullmatch(
        rf'192\.0\.2\.7 - - {TIME} "GET /app/a%20b\?q=1 HTTP/1\.1" 200 5{more}', good
    )
    assert '"HEAD /nothing HTTP/1.1" 404 -' in missing
    assert '"GET /app HTTP/1.1" 204 -' in empty
    assert ' "-" 400 ' in bad


@behaviour("CustomLog", "LogFormat")
def test_places(configured: Configured, tmp_path: Path) -> None:
    """A host with logs of its own writes there alone; one without writes the main server's."""
    gateway = configured(
        f"""
        LogFormat "%h %l %u %t \\"%r\\" %>s %O" short
        LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{{Referer}}i\\" \\"%{{User-agent}}i\\"" long
        CustomLog {tmp_path}/main.log short
        {PROXY}
        <VirtualHost *>
          ServerName one.example
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          CustomLog {tmp_path}/two.log long
          CustomLog {tmp_path}/second.log common
        </VirtualHost>
        """
    )
    gateway.ask("/app/1", host="one.example")
    gateway.ask("/app/2", host="two.example")
    assert not gateway.notes
    (main,) = lines_of(gateway, tmp_path / "main.log")
    (long,) = lines_of(gateway, tmp_path / "two.log")
    (second,) = lines_of(gateway, tmp_path / "second.log")
    assert '"GET /app/1 HTTP/1.1" 200 5' in main
    assert '"GET /app/2 HTTP/1.1" 200 5 "-" "-"' in long
    assert second == long.removesuffix(' "-" "-"')


@behaviour("CustomLog", "ErrorDocument", "ProxySCGIInternalRedirect")
def test_one_line_for_one_request(configured: Configured, tmp_path: Path) -> None:
    """Redirects and error documents are the same request; its line is as the client sent it."""
    log = tmp_path / "access.log"
    gateway = configured(
        f"ErrorDocument 404 /app/missing\nProxySCGIInternalRedirect On\nCustomLog {log} common\n"
        + PROXY
    )
    gateway.ask("/nothing", method="POST", body=b"x", answer=answered(status=""))
    gateway.ask("/app", answer=[answered("Location: /app/2", status="", body=b""), HELLO])
    first, second = lines_of(gateway, log)
    assert first.endswith('"POST /nothing HTTP/1.1" 404 5')
    assert second.endswith('"GET /app HTTP/1.1" 200 5')


@behaviour("ErrorLog", "LogLevel")
@pytest.mark.parametrize(
    ("level", "backend", "client"),
    [
        ("", True, False),
        ("warn", True, False),
        ("error", False, False),
        ("info", True, True),
        ("debug", True, True),
    ],
)
def test_levels(
    configured: Configured, tmp_path: Path, level: str, backend: bool, client: bool
) -> None:
    """What a backend does wrong is a warning, what a client does is information."""
    log = tmp_path / "error.log"
    gateway = configured(f"ErrorLog {log}\n{f'LogLevel {level}' if level else ''}\n{PROXY}")
    gateway.down.add("127.0.0.1:4000")
    gateway.ask("/app")
    gateway.ask("/nothing")
    text = "\n".join(lines_of(gateway, log))
    assert ("127.0.0.1:4000" in text) is backend
    assert ("/nothing" in text) is client


@behaviour("ErrorLog", "LogLevel")
def test_error_logs_of_hosts(configured: Configured, tmp_path: Path) -> None:
    """Each host's own file and level, else the main server's; one line tells all of a failure."""
    gateway = configured(
        f"""
        ErrorLog {tmp_path}/main.log
        {PROXY}
        <VirtualHost *>
          ServerName one.example
          LogLevel error
        </VirtualHost>
        <VirtualHost *>
          ServerName two.example
          ErrorLog {tmp_path}/two.log
        </VirtualHost>
        <VirtualHost *>
          ServerName three.example
        </VirtualHost>
        """
    )
    for host in ("one", "two", "three"):
        gateway.ask(f"/app/{host}", host=f"{host}.example", answer=b"no head")
    (main,) = lines_of(gateway, tmp_path / "main.log")
    (two,) = lines_of(gateway, tmp_path / "two.log")
    assert "/app/three" in main
    assert "/app/two" in two
    for word in (
        "phase=",
        "backend=scgi://127.0.0.1:4000",
        "sent=",
        "received=7",
        "elapsed=",
        "no head",
    ):
        assert word in two, word


@behaviour("ErrorLog", "ServerRoot")
def test_files_below_server_root(configured: Configured, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    gateway = configured(
        f"ServerRoot {tmp_path}\nErrorLog logs/error.log\nCustomLog logs/access.log common\n{PROXY}"
    )
    gateway.ask("/app", answer=b"")
    assert len(lines_of(gateway, tmp_path / "logs" / "error.log")) == 1
    assert len(lines_of(gateway, tmp_path / "logs" / "access.log")) == 1
