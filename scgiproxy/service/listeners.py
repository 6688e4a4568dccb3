"""The sockets a gateway listens on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from scgiproxy.config.model import Listener
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.web.connection import use_immediate_writes

_BACKLOG = 511


class ListenerService(Service):
    """Listens while it runs. Binds in `privilegedStartService`, before privileges are dropped.

    `ports` has the listening ports, in the order of the configuration. A socket that cannot be
    had raises ConfigError with the Listen line it came from; the others are closed again.
    """

    log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_site: Callable[[bool], Any],
        reactor: Any,
    ) -> None:
        self._listeners = tuple(listeners)
        self._make_site = make_site
        self._reactor = reactor
        self.ports: list[IListeningPort] = []
        self._bound = False

    def privilegedStartService(self) -> None:
        self._bind()

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._bind()

    def _bind(self) -> None:
        if self._bound:
            return
        self._bound = True
        problems: list[Problem] = []
        for listener in self._listeners:
            text = endpoint_text(listener)
            try:
                endpoint = serverFromString(self._reactor, text)
            except Exception as error:
                problems.append(_problem(listener, f"{text!r} is no endpoint: {error}"))
                continue
            self._listen(listener, endpoint, text.startswith(("ssl:", "tls:")), problems)
        if problems:
            for port in self.ports:
                port.stopListening()
            self.ports.clear()
            raise ConfigError(problems)

    def _listen(
        self,
        listener: Listener,
        endpoint: IStreamServerEndpoint,
        secure: bool,
        problems: list[Problem],
    ) -> None:
        def failed(failure: Failure) -> None:
            problems.append(_problem(listener, _reason(failure)))

        # The endpoints that Twisted has bind at once: what goes wrong is known on return.
        listening: Deferred[IListeningPort] = endpoint.listen(self._make_site(secure))
        listening.addCallbacks(self._listening, failed)

    def _listening(self, port: IListeningPort) -> None:
        self.ports.append(port)
        use_immediate_writes(port)
        self.log.info("listening on {address}", address=port.getHost())

    def stopService(self) -> Deferred[Any]:
        super().stopService()  # type: ignore[no-untyped-call]
        self._bound = False
        ports, self.ports = self.ports, []
        return DeferredList([_as_deferred(port.stopListening()) for port in ports])


def endpoint_text(listener: Listener) -> str:
    """The Twisted endpoint string for a Listen line.

    A port alone listens on every address of both families, as Apache does; where the system has no
    IPv6, on those of IPv4.
    """
    if listener.endpoint:
        return listener.endpoint
    address = listener.address.strip("[]")
    if not address:
        address = "::" if socket.has_ipv6 and _ipv6_works() else "0.0.0.0"  # noqa: S104
    family = "tcp6" if ":" in address else "tcp"
    escaped = address.replace(":", "\\:")
    return f"{family}:{listener.port}:backlog={_BACKLOG}:interface={escaped}"


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _reason(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, CannotListenError):
        reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
        return f"cannot listen on {error.interface or '*'}:{error.port}: {reason}"
    return f"cannot listen: {failure.getErrorMessage()}"


def _problem(listener: Listener, message: str) -> Problem:
    return Problem(listener.position.file, listener.position.line, f"Listen: {message}")


def _as_deferred(result: Any) -> Deferred[Any]:
    if isinstance(result, Deferred):
        return result
    done: Deferred[Any] = Deferred()
    done.callback(result)
    return done
