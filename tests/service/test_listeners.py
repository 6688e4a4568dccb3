"""The sockets a gateway listens on, on a reactor in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from scgiproxy.config.addresses import parse_listen
from scgiproxy.config.model import Listener, Position
from scgiproxy.errors import ConfigError
from scgiproxy.service.endpoints import endpoint_text, is_inherited
from scgiproxy.service.listeners import ListenerService
from tests.e2e.test_listening import certificate as make_certificate


class Reactor(MemoryReactorClock):
    """Cannot have the ports in `taken`; counts the ports that are open."""

    def __init__(self, *taken: int) -> None:
        super().__init__()
        self.taken = taken
        self.open: list[int] = []

    def listenTCP(self, port: int, *args: Any, **more: Any) -> Any:
        if port in self.taken:
            error = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            raise CannotListenError(more.get("interface") or args[2], port, error)
        made = super().listenTCP(port, *args, **more)
        self.open.append(port)

        def stop() -> None:
            self.open.remove(port)

        made.stopListening = stop
        return made


def listener(word: str, line: int = 1) -> Listener:
    return parse_listen(word, Position("f", line))


def service(reactor: Any, *words: str) -> tuple[ListenerService, list[bool]]:
    """A service, and for each site it has made whether it is secure."""
    secure: list[bool] = []

    def make_site(is_secure: bool) -> Any:
        secure.append(is_secure)
        return object()

    listeners = [listener(word, line) for line, word in enumerate(words, 1)]
    return ListenerService(listeners, make_site, reactor), secure


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("127.0.0.1:80", "tcp:80:backlog=511:interface=127.0.0.1"),
        ("[::1]:80", r"tcp6:80:backlog=511:interface=\:\:1"),
        ("localhost:80", "tcp:80:backlog=511:interface=localhost"),
        ("unix:/run/a:mode=660", "unix:/run/a:mode=660:backlog=511"),
        ("unix:/run/a:backlog=7", "unix:/run/a:backlog=7"),
        ("haproxy:tcp:80", "haproxy:tcp:80:backlog=511"),
        ("tcp:80:127.0.0.1:5", "tcp:80:127.0.0.1:5"),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
    ],
)
def test_endpoint_strings(word: str, text: str) -> None:
    assert endpoint_text(listener(word)) == text


@pytest.mark.parametrize(
    ("ipv6", "interface"), [(True, r"tcp6:80:.*=\\:\\:"), (False, "tcp:80:.*0")]
)
def test_a_port_alone(ipv6: bool, interface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both families where the system has both."""
    monkeypatch.setattr("scgiproxy.service.endpoints._ipv6_works", lambda: ipv6)
    import re

    assert re.fullmatch(interface, endpoint_text(listener("80")))


def test_it_binds_once_and_early() -> None:
    """Before privileges are dropped; a start without that binds as well."""
    for privileged in (True, False):
        reactor = Reactor()
        made, _ = service(reactor, "127.0.0.1:81", "127.0.0.1:82")
        if privileged:
            made.privilegedStartService()
            assert reactor.open == [81, 82]
        made.startService()
        assert reactor.open == [81, 82]
        assert len(made.ports) == len(made.sites) == 2


def test_every_socket_that_cannot_be_had() -> None:
    """Is named, with its line; the others are closed again, and a later start is a new one."""
    reactor = Reactor(82, 84)
    made, _ = service(reactor, "127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83", "[::1]:84")
    with pytest.raises(ConfigError) as raised:
        made.startService()
    assert [str(problem) for problem in raised.value.problems] == [
        "f:2: Listen: cannot listen on 127.0.0.1:82: Address already in use",
        "f:4: Listen: cannot listen on [::1]:84: Address already in use",
    ]
    assert (reactor.open, made.ports, made.running) == ([], [], 0)
    reactor.taken = ()
    made.startService()
    assert reactor.open == [81, 82, 83, 84]
    assert len(made.sites) == 4


def test_stopping_and_starting_again() -> None:
    """The sites stay until the next start: their connections have to end."""
    reactor = Reactor()
    made, secure = service(reactor, "127.0.0.1:81")
    for count in (1, 2):
        made.startService()
        assert reactor.open == [81]
        stopped = made.stopService()
        assert stopped.called
        assert (reactor.open, made.ports) == ([], [])
        assert len(made.sites) == 1
        assert len(secure) == count


@pytest.mark.parametrize(
    ("word", "secure"),
    [("tcp:81:interface=127.0.0.1", False), ("haproxy:tcp:81", False), ("unix:/a/b", False)],
)
def test_plain_endpoints(word: str, secure: bool) -> None:
    made, sites = service(Reactor(), word)
    made.startService()
    assert sites == [secure]


@pytest.mark.parametrize("word", ["ssl:81", "tls:/", "haproxy:ssl:81", "TLS:/"])
def test_secure_endpoints(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose connections are TLS, behind a PROXY header too."""

    class Endpoint:
        def listen(self, factory: object) -> Deferred[object]:
            return fail(CannotListenError(None, b"/x", "Cannot acquire lock"))

    monkeypatch.setattr(
        "scgiproxy.service.endpoints.serverFromString", lambda reactor, text: Endpoint()
    )
    made, sites = service(Reactor(), word)
    with pytest.raises(ConfigError, match="listen on /x: another process listens there"):
        made.startService()
    assert sites == [True]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "nothing:at=all",
            "'nothing:at=all': 'nothing' is no kind of endpoint; expected haproxy, ",
        ),
        ("haproxy:uinx:/a", "'uinx' is no kind of endpoint; .*; did you mean unix?"),
        ("ssl:81:{tmp}/garbage.pem", "garbage.pem': expected files with a key and a certificate"),
        ("ssl:81:privateKey=/none.pem", "No such file or directory: /none.pem"),
        ("systemd:domain=INET:index=7", "systemd has not handed over such a socket"),
        ("systemd:domain=INET:name=a", "systemd has not handed over such a socket"),
    ],
)
def test_strings_that_are_no_endpoint(word: str, message: str, tmp_path: Path) -> None:
    """Known before anything is bound, and all at once."""
    (tmp_path / "garbage.pem").write_text("garbage")
    word = word.format(tmp=tmp_path)
    reactor = Reactor()
    with pytest.raises(ConfigError, match=f"(?s)f:1: Listen: .*{message}.*f:3: ") as raised:
        service(reactor, word, "127.0.0.1:81", "nothing:at=all")
    assert len(raised.value.problems) == 2
    assert reactor.open == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyOpenSSL, in Twisted
@pytest.mark.parametrize(
    "word",
    [
        "tcp:81:127.0.0.1:5",
        "tcp:port=81:interface=127.0.0.1:backlog=5",
        r"tcp6:81:5:\:\:1",
        r"tcp6:port=81:backlog=5:interface=\:\:1",
        "unix:/a:660:5:0",
        "unix:address=/a:mode=660:backlog=5:lockfile=0",
        "haproxy:tcp:81:interface=127.0.0.1",
        "ssl:81:{key}:{key}:TLS_METHOD:127.0.0.1:5:{key}",
        "ssl:port=81:privateKey={key}:certKey={key}:sslmethod=TLS_METHOD:extraCertChain={key}",
        "tls:{folder}:81:5:127.0.0.1",
        "tls:path={folder}:port=81:backlog=5:interface=127.0.0.1",
    ],
)
def test_the_keys_are_those_of_twisted(word: str, tmp_path: Path) -> None:
    """What `config.endpoints` says of each type, in order and by name."""
    key = make_certificate(tmp_path / "certificates")
    made, _ = service(Reactor(), word.format(key=key, folder=key.parent))
    made.startService()
    assert made.stopService().called


def test_tls_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(reactor: object, text: str) -> None:
        raise ImportError("No module named 'OpenSSL'")

    monkeypatch.setattr("scgiproxy.service.endpoints.serverFromString", parse)
    with pytest.raises(ConfigError, match=r"needs more packages: pip install 'scgiproxy\[tls\]'"):
        service(Reactor(), "ssl:81")


def test_sockets_of_systemd() -> None:
    assert is_inherited(listener("systemd:domain=INET:index=0"))
    assert is_inherited(listener("haproxy:systemd:domain=INET:index=0"))
    assert not is_inherited(listener("unix:/run/systemd"))


class Slow:
    """An endpoint that says later how it went."""

    def __init__(self) -> None:
        self.answer: Deferred[Any] = Deferred()

    def listen(self, factory: object) -> Deferred[Any]:
        return self.answer


def test_an_endpoint_that_takes_its_time(
    monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """The start is over by then: what goes wrong is in the log."""
    slow = Slow()
    monkeypatch.setattr("scgiproxy.service.endpoints.serverFromString", lambda reactor, text: slow)
    made, _ = service(Reactor(), "plugin:x")
    made.startService()
    slow.answer.errback(CannotListenError("192.0.2.1", 80, OSError(1, "Not permitted")))
    (event,) = logged_errors.flush()
    assert str(event["problem"]) == "f:1: Listen: cannot listen on 192.0.2.1:80: Not permitted"


def test_a_unix_socket_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The reason names the file, not how Twisted's lock was to be made."""
    from twisted.internet import reactor

    made, _ = service(reactor, f"unix:{tmp_path}/gone/gateway.sock")
    with pytest.raises(ConfigError) as raised:
        made.startService()
    (problem,) = raised.value.problems
    path = f"{tmp_path}/gone/gateway.sock.lock"
    assert problem.message == f"Listen: cannot listen: {path}: No such file or directory"


class BadPort:
    """A socket that cannot be closed as it should."""

    def getHost(self) -> Any:
        return Reactor().listenUNIX("/run/a", None).getHost()

    def stopListening(self) -> Deferred[None]:
        return fail(PermissionError(13, "Permission denied", "/run/a"))


def test_a_socket_that_cannot_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told, and holds nothing up."""
    made, _ = service(Reactor(), "127.0.0.1:81")
    made.startService()
    told: list[str] = []
    monkeypatch.setattr(
        ListenerService.log.__class__,
        "warn",
        lambda self, text, **fields: told.append(text.format(**fields)),
    )
    made._listening[0].port = BadPort()
    assert made.stopService().called
    (line,) = told
    assert line.endswith("is not closed cleanly: Permission denied")


def test_there_may_be_nothing_to_listen_on() -> None:
    made, _ = service(Reactor())
    made.startService()
    assert made.stopService().called


def test_a_start_that_fails_serves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits at a socket that was bound before the failure is not accepted; at a stop he is."""
    served: list[str] = []
    monkeypatch.setattr(
        ListenerService, "_serve_waiting", lambda self, one: served.append(one.listener.address)
    )
    failing, _ = service(Reactor(82), "127.0.0.1:81", "127.0.0.1:82")
    with pytest.raises(ConfigError):
        failing.startService()
    assert served == []
    made, _ = service(Reactor(), "127.0.0.1:81")
    made.startService()
    made.stopService()
    assert served == ["127.0.0.1"]
