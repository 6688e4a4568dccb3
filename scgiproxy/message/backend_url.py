"""Backend addresses, as written in a configuration or in an agent's URL.

`parse_backend_url` reads the forms of Apache (mod_proxy_scgi, ProxyPass) and the ones found in the
wild; the result says where to connect and which path the backend is mounted at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

DEFAULT_PORT = 4000
"""mod_proxy_scgi's default; a convention of Apache, not of the protocol."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (a name, or an address without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A UNIX socket's path; with a leading ``@`` it is an abstract one."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class BackendUrl:
    """One backend, or one balancer.

    - `address` is None for ``balancer://NAME``, and then `balancer` is NAME in lower case.
    - `path` is what follows the authority, as written (may be empty), in bytes.
    - `label` is the URL as the user knows it, without a user part, for logs and
      BALANCER_WORKER_NAME.
    - `note` is a hint for the configuration check, empty if there is none.
    - `secure` says that it is spoken to through TLS (``scgis://``).
    """

    address: Address | None
    path: bytes
    label: str
    balancer: str = ""
    note: str = ""
    secure: bool = False


_HOST = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
MAX_SOCKET_PATH = 107
"""Bytes of a UNIX socket's path, the system's limit."""


def parse_backend_url(text: str) -> BackendUrl:
    """Read ``scgi://host[:4000]/path``, ``unix:/path|scgi://name/path``, ``balancer://name/path``.

    Also ``scgis://host:port/path`` (TLS), ``scgi:///path/to.sock`` (a UNIX socket, with a note),
    ``scgi://[::1]:4000/``; a user part is dropped as Apache does; the host is lower-cased. Raises ValueError with a sentence that says
    what was expected. (mod_proxy_scgi, canonicalisation.)
    """
    if text[:5].lower() == "unix:":
        return _parse_unix(text)
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        raise ValueError(f"{text!r} is no URL; expected scgi://host:port/path")
    if scheme == "balancer":
        name, slash, path = rest.partition("/")
        if not name:
            raise ValueError("a balancer needs a name: balancer://name/")
        return BackendUrl(None, _bytes(slash + path), text, balancer=name.lower())
    if scheme not in ("scgi", "scgis"):
        raise ValueError(
            f"scheme {scheme!r} is not served here; expected scgi://, scgis:// or balancer://"
        )
    authority, slash, path = rest.partition("/")
    if not authority:
        if not path or scheme == "scgis":
            raise ValueError(f"no host in '{scheme}://'; expected {scheme}://host:port/path")
        note = f"{text} is taken as a UNIX socket; Apache writes it unix:/{path}|scgi://localhost"
        return BackendUrl(_unix_address("/" + path), b"", text, note=note)
    # A password is not for logs: the label is made again without it.
    authority = authority.rpartition("@")[2]
    host, port = split_authority(authority)
    label = f"{text[: len(scheme)]}://{authority}{slash}{path}"
    address = TcpAddress(host, port)
    return BackendUrl(address, _bytes(slash + path), label, secure=scheme == "scgis")


def split_authority(authority: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """``host``, ``host:port``, ``[v6]`` or ``[v6]:port`` to host and port.

    Raises ValueError with a sentence that says what was expected.
    """
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        try:
            IPv6Address(host)
        except AddressValueError:
            bracket = ""
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"malformed IPv6 address in {authority!r}; expected [::1]:port")
        host = host.lower()
        port = rest[1:]
    else:
        host, _, port = authority.lower().partition(":")
        if not host:
            raise ValueError(f"no host in {authority!r}; expected host:port (IPv6: [::1]:port)")
        if not is_host_name(host):
            raise ValueError(f"{host!r} is no host name; expected letters, digits, dots, dashes")
    if not port:
        return host, default_port
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        message = f"port {port!r} of {authority!r} is no number from 1 to 65535"
        if port[0].isdigit() and not port.isdigit():
            # As 4000 and "x" become 4000x.
            message += " (do both paths of the mount end in a slash, or neither?)"
        raise ValueError(message)
    return host, int(port)


def is_host_name(host: str) -> bool:
    """Whether `host`, in lower case, is a name that can be looked up: letters, digits, dashes and
    underscores, in the lengths of RFC 1035. A dot at the end is allowed."""
    return _HOST.fullmatch(host) is not None


def _parse_unix(text: str) -> BackendUrl:
    path, bar, label = text[len("unix:") :].partition("|")
    scheme, separator, rest = label.partition("://")
    if bar and scheme.lower().rstrip(":") == "scgis":
        raise ValueError(f"TLS is for TCP and not for a UNIX socket: expected scgi:// in {text!r}")
    if bar and scheme.lower().rstrip(":") != "scgi":
        raise ValueError(f"expected scgi://name/ after the bar of {text!r}")
    _, slash, url_path = rest.partition("/") if separator else ("", "", "")
    return BackendUrl(_unix_address(path), _bytes(slash + url_path), text)


def _unix_address(path: str) -> UnixAddress:
    if not path:
        raise ValueError("no socket path after 'unix:'; expected unix:/path|scgi://name/")
    if "\x00" in path:
        raise ValueError(f"the socket path {path!r} has a NUL")
    if len(_bytes(path)) > MAX_SOCKET_PATH:
        raise ValueError(f"the socket path {path!r} is over {MAX_SOCKET_PATH} bytes")
    return UnixAddress(path)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
