"""The gateway as a service: what is opened when, and how it ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from hypothesis import given, settings
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool

from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from scgiproxy.log.events import gateway_events
from scgiproxy.service.gateway import check
from scgiproxy.service.root import GatewayService
from scgiproxy.web.channel import GRACE
from tests.config.generated import TEXTS
from tests.e2e.processes import free_port, listens


def gateway(text: str, reactor: Any = None) -> GatewayService:
    config = load_text(text, file_name="f", environment={})
    return GatewayService(config, reactor or MemoryReactorClock())


class Channel:
    """A client's connection. Its answer ends after `seconds`, or never; of an idle one (no seconds)
    it is asked for."""

    def __init__(self, service: GatewayService, seconds: float | None = 0.0) -> None:
        self._channels: set[Any] = service.listeners.sites[0].channels
        self._channels.add(self)
        self._reactor = service._reactor
        self._seconds = seconds
        self.aborted = False

    def shut_down(self) -> None:
        if self._seconds:
            self._reactor.callLater(self._seconds, self._channels.discard, self)

    def close_idle(self) -> None:
        if self._seconds == 0:
            self._channels.discard(self)

    def abort(self) -> None:
        self.aborted = True
        self._reactor.callLater(0, self._channels.discard, self)


def pump(service: GatewayService, stopping: Deferred[None], most: float = 10.0) -> float:
    """Let time pass until it has stopped; how long that took."""
    steps = 0
    while not stopping.called:
        assert steps < most / 0.01
        service._reactor.advance(0.01)
        steps += 1
    return steps * 0.01


def test_nothing_happens_before_the_start(tmp_path: Path) -> None:
    reactor = MemoryReactorClock()
    gateway(
        f"Listen 127.0.0.1:81\nErrorLog {tmp_path}/e\nCustomLog {tmp_path}/a common\n"
        "ProxyPass / scgi://backend.example/",
        reactor,
    )
    assert (reactor.tcpServers, reactor.getDelayedCalls(), list(tmp_path.iterdir())) == ([], [], [])


def test_what_needs_rights_is_done_first(tmp_path: Path) -> None:
    """Logs are opened and sockets bound before privileges are dropped; and only once."""
    service = gateway(
        f"Listen 127.0.0.1:81\nErrorLog {tmp_path}/e\nCustomLog {tmp_path}/a common\n"
    )
    service.privilegedStartService()
    assert len(service._reactor.tcpServers) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "e"]
    service.startService()
    assert len(service._reactor.tcpServers) == 1
    pump(service, service.stopService())
    told = (tmp_path / "e").read_text().splitlines()
    assert [line.rpartition("] ")[2].split()[0] for line in told] == ["listening", "stopped"]


def test_what_is_wrong_with_the_parts_is_told_at_once() -> None:
    """All of it, in the order of lines."""
    with pytest.raises(ConfigError) as raised:
        gateway(
            '<Location /x>\nSetHandler nobody\n</Location>\nListen "nothing:at=all"\n'
            "<VirtualHost *>\n<Location /y>\nSetHandler nobody\n</Location>\n</VirtualHost>\n"
        )
    lines = [problem.line for problem in raised.value.problems]
    assert lines == [2, 4, 7]


@settings(max_examples=200)
@given(TEXTS)
def test_whatever_is_left_of_a_configuration_can_be_checked(text: str) -> None:
    """ConfigError is all that can come of it."""
    with suppress(ConfigError):
        load_text(
            text + "\nListen 127.0.0.1:81",
            environment={},
            check=lambda config: check(config, MemoryReactorClock()),
        )


def test_logs_that_cannot_be_opened(tmp_path: Path) -> None:
    """Each is told with its line, nothing is bound, and nothing stays open."""
    service = gateway(
        f"Listen 127.0.0.1:81\nErrorLog {tmp_path}/e\n"
        f"<VirtualHost *>\nErrorLog {tmp_path}/f\nCustomLog {tmp_path}/a common\n</VirtualHost>\n"
    )
    for name in ("a", "f"):
        (tmp_path / name).mkdir()
    with pytest.raises(ConfigError) as raised:
        service.privilegedStartService()
    assert [str(problem) for problem in raised.value.problems] == [
        f"f:4: ErrorLog: cannot open {tmp_path}/f: Is a directory",
        f"f:5: CustomLog: cannot open {tmp_path}/a: Is a directory",
    ]
    assert service._reactor.tcpServers == []
    assert gateway_events._filters == []


def test_a_start_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    service = gateway("Listen 127.0.0.1:81")

    def refuse() -> None:
        raise ConfigError([])

    monkeypatch.setattr(service.listeners, "startService", refuse)
    with pytest.raises(ConfigError):
        service.startService()
    assert not service.running
    assert gateway_events._filters == []


DRAIN = 3.0


class TestStopping:
    @pytest.fixture
    def service(self) -> GatewayService:
        made = gateway(f"Listen 127.0.0.1:81\nGracefulShutdownTimeout {DRAIN:g}")
        made.startService()
        return made

    def test_without_connections(self, service: GatewayService) -> None:
        assert service.stopService().called

    def test_idle_connections_have_a_moment(self, service: GatewayService) -> None:
        """For what is on its way, and no longer; none is waited for that has closed by itself."""
        Channel(service)
        assert GRACE <= pump(service, service.stopService()) < GRACE + 0.1

    def test_nobody_waits_for_what_is_closed(self, service: GatewayService) -> None:
        Channel(service, 0.1)
        assert 0.1 <= pump(service, service.stopService()) < 0.2

    def test_running_answers_may_end(self, service: GatewayService) -> None:
        channels = [Channel(service, seconds) for seconds in (0, 0.5, 1.5)]
        assert 1.5 <= pump(service, service.stopService()) < 1.6
        assert not any(channel.aborted for channel in channels)

    def test_those_that_do_not_are_cut_off(self, service: GatewayService) -> None:
        """When who waits for a place has been told, in every worker: it would get one of these."""
        short, endless = Channel(service, 0.5), Channel(service, None)
        assert DRAIN + 0.2 <= pump(service, service.stopService()) < DRAIN + 0.3
        assert (short.aborted, endless.aborted) == (False, True)

    def test_any_time(self) -> None:
        service = gateway("Listen 127.0.0.1:81\nGracefulShutdownTimeout 0")
        service.startService()
        channel = Channel(service, 300)
        assert 300 <= pump(service, service.stopService(), 400) < 300.1
        assert not channel.aborted

    @pytest.mark.parametrize("before", [0.0, 0.1, 1.0])
    def test_hurried(self, service: GatewayService, before: float) -> None:
        """What runs is cut off at once, also if it was not to be waited for any longer anyway."""
        endless = Channel(service, None)
        stopping = service.stopService()
        service._reactor.callLater(before, service.hurry)
        assert before <= pump(service, stopping) < before + 0.1
        assert endless.aborted
        # The next life has its time again.
        service.startService()
        Channel(service, 1.5)
        assert pump(service, service.stopService()) >= 1.5

    def test_hurried_before_it_stops(self, service: GatewayService) -> None:
        endless = Channel(service, None)
        service.hurry()
        assert pump(service, service.stopService()) < 0.1
        assert endless.aborted

    def test_one_that_cannot_even_be_cut_off(self, service: GatewayService) -> None:
        """The stop is bounded all the same."""
        stuck = Channel(service, None)
        stuck.abort = lambda: None  # type: ignore[method-assign]
        assert DRAIN < pump(service, service.stopService()) < DRAIN + 1.4


class TestCheck:
    def test_it_starts_nothing(self, tmp_path: Path) -> None:
        reactor = MemoryReactorClock()
        config = load_text(f"Listen 127.0.0.1:81\nCustomLog {tmp_path}/a common\n")
        check(config, reactor)
        assert (reactor.tcpServers, list(tmp_path.iterdir())) == ([], [])

    def test_it_tells_of_the_parts(self) -> None:
        config = load_text('Listen "nothing:at=all"')
        with pytest.raises(ConfigError, match="is no kind of endpoint"):
            check(config, MemoryReactorClock())

    def test_a_socket_of_systemd_need_not_be_there(self) -> None:
        config = load_text('Listen "systemd:domain=INET:index=0"')
        check(config, MemoryReactorClock())
        with pytest.raises(ConfigError, match="systemd has not handed over"):
            GatewayService(config, MemoryReactorClock())


@pytest_twisted.ensureDeferred
async def test_it_can_be_started_again(tmp_path: Path) -> None:
    """On the real reactor: it serves, is gone, and serves again, its logs too."""
    port = free_port()
    service = gateway(
        f"Listen 127.0.0.1:{port}\nDocumentRoot {tmp_path}\nCustomLog {tmp_path}/log common\n"
        f"ErrorLog {tmp_path}/errors\n<Location /none>\nProxyPass scgi://localhost:1/none\n</Location>",
        real_reactor,
    )
    (tmp_path / "page.txt").write_text("a page\n")
    pool = HTTPConnectionPool(real_reactor)  # keeps its connection, which the stop closes
    for count in (1, 2):
        service.startService()
        answer = await treq.get(f"http://127.0.0.1:{port}/page.txt", pool=pool)
        assert await answer.text() == "a page\n"
        await service.stopService()
        assert not listens(("127.0.0.1", port))
        assert len((tmp_path / "log").read_text().splitlines()) == count
        assert len((tmp_path / "errors").read_text().splitlines()) == 2 * count
    await pool.closeCachedConnections()


def test_closed_sockets_are_forgotten() -> None:
    """By the next reload, when the last of their connections is closed."""
    service = gateway("Listen 127.0.0.1:81")
    service.startService()
    first = service.listeners.sites[0]
    client = IPv4Address("TCP", "192.0.2.7", 50000)
    channel = first.buildProtocol(client)
    assert channel is not None
    channel.makeConnection(StringTransport(IPv4Address("TCP", "127.0.0.1", 81), client))
    for number in range(82, 90):
        config = load_text(f"Listen 127.0.0.1:{number}", file_name="f", environment={})
        assert service.reload(config).called
        assert service.parts.sites == [first, *service.listeners.sites]
    channel.connectionLost(Failure(ConnectionDone()))
    assert service.reload(config).called
    assert service.parts.sites == service.listeners.sites
    pump(service, service.stopService())
