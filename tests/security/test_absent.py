"""What is not there cannot be attacked; here it is shown not to be there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import scgiproxy
from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from tests.directives.gateway import ConfiguredGateway
from tests.web.harness import Gateway

PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"
UNKNOWN = {
    "HTTP/2": "H2Direct on",
    "rewriting of HTML": "ProxyHTMLEnable On",
    "decompression of uploads": "SetInputFilter DEFLATE",
    "decompression of answers": "SetOutputFilter INFLATE;DEFLATE",
    "rewriting of targets": "RewriteEngine On\nRewriteRule ^/(.*) scgi://$1/ [P]",
    "a forward proxy": "ProxyRequests On",
    "a cache": "CacheEnable disk /",
    "addresses that a field says": "RemoteIPHeader X-Forwarded-For",
    "a backend of the path": "ProxyPassMatch ^/([^/]+)/(.*)$ scgi://$1:4000/$2",
    "a backend of a variable": "ProxyPass / scgi://%{HTTP_HOST}:4000/",
}


@pytest.mark.parametrize("feature", UNKNOWN)
def test_it_cannot_be_configured(feature: str) -> None:
    with pytest.raises(ConfigError):
        load_text(f"Listen 80\n{UNKNOWN[feature]}\n", environment={})


def test_http_2_is_not_offered() -> None:
    """Nor is it when it is asked for: the check says so."""
    assert Gateway().site.acceptableProtocols() == [b"http/1.1"]
    (note,) = load_text("Listen 80\nProtocols h2 h2c http/1.1\n", environment={}).notes
    assert "HTTP/1.1 is spoken" in str(note)


def test_no_module_has_what_such_features_need() -> None:
    """No HTTP/2, no inflating, no XML of strangers, no forward proxy, no DNS server's parser."""
    needs = {"h2", "hpack", "hyperframe", "zlib", "gzip", "brotli", "lxml", "twisted.web.proxy"}
    needs |= {"twisted.web._http2", "twisted.web.twcgi"}
    for path in sorted(Path(scgiproxy.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
            assert not needs.intersection(names), path


def test_a_compressed_upload_is_passed_as_it_is() -> None:
    gateway = ConfiguredGateway(PROXY)
    body = b"\x1f\x8b\x08" + bytes(20)
    asked = gateway.ask(
        "/", "Content-Encoding: gzip", method="POST", body=body.decode("latin-1").encode("latin-1")
    )
    assert asked.variables["HTTP_CONTENT_ENCODING"] == "gzip"
    assert asked.variables["CONTENT_LENGTH"] == str(len(body))
    gateway.close()


@pytest.mark.parametrize("target", ["//server/share/x", "/%5c%5cserver%5cshare%5cx"])
def test_no_path_is_of_another_machine(target: str, tmp_path: Path) -> None:
    """UNC paths are of Windows: here they are names in a folder."""
    gateway = ConfiguredGateway(f"DocumentRoot {tmp_path}\n")
    assert gateway.ask(target).status == 404
    (tmp_path / "server" / "share").mkdir(parents=True)
    (tmp_path / "server" / "share" / "x").write_text("x")
    assert gateway.ask(target).status == (200 if target[1] == "/" else 404)
    gateway.close()
