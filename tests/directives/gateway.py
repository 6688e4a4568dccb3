"""From configuration text to bytes on the wire, in memory: a whole gateway without a socket.

The text is loaded and built as the service does it. Clients are those of `tests.web.harness`; the
reactor's connectTCP and connectUNIX are played here, so that each test sees where the gateway goes.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from scgiproxy.config.load import load_text
from scgiproxy.config.model import Config
from scgiproxy.service.build import GatewayParts
from scgiproxy.web.failurelog import SPAN
from tests.web.answers import Answer
from tests.web.harness import BackendEnd, Client
from tests.web.memory import LOCAL, REMOTE, TcpTransport

RELOADED = bool(os.environ.get("SCGIPROXY_TEST_RELOADED"))
"""Whether each gateway begins with `FOLLOWED`, and serves what it is given when it is running."""

FOLLOWED = """
    Timeout 7
    KeepAliveTimeout 3
    LimitRequestLine 500
    SetEnv before 1
    Header set X-Before 1
    ProxyPass /before/ scgi://127.0.0.1:4000/
    ProxyPass /first/ balancer://first/
    ProxyPass / balancer://b/
    <Proxy balancer://b>
        BalancerMember scgi://127.0.0.1:4001 route=before status=D loadfactor=9 max=1
        BalancerMember scgi://127.0.0.1:4002 route=two
        ProxySet lbmethod=bybusyness stickysession=BEFORE
    </Proxy>
    BalancerMember balancer://first scgi://127.0.0.1:4001
    <Location /before>
        Require all denied
    </Location>
    <VirtualHost *>
        ServerName before.example
        ProxyPass / scgi://127.0.0.1:4003/
    </VirtualHost>
"""

HELLO = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


class Attempt:
    """One connection that the gateway wants; it is also the connector that the reactor returns.

    `where` is ``host:port`` or ``unix:/path``. `end` is the backend's side once it is up.
    """

    def __init__(self, reactor: MemoryBackends, where: str, factory: Any, timeout: Any) -> None:
        self.reactor = reactor
        self.where = where
        self.timeout = timeout
        self.transport = _SocketOptions()
        self.given_up = False
        self.end: BackendEnd | None = None
        self._factory = factory
        self._timer = None if timeout is None else reactor.callLater(timeout, self._timed_out)

    @property
    def open(self) -> bool:
        return self.end is None and not self.given_up

    def accept(self, end: type[BackendEnd] = BackendEnd) -> BackendEnd | None:
        """The backend takes the connection; None if the gateway has no use for it any more."""
        self._settle()
        protocol = self._factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 4000))
        if protocol is None:
            self.given_up = True
            return None
        self.end = end(protocol, self.reactor)
        return self.end

    def refuse(self) -> None:
        """Nobody listens there."""
        self._settle()
        self.given_up = True
        self._factory.clientConnectionFailed(self, Failure(Refused()))

    def stopConnecting(self) -> None:
        self._settle()
        self.given_up = True

    def disconnect(self) -> None:
        if self.end is None:
            self.stopConnecting()
        else:
            self.end.transport.abortConnection()

    def _timed_out(self) -> None:
        self._timer = None
        self.given_up = True
        self._factory.clientConnectionFailed(self, Failure(TimedOut()))

    def _settle(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _SocketOptions:
    """What is asked of a socket."""

    keepalive: bool | None = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keepalive = enabled


class MemoryBackends(MemoryReactorClock):  # type: ignore[misc]
    """A reactor whose connections go nowhere: `attempts` has them, for the test to play."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []

    def connectTCP(
        self, host: Any, port: Any, factory: Any, timeout: Any = 30, _: Any = None
    ) -> Any:
        return self._connect(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}", factory, timeout
        )

    def connectUNIX(self, address: Any, factory: Any, timeout: Any = 30, _: Any = 0) -> Any:
        return self._connect(f"unix:{address}", factory, timeout)

    def _connect(self, where: str, factory: Any, timeout: Any) -> Attempt:
        self.attempts.append(Attempt(self, where, factory, timeout))
        return self.attempts[-1]

    # Passwords are checked in threads; here they are checked on the spot.

    def getThreadPool(self) -> Any:
        return self

    def callInThreadWithCallback(
        self, called: Callable[[bool, Any], None], function: Any, *words: Any, **named: Any
    ) -> None:
        try:
            result = function(*words, **named)
        except Exception:
            called(False, Failure())
        else:
            called(True, result)

    def callFromThread(self, function: Any, *words: Any, **named: Any) -> None:
        self.callLater(0, function, *words, **named)


@dataclass
class Asked:
    """One request and what came of it; `attempts` are the connections that it took."""

    client: Client
    attempts: list[Attempt]

    @property
    def answer(self) -> Answer:
        """The final answer (not of HEAD)."""
        answers = self.client.answers
        assert answers, "no answer came"
        return answers[-1]

    @property
    def status(self) -> int:
        """Of the final answer, also of HEAD."""
        head = self.client.received.rpartition(b"HTTP/1.1 ")[2]
        assert head, "no answer came"
        return int(head[:3])

    @property
    def body(self) -> bytes:
        return self.answer.body

    @property
    def backends(self) -> list[BackendEnd]:
        return [attempt.end for attempt in self.attempts if attempt.end is not None]

    @property
    def where(self) -> list[str]:
        """Where the gateway connected to, or tried to."""
        return [attempt.where for attempt in self.attempts]

    @property
    def variables(self) -> dict[str, str]:
        """What the last backend was told."""
        assert self.backends, "no backend was reached"
        return self.backends[-1].variables

    def __getitem__(self, name: str) -> str | None:
        """A header of the answer."""
        return self.answer[name]


class ConfiguredGateway:
    """What runs for a configuration `text`. A ``Listen 8080`` follows it.

    Backends answer `HELLO` when `ask` is used, unless told otherwise; those in `down` refuse.
    """

    def __init__(self, text: str, **options: Any) -> None:
        self._options = {"environment": {}, "file_name": "f", **options}
        self.text = text
        self.config = self._load(text)
        self.reactor = MemoryBackends()
        self.reactor.advance(1_000_000_000)
        first = self._load(FOLLOWED) if RELOADED else self.config
        self.parts = GatewayParts(first, self.reactor)
        self.parts.error_logs.open()
        self.site = self.parts.make_site(secure=False)
        if RELOADED:
            self._follow(self.config)
        self.clients: list[Client] = []
        self.down: set[str] = set()

    def _load(self, text: str) -> Config:
        return load_text(textwrap.dedent(text) + "\nListen 8080\n", **self._options)

    def reload(self, text: str) -> None:
        """Serve as `text` says from the next request on."""
        self.config = self._load(text)
        self._follow(self.config)

    def _follow(self, config: Config) -> None:
        before = self.parts
        before.error_logs.leave()
        self.parts = GatewayParts(config, self.reactor, before=before)
        self.parts.error_logs.open()
        self.site.follow(self.parts.hosts, self.parts.server_software)

    @property
    def notes(self) -> list[str]:
        """What the check says."""
        return [str(note) for note in self.config.notes]

    @property
    def attempts(self) -> list[Attempt]:
        return self.reactor.attempts

    # -- clients -------------------------------------------------------------------------------

    def client(self, *, port: int = 8080, local: str = "127.0.0.1", peer: Any = REMOTE) -> Client:
        """A connection to `local`:`port`; `peer` is an address, or only its host."""
        if isinstance(peer, str):
            peer = IPv4Address("TCP", peer, 50000)
        ours = IPv4Address("TCP", local, port) if (local, port) != ("127.0.0.1", 8080) else LOCAL
        client = Client(self.site, ours, peer, TcpTransport)
        self.clients.append(client)
        return client

    def send(self, path: str, *headers: str, **ends: Any) -> Client:
        """A request that has been sent, and no answer yet."""
        client = self.client(**ends)
        client.send(request(path, *headers))
        self.settle()
        return client

    def ask(
        self,
        path: str = "/",
        *headers: str,
        method: str = "GET",
        host: str | None = "example.com",
        protocol: str = "HTTP/1.1",
        body: bytes = b"",
        answer: bytes | Sequence[bytes] = HELLO,
        client: Client | None = None,
        **ends: Any,
    ) -> Asked:
        """A request and its answer; each backend that is reached says the next of `answer`."""
        client = client or self.client(**ends)
        before = len(self.attempts)
        client.send(request(path, *headers, method=method, host=host, protocol=protocol, body=body))
        answers = [answer] if isinstance(answer, bytes) else list(answer)
        self.settle()
        while pending := [attempt for attempt in self.attempts[before:] if attempt.open]:
            for attempt in pending:
                if attempt.where in self.down:
                    attempt.refuse()
                else:
                    end = attempt.accept()
                    if end is not None:
                        end.answer(answers.pop(0) if len(answers) > 1 else answers[0])
                        end.close()
            self.settle()
        return Asked(client, self.attempts[before:])

    # -- backends ------------------------------------------------------------------------------

    def accept(self) -> BackendEnd:
        """Let the newest attempt to connect succeed."""
        end = self.attempts[-1].accept()
        assert end is not None
        self.settle()
        return end

    # -- time ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let what is due in this turn of the reactor happen."""
        for _ in range(4):
            self.reactor.advance(0)

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / step)):
            self.reactor.advance(step)

    def close(self) -> None:
        """Everybody leaves; nothing may be held for them then."""
        for client in self.clients:
            client.leave()
        for attempt in self.attempts:
            if attempt.end is not None and attempt.end.closed is None:
                attempt.end.close()
        self.settle()
        # What was too much for the log is told.
        self.advance(SPAN + 0.2)
        for log in self.parts.access_logs:
            log.close()
        self.parts.error_logs.close()
        assert not self.site.channels
        assert len(self.parts.wheel) == 0
        assert not [attempt for attempt in self.attempts if attempt.open]
        self.reactor.advance(0)
        left = [call for call in self.reactor.getDelayedCalls() if call.active()]
        # The wheel's own timer looks once more and finds nothing.
        assert len(left) <= 1, left


def request(
    path: str,
    *headers: str,
    method: str = "GET",
    host: str | None = "example.com",
    protocol: str = "HTTP/1.1",
    body: bytes = b"",
) -> bytes:
    """The bytes of a request; a body brings its Content-Length."""
    lines = [f"{method} {path} {protocol}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += headers
    if body and not any(header.lower().startswith("transfer-encoding") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answered(*headers: str, status: str = "200 OK", body: bytes = b"hello") -> bytes:
    """A backend's answer; `status` empty sends none."""
    first = [f"Status: {status}"] if status else []
    return "\r\n".join([*first, *headers, "", ""]).encode("latin-1") + body


Configured = Callable[..., ConfiguredGateway]
