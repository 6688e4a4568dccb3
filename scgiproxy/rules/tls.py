"""What the configuration says of TLS to backends (``scgis://``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class TlsVerify(Enum):
    """How far the certificate of a backend is verified; the words of ``sslmode``."""

    NOTHING = "require"
    """There must be TLS, with anybody."""
    CHAIN = "verify-ca"
    """It must be of an authority that is trusted, for whatever name."""
    NAME = "verify-full"
    """It must be for the host of the URL, too."""


def parse_tls_mode(word: str) -> TlsVerify:
    """`sslmode`, in any case. Raises ValueError with a sentence that says what was expected."""
    try:
        return TlsVerify(word.lower())
    except ValueError:
        known = ", ".join(mode.value for mode in TlsVerify)
        raise ValueError(f"expected one of {known}, got {word!r}") from None


class TlsVersion(Enum):
    """The protocols of ``SSLProxyProtocol``."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


@dataclass(frozen=True, slots=True)
class PemFile:
    """What was in a file of certificates, and keys, in PEM; read once, when it was named.

    `source` is the line that names it, as ``FILE:LINE``.
    """

    path: str
    data: bytes = field(repr=False)
    source: str = field(default="", compare=False)

    @classmethod
    def read(cls, path: str | Path) -> PemFile:
        """What is in that file now. Raises OSError."""
        return cls(str(path), Path(path).read_bytes())


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """``SSLProxy...`` and ``sslmode``, for one backend."""

    verify: TlsVerify = TlsVerify.NAME
    authorities: tuple[PemFile, ...] = ()
    """Who is trusted; empty: whom the system trusts."""
    certificate: PemFile | None = None
    """The gateway's own, with its key, and those between it and its authority."""
    versions: tuple[TlsVersion, ...] = tuple(TlsVersion)
    """At least one, the oldest first."""
