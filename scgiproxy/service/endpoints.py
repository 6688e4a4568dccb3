"""Listen lines as Twisted endpoints, and what is wrong with one that cannot be had."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from scgiproxy.config.endpoints import (
    ENDPOINT_TYPES,
    bound_address,
    endpoint_type,
    with_backlog,
)
from scgiproxy.config.model import Listener
from scgiproxy.errors import Problem
from scgiproxy.rules.parameters import suggest
from scgiproxy.service.proxyprotocol import ProxiedEndpoint
from scgiproxy.service.takeover import Place

BACKLOG = 511
"""Of ListenBacklog, if it says nothing."""


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


def place_of(listener: Listener) -> Place:
    """What tells whether it is the same socket, however it is spoken there."""
    if not listener.endpoint:
        return listener.address.strip("[]"), listener.port, ""
    bound = bound_address(listener.endpoint)
    return ("", 0, listener.endpoint) if bound is None else (*bound, "")


def endpoint_text_of_socket(text: str) -> str:
    """The endpoint string by which a socket that is there is listened to: one of systemd's was handed
    over but once. The socket says what it is."""
    if endpoint_type(text) != "systemd":
        return text
    return "haproxy:" * text.lower().count("haproxy:") + "tcp:0"


def make_endpoint(text: str, reactor: Any, written: str = "") -> IStreamServerEndpoint:
    """Raises ValueError: what is wrong with the string, as it is `written`, or with a file that it
    names."""
    try:
        return _endpoint(text, reactor)
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


def _endpoint(text: str, reactor: Any) -> IStreamServerEndpoint:
    kind, colon, inner = text.partition(":")
    if colon and kind.lower() == "haproxy":
        return ProxiedEndpoint(_endpoint(inner, reactor), reactor.seconds)
    endpoint: IStreamServerEndpoint = serverFromString(reactor, text)
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


def reason_of(failure: Failure) -> str:
    """Why a listener's socket could not be had."""
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


def shown_address(address: Any) -> str:
    """An address of Twisted's, as a Listen line has it."""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        name = getattr(address, "name", None)
        return str(address) if name is None else name.decode(errors="backslashreplace")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def problem_of(listener: Listener, message: str) -> Problem:
    """What is wrong with a Listen line."""
    return Problem(listener.position.file, listener.position.line, f"Listen: {message}")
