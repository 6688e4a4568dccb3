"""TLS to backends: who is trusted, what the gateway says of itself, and what is told of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.errors import ConfigError, TlsFailed
from scgiproxy.scgi.request import RequestParser
from tests.certificates import Identity, authority, stranger
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway, request
from tests.web.answers import Log
from tests.web.harness import Client
from tests.web.tlsend import TlsEnd

HOST = "localhost"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_bytes(authority().certificate)
    (tmp_path / "other.pem").write_bytes(stranger().certificate)
    authority().issue("gateway", is_client=True).write(tmp_path / "own.pem")
    authority().issue("another", is_client=True).write(tmp_path / "another.pem")
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "1.crt").write_bytes(b"# a comment\n" + stranger().certificate)
    (folder / "2.pem").write_bytes(authority().certificate)
    (folder / "README").write_text("no certificate")
    return tmp_path


def speak(
    gateway: ConfiguredGateway, identity: Identity, path: str = "/", clients: bool = False
) -> tuple[Client, TlsEnd]:
    """A request to a backend that is `identity`, as far as the handshake allows it."""
    client = gateway.send(path)
    end = gateway.accept()
    tls = TlsEnd(end, identity, authority() if clients else None)
    gateway.settle()
    tls.pump()
    gateway.settle()
    return client, tls


def trusts(
    gateway: ConfiguredGateway, identity: Identity, path: str = "/", clients: bool = False
) -> TlsEnd | None:
    """The backend's side of an exchange that went well; None if the backend is not trusted."""
    with Log() as log:
        client, tls = speak(gateway, identity, path, clients)
        if not tls.data:
            gateway.settle()
            assert client.answer.status == 503
            told = [event["log_format"].format(**event) for event in log.events]
            assert "failed: certificate verify failed: " in told[-1]
            return None
    assert not client.received
    tls.answer(HELLO).close()
    gateway.settle()
    assert (client.answer.status, client.answer.body) == (200, b"hello")
    return tls


MINE = authority().issue(HOST, "127.0.0.1")
MISNAMED = authority().issue("other.example")
STRANGE = stranger().issue(HOST, "127.0.0.1")


@behaviour("ProxyPass", "SSLProxyCACertificateFile")
def test_exchange(configured: Configured, files: Path) -> None:
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\nProxyPass /a/ scgis://{HOST}:4001/b/"
    )
    assert gateway.notes == []
    tls = trusts(gateway, MINE, "/a/x?y=1")
    assert tls is not None
    head = RequestParser().feed(tls.data)
    assert head is not None
    assert head.variables[b"REQUEST_URI"] == b"/a/x?y=1"
    assert tls.server_name == HOST.encode()
    assert tls.gateway == ""
    assert gateway.attempts[-1].where in (f"{HOST}:4001", "127.0.0.1:4001", "[::1]:4001")


@behaviour("SSLProxyCACertificateFile")
def test_who_is_trusted(configured: Configured, files: Path) -> None:
    """Whom the file names, nobody else; the innermost place counts."""
    gateway = configured(
        f"""
        SSLProxyCACertificateFile {files}/other.pem
        ProxyPass /inherited/ scgis://127.0.0.1:4001/
        <VirtualHost *>
          SSLProxyCACertificateFile {files}/ca.pem
          ProxyPass /host/ scgis://127.0.0.1:4002/
          <Proxy scgis://127.0.0.1:4003>
            SSLProxyCACertificateFile {files}/other.pem
          </Proxy>
          ProxyPass /section/ scgis://127.0.0.1:4003/
          <Proxy "scgis://*:4004*">
            SSLProxyCACertificateFile {files}/other.pem
          </Proxy>
          ProxyPass /pattern/ scgis://127.0.0.1:4004/
        </VirtualHost>
        """
    )
    for path, is_mine in (
        ("/inherited/", False),
        ("/host/", True),
        ("/section/", False),
        ("/pattern/", False),
    ):
        assert (trusts(gateway, MINE, path) is not None) is is_mine
        assert (trusts(gateway, STRANGE, path) is not None) is not is_mine


@behaviour("SSLProxyCACertificatePath")
def test_folder_of_authorities(configured: Configured, files: Path) -> None:
    """All that are in it, and the one of the file besides."""
    gateway = configured(
        f"SSLProxyCACertificatePath {files}/authorities\nProxyPass / scgis://127.0.0.1:4001/"
    )
    assert trusts(gateway, MINE)
    assert trusts(gateway, STRANGE)


@behaviour("SSLProxyMachineCertificateFile")
def test_certificate_of_the_gateway(configured: Configured, files: Path) -> None:
    gateway = configured(
        f"""
        SSLProxyCACertificateFile {files}/ca.pem
        SSLProxyMachineCertificateFile {files}/own.pem
        ProxyPass /b/ balancer://b/
        <Proxy balancer://b>
          SSLProxyMachineCertificateFile {files}/another.pem
          BalancerMember scgis://127.0.0.1:4002
        </Proxy>
        ProxyPass / scgis://127.0.0.1:4001/
        """
    )
    for path, name in (("/", "CN=gateway"), ("/b/", "CN=another")):
        tls = trusts(gateway, MINE, path, clients=True)
        assert tls is not None
        assert tls.gateway == name


@behaviour("SSLProxyVerify", "SSLProxyCheckPeerName", "sslmode=")
@pytest.mark.parametrize(
    ("lines", "parameter", "misnamed", "strange"),
    [
        ("", "", False, False),
        ("SSLProxyVerify require", "", False, False),
        ("SSLProxyVerify none", "", True, True),
        ("SSLProxyCheckPeerName Off", "", True, False),
        ("SSLProxyCheckPeerName On", "sslmode=verify-ca", True, False),
        ("SSLProxyVerify none", "sslmode=verify-full", False, False),
        ("SSLProxyVerify none", "sslmode=Verify-CA", True, False),
        ("", "sslmode=require", True, True),
    ],
)
def test_how_far_it_is_verified(
    configured: Configured,
    files: Path,
    lines: str,
    parameter: str,
    misnamed: bool,
    strange: bool,
) -> None:
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\n{lines}\n"
        f"ProxyPass / scgis://{HOST}:4001/ {parameter}"
    )
    assert trusts(gateway, MINE)
    assert (trusts(gateway, MISNAMED) is not None) is misnamed
    assert (trusts(gateway, STRANGE) is not None) is strange
    # Nothing is verified: that has to be told.
    assert any("is not verified" in note for note in gateway.notes) is strange


@behaviour("SSLProxyProtocol")
@pytest.mark.parametrize(
    ("words", "version"),
    [("all", "TLSv1.3"), ("TLSv1.2", "TLSv1.2"), ("all -TLSv1.3 -SSLv3", "TLSv1.2")],
)
def test_protocol(configured: Configured, files: Path, words: str, version: str) -> None:
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\nSSLProxyProtocol {words}\n"
        f"ProxyPass / scgis://127.0.0.1:4001/"
    )
    tls = trusts(gateway, MINE)
    assert tls is not None
    assert tls._connection.get_protocol_version_name() == version


# -- as a backend like any other ---------------------------------------------------------------

BALANCED = """
    SSLProxyCACertificateFile {files}/ca.pem
    ProxyPass / balancer://b/
    <Proxy balancer://b>
      BalancerMember scgis://127.0.0.1:4001 {more}
      BalancerMember scgi://127.0.0.1:4002 status=H
    </Proxy>
"""


@behaviour("BalancerMember")
def test_failed_handshake_is_a_failed_connection(configured: Configured, files: Path) -> None:
    """The next member has the request, also one that may not be repeated, and this one is in error."""
    gateway = configured(BALANCED.format(files=files, more=""))
    client = gateway.client().send(request("/", method="POST", body=b"x"))
    gateway.settle()
    TlsEnd(gateway.accept(), MISNAMED)
    gateway.settle()
    assert gateway.attempts[-1].where == "127.0.0.1:4002"
    end = gateway.accept()
    assert end.body == b"x"
    end.answer(HELLO)
    gateway.settle()
    assert client.answer.status == 200
    (pool,) = gateway.parts.pools
    assert pool.backends[0].state_name == "down"
    fault = pool.backends[0].last_fault
    assert isinstance(fault, TlsFailed)
    assert "it is for other.example, and not for 127.0.0.1" in str(fault)


@behaviour("BalancerMember")
def test_end_without_close_notify_is_no_end(configured: Configured, files: Path) -> None:
    """An answer without a length ends with the connection, and that anybody could have cut."""
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\nProxyPass / scgis://127.0.0.1:4001/\n"
        "<Proxy balancer://unused>\nBalancerMember scgi://127.0.0.1\n</Proxy>"
    )
    for is_whole in (True, False):
        client, tls = speak(gateway, MINE)
        tls.answer(b"Status: 200 OK\r\n\r\npart")
        gateway.settle()
        with Log() as log:
            if is_whole:
                tls.close()
            else:
                tls.end.close()
            gateway.settle()
        if is_whole:
            assert client.answer.body == b"part"
        else:
            assert not client.received.endswith(b"0\r\n\r\n")
            assert client.transport.closed == "aborted"
            assert "without TLS's close_notify" in log.line()


@behaviour("hcmethod=", "hcinterval=")
@pytest.mark.parametrize(("identity", "passes"), [(MINE, True), (MISNAMED, False)])
def test_health_check_has_the_handshake(
    configured: Configured, files: Path, identity: Identity, passes: bool
) -> None:
    gateway = configured(
        BALANCED.format(files=files, more="hcmethod=TCP hcinterval=5 hcpasses=1 hcfails=1")
    )
    gateway.parts.checks.start()
    for _ in range(100):
        if any(attempt.open for attempt in gateway.attempts):
            break
        gateway.reactor.advance(0.125)
    TlsEnd(gateway.accept(), identity)
    gateway.settle()
    backend = gateway.parts.pools[0].backends[0]
    assert backend.last_probe is not None
    assert backend.last_probe.passed is passes
    if not passes:
        assert "hostname mismatch" in backend.last_probe.told
    gateway.parts.checks.stop()


@behaviour("preconnect=")
def test_connection_that_is_kept_ready_has_its_handshake_behind_it(
    configured: Configured, files: Path
) -> None:
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\n"
        "ProxyPass / scgis://127.0.0.1:4001/ preconnect=1"
    )
    gateway.parts.readiness.start()
    gateway.settle()
    tls = TlsEnd(gateway.accept(), MINE)
    gateway.settle()
    client = gateway.send("/")
    tls.pump()
    assert tls.data
    tls.answer(HELLO).close()
    gateway.settle()
    assert client.answer.body == b"hello"
    gateway.parts.readiness.stop()


# -- what is wrong with it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "SSLProxyMachineCertificateFile {files}/mixed.pem\nProxyPass / scgis://h/",
            "f:1: the private key in '{files}/mixed.pem' is not that of the first certificate there",
        ),
        (
            (
                "SSLProxyCACertificateFile {files}/broken.pem\nProxyPass / balancer://b/\n"
                "BalancerMember balancer://b scgis://h"
            ),
            "f:1: certificate 1 in '{files}/broken.pem' cannot be read",
        ),
        (
            "ProxyPass / scgi://localhost/ sslmode=require",
            "f:1: sslmode: expected it with scgis://",
        ),
    ],
)
def test_what_cannot_be_used(configured: Configured, files: Path, text: str, told: str) -> None:
    """The line that names the file is told, also by a check."""
    (files / "mixed.pem").write_bytes(authority().certificate + stranger().key)
    (files / "broken.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    with pytest.raises(ConfigError) as failed:
        configured(text.format(files=files))
    (problem,) = failed.value.problems
    assert str(problem).startswith(told.format(files=files))


@behaviour("halfclose=")
def test_halfclose_does_nothing(configured: Configured, files: Path) -> None:
    gateway = configured(
        f"SSLProxyCACertificateFile {files}/ca.pem\n"
        "ProxyPass / scgis://127.0.0.1:4001/ halfclose=On"
    )
    assert any("halfclose does nothing with scgis://" in note for note in gateway.notes)
    tls = trusts(gateway, MINE)
    assert tls is not None


@behaviour("ProxyPass")
def test_note_of_a_remote_backend(configured: Configured, files: Path) -> None:
    """Without TLS everybody on the way reads along, and everybody there may ask."""
    plain = configured("ProxyPass / scgi://192.0.2.1/")
    (note,) = plain.notes
    assert note.startswith("f:1: ProxyPass: 192.0.2.1 is not a loopback address")
    assert (
        configured(
            f"SSLProxyCACertificateFile {files}/ca.pem\nProxyPass / scgis://192.0.2.1/"
        ).notes
        == []
    )


def test_member_that_is_added(configured: Configured, files: Path) -> None:
    """By the balancer-manager: as the balancer's section says it."""
    gateway = configured(
        f"""
        ProxyPass / balancer://b/
        <Proxy balancer://b>
          SSLProxyCACertificateFile {files}/ca.pem
          BalancerMember scgi://127.0.0.1:4001 status=D
          ProxySet growth=1
        </Proxy>
        """
    )
    managed = next(iter(gateway.parts.balancing.managed.values()))
    member = managed.add(f"scgis://{HOST}:4002")
    member.disabled = False
    gateway.parts.pools[0].set_backends(gateway.parts.pools[0].backends)
    assert trusts(gateway, MINE)
    assert trusts(gateway, STRANGE) is None
