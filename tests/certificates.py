"""Authorities and certificates, made when a test wants them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Identity:
    """A certificate and its key; `pem` is both, `certificate` the first alone."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.x509 = certificate
        self.private_key = key
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)
        self.key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.pem = self.certificate + self.key

    def encrypted_key(self, passphrase: bytes) -> bytes:
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )

    def write(self, path: Path) -> Path:
        """Certificate and key, to that file."""
        path.write_bytes(self.pem)
        return path


class Authority(Identity):
    """One that signs others."""

    def __init__(self, name: str = "test authority") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        super().__init__(_sign(_name(name), key, _name(name), key, is_authority=True), key)

    def issue(self, *names: str, days: int = 1, is_client: bool = False) -> Identity:
        """For these host names and IP addresses; with `days` below 0 it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0] if names else "nobody")
        made = _sign(
            subject,
            key,
            self.x509.subject,
            self.private_key,
            names=names,
            days=days,
            is_client=is_client,
        )
        return Identity(made, key)


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *,
    names: tuple[str, ...] = (),
    days: int = 1,
    is_authority: bool = False,
    is_client: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if not is_authority:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(signer, hashes.SHA256())


@cache
def authority() -> Authority:
    """The one that tests trust, for all of a run."""
    return Authority()


@cache
def stranger() -> Authority:
    """One that nobody trusts."""
    return Authority("somebody else")
