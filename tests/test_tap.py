"""The options of ``twistd scgiproxy``, and makeService."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService, IServiceMaker, MultiService
from twisted.plugin import getPlugins
from twisted.python import usage

from scgiproxy import __version__
from scgiproxy.config.model import Listener
from scgiproxy.demo.service import DemoService
from scgiproxy.errors import ConfigError
from scgiproxy.service.root import GatewayService
from scgiproxy.service.workers.parent import ParentService
from scgiproxy.tap import Options, load, makeService

MOUNT = ("--proxypass", "/ scgi://127.0.0.1/")


def parsed(*words: str) -> Options:
    options = Options()
    options.parseOptions(words)
    return options


def gateway(*words: str) -> Any:
    """The one service that twistd would run."""
    (service,) = makeService(parsed(*words))
    return service


def test_the_plugin() -> None:
    """Found by twistd, without importing anything that chooses a reactor."""
    (plugin,) = [p for p in getPlugins(IServiceMaker) if p.tapname == "scgiproxy"]
    assert plugin.module == "scgiproxy.tap"
    assert plugin.options is Options


def test_short_options(tmp_path: Path) -> None:
    options = parsed("-p", "/a scgi://a/", "-p", "/b scgi://b/", "-l", "81", "-l", "[::1]:82")
    assert options["proxypass"] == ["/a scgi://a/", "/b scgi://b/"]
    assert options["listen"] == ["81", "[::1]:82"]
    options = parsed("-c", "f.conf", "-D", "A", "-DB=1", "-D", "C=x=y")
    assert options["config"] == "f.conf"
    assert options["defines"] == {"A": "", "B": "1", "C": "x=y"}


def test_a_define_without_a_file_hides_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(usage.UsageError, match="--define goes with --config"):
        parsed("-D", "A", "-p", "/a http://h/", "-p", "b", "-l", "x")
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        "--proxypass:1",
        "--proxypass:2",
        "--listen:1",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected a configuration (--config), a mount (--proxypass) or --demo"),
        (("--config", ""), "expected a configuration"),
        (("--config", "f", *MOUNT), "--config and --proxypass cannot be used together"),
        (("--demo", *MOUNT), "--proxypass and --demo cannot be used together"),
        (("--config", "f", "--demo"), "--config and --demo cannot be used together"),
        (("--config", "f", "--listen", "80"), "--listen goes with --proxypass or --demo"),
        (("--demo", "-l", "80", "-l", "81"), "expected --listen only once"),
        (("--define", "A", *MOUNT), "--define goes with --config"),
        (("--define", "=1"), "--define '=1': expected NAME or NAME=VALUE"),
        (("--define", ""), "--define '': expected NAME or NAME=VALUE"),
        (("gateway.conf",), "unexpected 'gateway.conf'; a configuration goes with --config"),
        (
            ("--workers", "0", *MOUNT),
            "--workers: expected a number from 1 to 512, or auto, got '0'",
        ),
        (("-w", "two", *MOUNT), "--workers: expected a number from 1 to 512, or auto, got 'two'"),
        (("-w", "auto", "--demo"), "--demo is one process; --workers goes with --config or"),
        (("--nothing",), "option --nothing not recognized"),
        (("--config",), "option --config requires argument"),
    ],
)
def test_wrong_uses(words: tuple[str, ...], message: str) -> None:
    """UsageError for a program; for a user of twistd, one line and exit code 1."""
    with pytest.raises(usage.UsageError) as raised:
        parsed(*words)
    assert message in str(raised.value)
    options = Options()
    options.parent = usage.Options()
    with pytest.raises(SystemExit) as ended:
        options.parseOptions(words)
    assert ended.value.code == f"twistd scgiproxy: {raised.value} (--help tells more)"
    assert "\n" not in str(ended.value.code)


@pytest.mark.parametrize(
    ("line", "words", "workers"),
    [
        ("", (), 1),
        ("Workers 3", (), 3),
        ("Workers 3", ("--workers", "2"), 2),
        ("Workers 3", ("--workers", "AUTO"), None),
        ("Workers auto", ("-w", "1"), 1),
    ],
)
def test_how_many_workers(
    line: str, words: tuple[str, ...], workers: int | None, tmp_path: Path
) -> None:
    """The option wins; what is checked is what is started."""
    config = tmp_path / "f"
    config.write_text(f"Listen 81\n{line}\n")
    checked: list[int | None] = []
    options = parsed("-c", str(config), *words)
    loaded = load(options, lambda config: checked.append(config.workers))
    assert [loaded.workers, *checked] == [workers, workers]


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"scgiproxy {__version__}\n"


class TestCheck:
    def test_it_ends_the_process(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            parsed(*MOUNT, "--check")
        assert ended.value.code == 0
        assert capsys.readouterr() == ("Syntax OK\n", "")

    def test_notes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Are told and marked, whether there are errors or not."""
        config = tmp_path / "f"
        for more, code in (("", 0), ("<Location /x>\nSetHandler nobody\n</Location>\n", 1)):
            config.write_text(f"Listen 81\nOptions All\n{more}")
            with pytest.raises(SystemExit) as ended:
                parsed("-t", "-c", str(config))
            assert ended.value.code == code
            told = capsys.readouterr()
            assert told.out == ("" if code else "Syntax OK\n")
            note, *errors = told.err.splitlines()
            assert note.startswith(f"{config}:2: note: Options does nothing here")
            assert len(errors) == code

    def test_the_demo(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            parsed("--demo", "--check", "--listen", "nowhere")
        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith("--demo:1: Listen: no port in 'nowhere'")


class TestService:
    def test_several_processes(self) -> None:
        service = gateway(*MOUNT, "--workers", "2")
        assert isinstance(service, ParentService)

    def test_a_file(self, tmp_path: Path) -> None:
        config = tmp_path / "f"
        config.write_text("Listen 127.0.0.1:81\nServerName ${NAME}\n")
        service = gateway("-c", str(config), "-D", "NAME=example.org")
        assert isinstance(service, GatewayService)
        assert service.parts.config.main.server.name == b"example.org"

    def test_mounts(self) -> None:
        """Those of the command line listen on loopback unless told otherwise."""
        (listener,) = gateway(*MOUNT).parts.config.listeners
        assert (listener.address, listener.port) == ("127.0.0.1", 8080)
        listeners = gateway(*MOUNT, "-l", "unix:/run/a:mode=660", "-l", "81").parts.config.listeners
        assert [(each.endpoint, each.port) for each in listeners] == [
            ("unix:/run/a:mode=660", 0),
            ("", 81),
        ]

    @pytest.mark.parametrize("listen", [None, "127.0.0.1:81"])
    def test_the_demo(self, listen: str | None) -> None:
        service = gateway("--demo", *(("-l", listen) if listen else ()))
        assert isinstance(service, DemoService)
        listener: Listener = service.gateway.parts.config.listeners[0]
        assert f"{listener.address}:{listener.port}" == (listen or "127.0.0.1:8080")
        service.application.discard()

    def test_it_composes(self) -> None:
        """With any other service of an application."""
        other = MultiService()
        service = makeService(parsed(*MOUNT))
        service.setServiceParent(other)
        assert list(other) == [service]
        assert IService.providedBy(service)
        assert not service.running

    def test_a_file_with_errors(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Ends the process, telling what `--check` tells, about the parts too; `load` raises."""
        config = tmp_path / "f"
        config.write_text("Listen 81\nTimeout never\nOptions All\nSetHandler nobody\n")
        options = parsed("-c", str(config))
        with pytest.raises(ConfigError):
            load(options)
        with pytest.raises(SystemExit) as ended:
            makeService(options)
        assert ended.value.code == 1
        told = capsys.readouterr().err.splitlines()
        assert [line.partition(": ")[0] for line in told] == [f"{config}:{at}" for at in (2, 3, 4)]
        assert ": note: " in told[1]
        with pytest.raises(SystemExit):
            parsed("-t", "-c", str(config))
        assert capsys.readouterr().err.splitlines() == told

    def test_a_file_that_is_not_there(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            makeService(parsed("-c", str(tmp_path / "none")))
        assert capsys.readouterr().err.startswith(f"{tmp_path}/none: cannot read {tmp_path}/none: ")
