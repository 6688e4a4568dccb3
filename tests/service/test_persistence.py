"""BalancerPersist: when the file is written, what it is taken for, and what a full disk does."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from scgiproxy.log.events import gateway_events
from scgiproxy.pool.backend import Backend
from scgiproxy.rules.changes import balancer_change, member_change
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.root import GatewayService
from scgiproxy.service.statefile import StateFile

NAME = "scgiproxy-gw-balancers.json"


class Threads(MemoryReactorClock):  # type: ignore[misc]
    """A reactor whose threads do at once what they are given, or when `go` is called."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], object]] | None = None

    def getThreadPool(self) -> Any:
        return self

    def callInThreadWithCallback(self, called: Any, function: Any, *words: Any) -> None:
        def work() -> None:
            try:
                result = function(*words)
            except Exception:
                called(False, Failure())
            else:
                called(True, result)

        if self.held is None:
            work()
        else:
            self.held.append(work)

    def callFromThread(self, function: Any, *words: Any, **named: Any) -> None:
        function(*words, **named)

    def go(self) -> None:
        assert self.held is not None
        self.held.pop(0)()


class Gateway:
    """The parts for a configuration with one balancer of two members; they have been started."""

    def __init__(self, folder: Path, text: str = "", file: str = "/etc/gw.conf") -> None:
        self.text = (
            f"Listen 127.0.0.1:81\nDefaultRuntimeDir {folder}\nBalancerPersist On\n"
            "ProxyPass / balancer://b/\n"
            "<Proxy balancer://b>\nBalancerMember scgi://127.0.0.1:1\n"
            f"BalancerMember scgi://127.0.0.1:2\nProxySet growth=2\n</Proxy>\n{text}"
        )
        self.reactor = Threads()
        self.path = folder / NAME
        config = load_text(self.text, file_name=file, environment={})
        self.parts = GatewayParts(config, self.reactor)
        self.persistence = self.parts.persistence

    def start(self) -> Gateway:
        self.persistence.start()
        return self

    def member(self, number: int = 1, balancer: str = "b") -> Backend:
        return self.parts.balancing.managed[balancer].member(f"scgi://127.0.0.1:{number}")

    def change(self, number: int = 1, balancer: str = "b", **fields: str) -> None:
        change = member_change({f"w_{name}": word for name, word in fields.items()})
        managed = self.parts.balancing.managed[balancer]
        managed.change_member(self.member(number, balancer), change)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.persistence.stop())

    @property
    def file(self) -> Any:
        return json.loads(self.path.read_text()) if self.path.exists() else None

    @property
    def changed(self) -> Any:
        """What the file has of the first member."""
        members = self.file["balancers"]["b"]["members"]
        return members["scgi://127.0.0.1:1"]["changed"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def make(*words: Any, **named: Any) -> Gateway:
        made.append(Gateway(named.pop("folder", tmp_path), *words, **named))
        return made[-1]

    yield make
    for one in made:
        one.persistence.release()
        assert one.reactor.getDelayedCalls() == []


@pytest.fixture
def told() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> bool:
        text = f"{event['log_level'].name}: {formatEvent(event)}"
        if "balancer.restore" in text or "balancer.persist" in text:
            lines.append(text)
        return False

    gateway_events.add(observe)
    yield lines
    gateway_events.remove(observe)


Make = Callable[..., Gateway]


class TestWhen:
    def test_soon_after_a_change(self, gateway: Make) -> None:
        """And once for several of them."""
        one = gateway().start()
        one.change(lf="2")
        one.reactor.advance(0.75)
        one.change(ls="3")
        assert one.file is None
        one.reactor.advance(0.25)
        assert one.changed == {"w_lf": "2", "w_ls": "3"}

    def test_every_minute_if_something_was_counted(self, gateway: Make) -> None:
        one = gateway().start()
        one.reactor.advance(60)
        first = one.path.stat()
        one.reactor.advance(60)
        assert one.path.stat().st_ino == first.st_ino
        one.member().elected += 1
        one.reactor.advance(60)
        member = one.file["balancers"]["b"]["members"]["scgi://127.0.0.1:1"]
        assert member["counters"]["elected"] == 1

    def test_at_the_end(self, gateway: Make) -> None:
        one = gateway().start()
        one.change(lf="2")
        assert one.stop().called
        assert one.changed == {"w_lf": "2"}

    def test_one_write_at_a_time(self, gateway: Make) -> None:
        """A change meanwhile is written after it; the end waits for both."""
        one = gateway().start()
        one.reactor.held = []
        one.change(lf="2")
        one.reactor.advance(1)
        one.change(lf="3")
        one.reactor.advance(1)
        assert len(one.reactor.held) == 1
        one.reactor.go()
        assert (one.changed, len(one.reactor.held)) == ({"w_lf": "2"}, 1)
        one.change(lf="4")
        stopped = one.stop()
        one.reactor.go()
        assert (one.changed, stopped.called) == ({"w_lf": "3"}, False)
        one.reactor.go()
        assert (one.changed, stopped.called) == ({"w_lf": "4"}, True)

    def test_never_without_it(self, gateway: Make, tmp_path: Path) -> None:
        one = gateway("BalancerPersist Off\n").start()
        one.change(lf="2")
        one.reactor.advance(100)
        assert one.stop().called
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_touched_before_the_start(self, gateway: Make, tmp_path: Path) -> None:
        gateway()
        assert list(tmp_path.iterdir()) == []


class TestRestart:
    def test_what_was_changed_is_there(self, gateway: Make) -> None:
        first = gateway().start()
        first.change(lf="2")
        managed = first.parts.balancing.managed["b"]
        managed.change(balancer_change({"b_tmo": "3"}))
        managed.add("scgi://127.0.0.1:3")
        first.member().elected = 7
        first.stop()
        second = gateway().start()
        member = second.member()
        assert (member.full_factor, member.elected) == (200, 7)
        assert second.parts.balancing.managed["b"].pool.settings.wait == 3
        assert second.member(3).disabled

    def test_the_same_service_again(self, tmp_path: Path) -> None:
        """It has what it had; nothing is taken up twice."""
        text = (
            f"Listen 127.0.0.1:81\nDefaultRuntimeDir {tmp_path}\nBalancerPersist On\n"
            "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://127.0.0.1:1\n"
        )
        reactor = Threads()
        service = GatewayService(load_text(text, file_name="gw.conf", environment={}), reactor)
        managed = service.parts.balancing.managed["b"]
        (member,) = managed.pool.backends
        for number in (1, 2):
            service.startService()
            member.elected += 1
            managed.change_member(member, member_change({"w_ls": str(number)}))
            stopped = service.stopService()
            while not stopped.called:
                reactor.advance(0.05)
            saved = json.loads((tmp_path / NAME).read_text())["balancers"]["b"]["members"]
            assert saved["scgi://127.0.0.1:1"]["counters"]["elected"] == number
            assert saved["scgi://127.0.0.1:1"]["changed"] == {"w_ls": str(number)}

    def test_balancers_of_one_name(self, gateway: Make) -> None:
        """Each has its own, whatever the numbers of their lines are."""
        host = (
            "<VirtualHost *>\nServerName {}.example\nProxyPass /x balancer://b/\n"
            "BalancerMember balancer://b scgi://127.0.0.1:1\n</VirtualHost>\n"
        )
        text = host.format("one") + host.format("two") + host.format("two")
        first = gateway(text).start()
        keys = list(first.parts.balancing.managed)
        for number, key in enumerate(keys, 2):
            first.change(balancer=key, lf=str(number))
        first.stop()
        assert list(first.file["balancers"]) == [
            "b",
            "b@one.example",
            "b@two.example",
            "b@two.example#2",
        ]
        second = gateway("# a line\n" + text).start()
        assert [second.member(1, key).full_factor for key in second.parts.balancing.managed] == [
            200,
            300,
            400,
            500,
        ]

    def test_a_balancer_that_is_gone(self, gateway: Make, told: list[str]) -> None:
        own = (
            "<VirtualHost *>\n{}ServerName h\nProxyPass /x balancer://own/\n"
            "BalancerMember balancer://own scgi://127.0.0.1:1\n</VirtualHost>\n"
        )
        first = gateway(own.format("")).start()
        first.change(balancer="own", lf="5")
        first.stop()
        second = gateway(own.format("BalancerPersist Off\n")).start()
        assert second.member(1, "own").full_factor == 100
        assert told == [
            (
                "info: balancer.restore: what was changed of balancer://own@h is dropped: there is no"
                " such balancer with BalancerPersist On any more"
            )
        ]


class TestFilesThatCannotBeUsed:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (b"", "it is no JSON"),
            (b'{"format"', "it is no JSON"),
            (b"\xff\x00", "it is no JSON"),
            (b"{}", "it is another kind of file"),
            (b'{"format": "scgiproxy balancers", "version": 2}', "it is of version 2; expected 1"),
        ],
    )
    def test_they_are_set_aside(
        self, gateway: Make, tmp_path: Path, told: list[str], text: bytes, why: str
    ) -> None:
        (tmp_path / NAME).write_bytes(text)
        one = gateway().start()
        assert (tmp_path / f"{NAME}.bad").read_bytes() == text
        (line,) = told
        assert line.startswith(
            f"warn: balancer.restore: {tmp_path}/{NAME} cannot be used, and balancers begin as they"
            f" are configured; it is {tmp_path}/{NAME}.bad now: {why}"
        )
        one.change(lf="2")
        one.stop()
        assert one.changed == {"w_lf": "2"}

    def test_that_of_another_gateway(self, gateway: Make, tmp_path: Path, told: list[str]) -> None:
        """Which has a configuration of the same name elsewhere."""
        first = gateway(file="/etc/one/gw.conf").start()
        first.change(lf="2")
        first.stop()
        second = gateway(file="/etc/two/gw.conf").start()
        assert second.member().full_factor == 100
        assert told[0].endswith(
            "it belongs to the configuration '/etc/one/gw.conf'; expected '/etc/two/gw.conf'"
        )
        assert (tmp_path / f"{NAME}.bad").exists()

    def test_one_that_cannot_be_renamed(
        self, gateway: Make, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: StateFile) -> Path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        (tmp_path / NAME).mkdir()
        monkeypatch.setattr(StateFile, "set_aside", fail)
        gateway().start()
        (line,) = told
        assert "it cannot be renamed either (Read-only file system)" in line


class TestDisksThatFail:
    def test_it_is_told_once_a_minute_until_it_works(
        self, gateway: Make, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = gateway().start()
        works = False
        write = StateFile.write

        def failing(file: StateFile, data: bytes) -> None:
            if not works:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, data)

        monkeypatch.setattr(StateFile, "write", failing)
        for factor in range(2, 32):
            one.change(lf=str(factor))
            one.reactor.advance(1)
        assert told == [
            (
                f"error: balancer.persist: cannot write {one.path}: No space left on device; what was"
                " changed of balancers would not survive a restart now"
            )
        ]
        for _ in range(120):
            one.reactor.advance(1)
        assert len(told) == 2
        works = True
        for _ in range(60):
            one.reactor.advance(1)
        assert told[2:] == ["info: balancer.persist: state is written again"]
        assert one.changed == {"w_lf": "31"}

    def test_at_the_end(
        self, gateway: Make, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The service stops all the same."""
        one = gateway().start()
        one.change(lf="2")
        one.path.with_name(NAME + ".new").mkdir()
        assert one.stop().called
        assert [line.partition(":")[0] for line in told] == ["error"]

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_does_not_prevent_the_start(
        self, gateway: Make, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def full(_: StateFile) -> bool:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(StateFile, "lock", full)
        one = gateway().start()
        one.change(lf="2")
        one.stop()
        assert one.changed == {"w_lf": "2"}


class TestDirectories:
    def test_that_of_systemd(
        self, gateway: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first of them; DefaultRuntimeDir comes before it."""
        (tmp_path / "state").mkdir()
        monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:{tmp_path}/other")
        text = (
            "Listen 81\nBalancerPersist On\nProxyPass / balancer://b/\n"
            "BalancerMember balancer://b scgi://127.0.0.1:1\n"
        )
        parts = GatewayParts(load_text(text, file_name="gw.conf", environment={}), Threads())
        parts.persistence.start()
        parts.persistence.release()
        assert [path.name for path in (tmp_path / "state").iterdir()] == [NAME + ".lock"]
        monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/gone")
        gateway().start()
        with pytest.raises(ConfigError) as raised:
            GatewayParts(load_text(text, file_name="gw.conf", environment={}), Threads())
        assert str(raised.value) == (
            f"gw.conf:2: BalancerPersist: '{tmp_path}/gone' is not an existing directory"
        )

    def test_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """That of the start: twistd may change it after the configuration was read."""
        monkeypatch.delenv("STATE_DIRECTORY", raising=False)
        monkeypatch.chdir("/")
        text = (
            "Listen 81\nBalancerPersist On\nProxyPass / balancer://b/\n"
            "BalancerMember balancer://b scgi://127.0.0.1:1\n"
        )
        config = load_text(text, file_name="a b/gw 1.conf", environment={})
        parts = GatewayParts(config, Threads())
        monkeypatch.chdir(tmp_path)
        parts.persistence.start()
        parts.persistence.release()
        assert [path.name for path in tmp_path.iterdir()] == ["scgiproxy-gw_1-balancers.json.lock"]

    def test_one_that_goes_with_the_service(
        self, gateway: Make, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing would survive there."""
        monkeypatch.setenv("RUNTIME_DIRECTORY", f"/run/x:{tmp_path}")
        gateway().start()
        assert [line.partition(" (")[0] for line in told] == [
            f"warn: balancer.persist: {tmp_path} is removed when the service stops"
        ]

    @pytest.mark.parametrize("kind", ["nothing", "a file"])
    def test_one_that_is_none(self, gateway: Make, tmp_path: Path, kind: str) -> None:
        if kind == "a file":
            (tmp_path / "run").touch()
        with pytest.raises(ConfigError) as raised:
            gateway(folder=tmp_path / "run")
        assert str(raised.value) == (
            f"/etc/gw.conf:2: BalancerPersist: '{tmp_path}/run' is not an existing directory"
        )
        assert not (tmp_path / "run").is_dir()

    def test_one_that_cannot_be_written(
        self, gateway: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also by the check, which writes nothing to find out."""
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(ConfigError) as raised:
            gateway()
        assert str(raised.value) == (
            f"/etc/gw.conf:2: BalancerPersist: '{tmp_path}' cannot be written"
        )

    def test_it_does_not_matter_without_balancers_to_keep(self, gateway: Make) -> None:
        gateway("BalancerPersist Off", folder=Path("/nowhere/at/all")).start()

    def test_one_that_is_gone_at_the_start(self, gateway: Make, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        one = gateway(folder=tmp_path / "run")
        (tmp_path / "run").rmdir()
        with pytest.raises(ConfigError) as raised:
            one.start()
        assert str(raised.value) == (
            f"/etc/gw.conf:2: BalancerPersist: cannot write {one.path}: No such file or directory"
        )

    def test_two_gateways_in_one(self, gateway: Make) -> None:
        """The second is not started, until the first has ended."""
        first, second = gateway().start(), gateway()
        with pytest.raises(ConfigError) as raised:
            second.start()
        assert str(raised.value).startswith(
            f"/etc/gw.conf:2: BalancerPersist: another gateway that runs keeps its state in"
            f" {first.path}; expected a DefaultRuntimeDir of its own"
        )
        first.stop()
        second.start()

    def test_a_start_that_fails_leaves_it_free(self, tmp_path: Path) -> None:
        text = (
            f"Listen 127.0.0.1:81\nDefaultRuntimeDir {tmp_path}\nBalancerPersist On\n"
            "ProxyPass / balancer://b/\nBalancerMember balancer://b scgi://127.0.0.1:1\n"
        )
        reactor = Threads()
        service = GatewayService(load_text(text, file_name="gw.conf", environment={}), reactor)

        def fail() -> None:
            raise ConfigError([])

        service.listeners.startService = fail
        with pytest.raises(ConfigError):
            service.startService()
        assert StateFile(tmp_path / NAME).lock()
        assert reactor.getDelayedCalls() == []
