"""Rows of the table: TLS to backends (mod_ssl's SSLProxy...), and what they say of one backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scgiproxy.config.arguments import choice, flag
from scgiproxy.config.scopes import HostDraft, Place, TlsDraft
from scgiproxy.config.table import HOST, Context, Directive, Merge, Read
from scgiproxy.message.backend_url import BackendUrl
from scgiproxy.rules.tls import PemFile, TlsSettings, TlsVerify, TlsVersion

_BY_URL = "the URL of a backend says whether it is TLS: scgis://"
_CONTEXTS = HOST | Context.PROXY
_LONGEST = 1 << 22
"""Bytes of a file of certificates; those of all authorities of a system are a tenth of it."""
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"
_ENCRYPTED = (b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_VERSIONS = {version.value.lower(): version for version in TlsVersion}
_TOO_OLD = ("sslv2", "sslv3", "tlsv1", "tlsv1.1")


def covers(backend: BackendUrl, url: BackendUrl) -> bool:
    """Whether what is said of `backend` is meant for `url`: the same address, and a path that is
    its path or below it (as a worker of Apache takes every URL that begins with its name)."""
    if backend.address != url.address or backend.secure != url.secure:
        return False
    path = backend.path.rstrip(b"/")
    return url.path.startswith(path) and url.path[len(path) : len(path) + 1] in (b"", b"/")


def tls_of(
    hosts: Iterable[HostDraft], url: BackendUrl, balancer: str, mode: TlsVerify | None = None
) -> TlsSettings:
    """What `hosts`, the outermost first, say of TLS to `url`, which may be a member of `balancer`
    (empty: of none). `mode` is its ``sslmode``."""
    drafts = [draft for host in {id(host): host for host in hosts}.values() for draft in host.tls]
    values: dict[str, Any] = {}
    # What sections say counts more than what stands outside them.
    for draft in sorted(drafts, key=lambda draft: draft.pattern is not None):
        if draft.pattern is None or _is_meant(draft, url, balancer):
            values.update(draft.values)
    verify = TlsVerify.NAME if values.get("check_name", True) else TlsVerify.CHAIN
    if not values.get("verify", True):
        verify = TlsVerify.NOTHING
    authorities = (values.get("authority_file"), values.get("authority_path"))
    return TlsSettings(
        verify=mode or verify,
        authorities=tuple(one for one in authorities if one is not None),
        certificate=values.get("certificate"),
        versions=values.get("versions", tuple(TlsVersion)),
    )


def _is_meant(draft: TlsDraft, url: BackendUrl, balancer: str) -> bool:
    if draft.backend is not None:
        if draft.backend.address is None:
            return draft.backend.balancer == balancer
        return covers(draft.backend, url)
    names = [url.label, f"balancer://{balancer}"] if balancer else [url.label]
    octets = [name.encode("utf-8", "surrogateescape") for name in names]
    if isinstance(draft.pattern, bytes):
        return any(name.startswith(draft.pattern) for name in octets)
    assert draft.pattern is not None
    return any(map(draft.pattern.search, octets))


# -- reading -----------------------------------------------------------------------------------


def _read_file(path: Path) -> bytes:
    """Raises ValueError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if len(data) > _LONGEST:
        raise ValueError(f"{str(path)!r} is over {_LONGEST} bytes: that is no file of certificates")
    return data


def _read_authorities(place: Place, words: list[str]) -> PemFile:
    path = place.resolve(words[0])
    data = _read_file(path)
    if _CERTIFICATE not in data:
        raise ValueError(f"{str(path)!r} has no certificate (PEM) in it")
    return PemFile(str(path), data, str(place.position))


def _read_authority_path(place: Place, words: list[str]) -> PemFile:
    """Every file is taken: names that are hashes, as OpenSSL wants them, are not needed."""
    path = place.resolve(words[0])
    try:
        files = sorted({file.resolve() for file in path.iterdir()})
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    found = [
        data for file in files if file.is_file() and _CERTIFICATE in (data := _read_file(file))
    ]
    if not found:
        raise ValueError(f"no file in {str(path)!r} has a certificate (PEM) in it")
    return PemFile(str(path), b"\n".join(found), str(place.position))


def _read_certificate(place: Place, words: list[str]) -> PemFile:
    pem = _read_authorities(place, words)
    if _KEY not in pem.data:
        raise ValueError(f"{pem.path!r} has no private key (PEM) in it, only certificates")
    if any(sign in pem.data for sign in _ENCRYPTED):
        raise ValueError(f"the private key in {pem.path!r} is encrypted; expected one that is not")
    return pem


def _read_versions(_: Place, words: list[str]) -> tuple[TlsVersion, ...]:
    """``all -TLSv1.2``: from left to right; a word without a sign is added to those before it."""
    chosen: frozenset[TlsVersion] = frozenset()
    for word in words:
        sign, name = (word[0], word[1:]) if word[0] in "+-" else ("+", word)
        lower = name.lower()
        if lower == "all":
            meant = frozenset(TlsVersion)
        elif lower in _VERSIONS:
            meant = frozenset({_VERSIONS[lower]})
        elif lower in _TOO_OLD and sign == "-":
            continue
        else:
            raise ValueError(f"expected all, TLSv1.2 or TLSv1.3, with + or -, got {word!r}")
        chosen = chosen | meant if sign == "+" else chosen - meant
    if not chosen:
        raise ValueError(f"expected one protocol to be left, got {' '.join(words)!r}")
    return tuple(version for version in TlsVersion if version in chosen)


@dataclass(frozen=True, slots=True)
class _Set:
    """Keeps a value under `name`, for the section or the server that it stands in."""

    name: str

    def __call__(self, place: Place, value: Any) -> None:
        given: Mapping[str, Any] = {self.name: value}
        if place.context is not Context.PROXY:
            place.host.tls.append(TlsDraft(None, None, given))
        elif not place.is_lost:
            place.host.tls.append(TlsDraft(place.pattern, place.backend, given))


def _row(
    name: str, syntax: str, read: Read, field: str, doc: str, default: str, most: int | None = 1
) -> Directive:
    effect: Callable[[Place, Any], None] = _Set(field)
    return Directive(
        name=name,
        contexts=_CONTEXTS,
        syntax=syntax,
        count=(1, most),
        read=read,
        effect=effect,
        merge=Merge.REPLACE,
        doc=doc,
        default=default,
    )


ROWS = (
    _row(
        "SSLProxyCACertificateFile",
        "FILE",
        _read_authorities,
        "authority_file",
        "The certificates (PEM) of the authorities whose certificates scgis:// backends may have.",
        "those that the system trusts",
    ),
    _row(
        "SSLProxyCACertificatePath",
        "DIRECTORY",
        _read_authority_path,
        "authority_path",
        "A directory of such files; all of them count, beside that of SSLProxyCACertificateFile.",
        "none",
    ),
    _row(
        "SSLProxyMachineCertificateFile",
        "FILE",
        _read_certificate,
        "certificate",
        "The gateway's own certificate (PEM) for scgis:// backends, with those between it and its"
        " authority, and its key, which is not encrypted.",
        "none",
    ),
    _row(
        "SSLProxyVerify",
        "none|require",
        choice({"none": False, "require": True}),
        "verify",
        "Whether an scgis:// backend must have a certificate of a trusted authority.",
        "require",
    ),
    _row(
        "SSLProxyCheckPeerName",
        "On|Off",
        flag,
        "check_name",
        "Whether the certificate of an scgis:// backend must be for the host of its URL.",
        "On",
    ),
    _row(
        "SSLProxyProtocol",
        "[+|-]PROTOCOL ...",
        _read_versions,
        "versions",
        "Which of TLSv1.2 and TLSv1.3 are spoken with scgis:// backends; all: both.",
        "all",
        None,
    ),
    Directive(
        name="SSLProxyEngine",
        contexts=_CONTEXTS,
        syntax="On|Off",
        count=(0, None),
        doc=f"Does nothing here: {_BY_URL}.",
        inert=_BY_URL,
    ),
)
