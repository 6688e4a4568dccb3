"""The sockets a gateway listens on."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from scgiproxy.config.endpoints import ENDPOINT_TYPES, endpoint_type, with_backlog
from scgiproxy.config.model import Listener
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.log.events import Logger
from scgiproxy.rules.parameters import suggest
from scgiproxy.web.accepting import Admission, accept_clients
from scgiproxy.web.site import GatewaySite
from scgiproxy.wire.descriptors import Descriptors, descriptors_of

BACKLOG = 511
"""Of ListenBacklog, if it says nothing."""

_SECURE = re.compile(r"(haproxy:)*(ssl|tls):", re.IGNORECASE)


class ListenerService(Service):
    """Listens while it runs. Binds in `privilegedStartService`, before privileges are dropped.

    - `ports`: the listening ports, in the order of the configuration.
    - `sites`: the factory of each listener, also for a while after the service has stopped.

    `admission` is whose connections are accepted; `backlog` is ListenBacklog.

    Raises ConfigError with each endpoint string that is none. A start raises it with each socket
    that cannot be had, and the Listen line it came from; the other sockets are closed again.
    """

    log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_site: Callable[[bool], GatewaySite],
        reactor: Any,
        descriptors: Descriptors | None = None,
        admission: Admission | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        self._make_site = make_site
        self._reactor = reactor
        self._admission = admission or Admission(reactor)
        self._backlog = backlog
        self._descriptors = descriptors_of(reactor) if descriptors is None else descriptors
        self._endpoints: list[tuple[Listener, IStreamServerEndpoint]] = []
        self.ports: list[IListeningPort] = []
        self.sites: list[GatewaySite] = []
        self._bound = False
        problems: list[Problem] = []
        for listener in listeners:
            try:
                self._endpoints.append((listener, self._endpoint(listener)))
            except ValueError as error:
                problems.append(problem_of(listener, str(error)))
        if problems:
            raise ConfigError(problems)

    def _endpoint(self, listener: Listener) -> IStreamServerEndpoint:
        """Raises ValueError: what is wrong with it."""
        text = endpoint_text(listener, self._backlog)
        return make_endpoint(text, self._reactor, listener.endpoint)

    def privilegedStartService(self) -> None:
        self._bind()

    def startService(self) -> None:
        self._bind()
        super().startService()  # type: ignore[no-untyped-call]

    def _bind(self) -> None:
        if self._bound:
            return
        self.sites.clear()
        problems: list[Problem] = []
        for listener, endpoint in self._endpoints:
            site = self._make_site(_SECURE.match(listener.endpoint) is not None)
            self.sites.append(site)
            # The endpoints that Twisted has bind at once: what goes wrong is known on return.
            listening: Deferred[IListeningPort] = endpoint.listen(site)
            listening.addCallback(self._listening, listener)
            listening.addErrback(self._not_listening, listener, problems)
        if problems:
            self._close_ports()
            raise ConfigError(problems)
        self._bound = True

    def _listening(self, port: IListeningPort, listener: Listener) -> None:
        self.ports.append(port)
        self._take(port, listener)
        self.log.info("listening on {address}", address=_shown(port.getHost()), notice=True)

    def _take(self, port: IListeningPort, listener: Listener) -> None:  # noqa: ARG002  of a kind
        """Have the connections of `port` be served. Raises ConfigError if that cannot be done."""
        accept_clients(port, self._descriptors, self._admission)

    def _not_listening(self, failure: Failure, listener: Listener, problems: list[Problem]) -> None:
        error = failure.value
        if isinstance(error, ConfigError):
            found = list(error.problems)
        else:
            found = [problem_of(listener, _reason(failure))]
        problems += found
        if self._bound:  # an endpoint of a plugin, that takes its time
            for problem in found:
                self.log.critical("{problem}", problem=problem)

    def stopService(self) -> Deferred[Any]:
        """Close the sockets; connections stay. Fires when the sockets are closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._bound = False
        self._admission.stop()
        return DeferredList(self._close_ports())

    def _close_ports(self) -> list[Deferred[Any]]:
        ports, self.ports = self.ports, []
        return [
            maybeDeferred(port.stopListening).addErrback(self._not_closed, port.getHost())
            for port in ports
        ]

    def _not_closed(self, failure: Failure, address: Any) -> None:
        # Such as a UNIX socket in a folder that only root may write to.
        self.log.warn(
            "{address} is not closed cleanly: {reason}",
            address=_shown(address),
            reason=getattr(failure.value, "strerror", None) or failure.getErrorMessage(),
        )


def endpoint_text(listener: Listener, backlog: int = BACKLOG) -> str:
    """The Twisted endpoint string for a Listen line; one that says no backlog has `backlog`.

    A port alone listens on every address of both families, as Apache does; where the system has no
    IPv6, on those of IPv4.
    """
    if listener.endpoint:
        return with_backlog(listener.endpoint, backlog)
    address = listener.address.strip("[]")
    if not address:
        address = "::" if socket.has_ipv6 and _ipv6_works() else "0.0.0.0"  # noqa: S104
    family = "tcp6" if ":" in address else "tcp"
    escaped = address.replace(":", "\\:")
    return f"{family}:{listener.port}:backlog={backlog}:interface={escaped}"


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def is_inherited(listener: Listener) -> bool:
    """True if systemd hands the socket over: there is none unless it has started the process."""
    return "systemd:" in listener.endpoint.lower()


def make_endpoint(text: str, reactor: Any, written: str = "") -> IStreamServerEndpoint:
    """Raises ValueError: what is wrong with the string, as it is `written`, or with a file that it
    names."""
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
    except ImportError as error:
        raise ValueError(
            f"{written or text!r} needs more packages: pip install 'scgiproxy[tls]' ({error})"
        ) from error
    except OSError as error:
        raise ValueError(f"{written or text!r}: {error.strerror}: {error.filename}") from error
    except LookupError as error:
        if "systemd:" not in text.lower():
            raise ValueError(f"{written or text!r} is no endpoint: {error!r}") from error
        raise ValueError(
            f"{written or text!r}: systemd has not handed over such a socket"
        ) from error
    except Exception as error:  # each kind of endpoint has its own parser, and plugins bring more
        raise ValueError(f"{written or text!r}: {_explained(text, error)}") from error
    return endpoint


def _explained(text: str, error: Exception) -> str:
    kind = endpoint_type(text)
    plugins = {parser.prefix.lower() for parser in getPlugins(IStreamServerEndpointStringParser)}
    known = (ENDPOINT_TYPES | plugins) - {"stdio"}
    if kind not in known:
        expected = ", ".join(sorted(known))
        return f"{kind!r} is no kind of endpoint; expected {expected}{suggest(kind, known)}"
    if type(error).__module__.startswith("OpenSSL."):
        return f"expected files with a key and a certificate in PEM form ({error})"
    return f"it is no endpoint: {error}"


def _reason(failure: Failure) -> str:
    error = failure.value
    if isinstance(error, OSError) and error.strerror:  # the lock beside a UNIX socket
        path = os.fsdecode(error.filename2 or error.filename or "")
        return f"cannot listen: {path}: {error.strerror}" if path else error.strerror
    if not isinstance(error, CannotListenError):
        return f"cannot listen: {failure.getErrorMessage()}"
    reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    if isinstance(error.port, int):
        host = error.interface or "*"
        where = f"[{host}]:{error.port}" if ":" in host else f"{host}:{error.port}"
    else:
        where = error.port.decode(errors="backslashreplace")
        if reason == "Cannot acquire lock":
            reason = "another process listens there"
    return f"cannot listen on {where}: {reason}"


def _shown(address: Any) -> str:
    """An address of Twisted's, as a Listen line has it."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        name = getattr(address, "name", None)
        return str(address) if name is None else name.decode(errors="backslashreplace")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def problem_of(listener: Listener, message: str) -> Problem:
    """What is wrong with a Listen line."""
    return Problem(listener.position.file, listener.position.line, f"Listen: {message}")
