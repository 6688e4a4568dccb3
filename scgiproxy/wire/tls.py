"""TLS to a backend: what is offered and trusted, and who the other end has to be.

Needs pyOpenSSL and service-identity (``pip install scgiproxy[tls]``), so it is imported only where
there is a ``scgis://`` backend.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    extract_patterns,
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from scgiproxy.rules.tls import PemFile, TlsSettings, TlsVerify, TlsVersion

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(
    b"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL
)
_VERSIONS = {
    TlsVersion.TLS_1_2: SSL.TLS1_2_VERSION,
    TlsVersion.TLS_1_3: SSL.TLS1_3_VERSION,
}
_COMPLAINTS = {
    2: "unable to get the certificate of its issuer",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed, and not among the authorities",
    19: "an authority that is not trusted has signed it",
    20: "unable to get the certificate of its issuer: that authority is not trusted",
    21: "unable to verify the first certificate: its issuer is not trusted, or was not sent",
    23: "it has been revoked",
    24: "its issuer is no authority",
    26: "it is not for servers",
    66: "its key is too small",
}
"""What X509_verify_cert(3) finds wrong, by number."""


class PemProblem(ValueError):
    """A file of certificates that cannot be used; `source` is the line that names it."""

    def __init__(self, message: str, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class TlsContext:
    """What all connections with the same `settings` share. Raises PemProblem."""

    def __init__(self, settings: TlsSettings) -> None:
        self.verify = settings.verify
        self.openssl = context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(_VERSIONS[settings.versions[0]])
        context.set_max_proto_version(_VERSIONS[settings.versions[-1]])
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        # What TLS holds of a connection that waits for its answer.
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        if settings.certificate is not None:
            _identify(context, settings.certificate)
        if settings.verify is TlsVerify.NOTHING:
            context.set_verify(SSL.VERIFY_NONE)
            return
        context.set_verify(SSL.VERIFY_PEER, _verified)
        if settings.authorities:
            store = context.get_cert_store()
            assert store is not None  # a context has one
            for file in settings.authorities:
                for certificate in _certificates(file):
                    store.add_cert(crypto.X509.from_cryptography(certificate))
        else:
            context.set_default_verify_paths()


def _verified(connection: SSL.Connection, _: object, number: int, depth: int, is_good: int) -> bool:
    """OpenSSL has looked at one certificate: remember what is wrong with it, for the log."""
    if not is_good:
        whose = " (that of its issuer)" if depth else ""
        told = _COMPLAINTS.get(number, f"OpenSSL's error {number}")
        connection.get_app_data().complaint = f"certificate verify failed: {told}{whose}"
    return bool(is_good)


def _certificates(file: PemFile) -> list[x509.Certificate]:
    found = []
    for number, pem in enumerate(_CERTIFICATE.findall(file.data), 1):
        try:
            found.append(x509.load_pem_x509_certificate(pem))
        except ValueError:
            raise PemProblem(
                f"certificate {number} in {file.path!r} cannot be read", file.source
            ) from None
    if not found:
        raise PemProblem(f"{file.path!r} has no certificate (PEM) in it", file.source)
    return found


def _identify(context: SSL.Context, file: PemFile) -> None:
    """Have the gateway's own certificate and key."""
    certificate, *chain = _certificates(file)
    found = _KEY.search(file.data)
    try:
        key: Any = load_pem_private_key(found[0] if found else b"", None)
        context.use_privatekey(key)
    except (ValueError, TypeError, UnsupportedAlgorithm, SSL.Error):
        raise PemProblem(f"the private key in {file.path!r} cannot be read", file.source) from None
    try:
        context.use_certificate(certificate)
        context.check_privatekey()
    except SSL.Error:
        raise PemProblem(
            f"the private key in {file.path!r} is not that of the first certificate there",
            file.source,
        ) from None
    for issuer in chain:
        context.add_extra_chain_cert(issuer)


@implementer(IOpenSSLClientConnectionCreator)
class TlsPeer:
    """Who a connection is to be with: the `name` (or IP address) of a URL's host."""

    def __init__(self, context: TlsContext, name: str) -> None:
        self.name = name
        self._context = context
        self._indication = b""
        try:
            ip_address(name)
        except ValueError:
            # No dot at its end: neither certificates nor TLS know that (RFC 6066 section 3).
            self.name = name.removesuffix(".")
            self._indication = self.name.encode("ascii", "replace")

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """See `IOpenSSLClientConnectionCreator`."""
        connection = SSL.Connection(self._context.openssl, None)
        connection.set_app_data(tlsProtocol)
        if self._indication:
            connection.set_tlsext_host_name(self._indication)
        return connection

    def objection(self, connection: SSL.Connection) -> str:
        """What is wrong with the name in the other end's certificate; empty: nothing is.

        The certificate itself has been verified by now. (RFC 9525.)
        """
        if self._context.verify is not TlsVerify.NAME:
            return ""
        certificate = connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return "certificate verify failed: it has none"
        try:
            if self._indication:
                verify_certificate_hostname(certificate, self.name)
            else:
                verify_certificate_ip_address(certificate, self.name)
        except (VerificationError, CertificateError):
            return (
                "certificate verify failed: hostname mismatch: it is for"
                f" {_names_in(certificate)}, and not for {self.name}"
            )
        except ValueError as error:
            return f"certificate verify failed: {self.name!r} is no name for a certificate: {error}"
        return ""


def _names_in(certificate: x509.Certificate) -> str:
    try:
        patterns = extract_patterns(certificate)
    except (CertificateError, ValueError):
        patterns = []
    names = [_shown(pattern.pattern) for pattern in patterns if hasattr(pattern, "pattern")]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ascii(", ".join(names[:5]))[1:-1] + more if names else "no name at all"


def _shown(pattern: object) -> str:
    if isinstance(pattern, bytes):
        return pattern.decode("ascii", "backslashreplace")[:100]
    return str(pattern)[:100]
