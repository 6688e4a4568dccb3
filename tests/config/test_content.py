"""Error pages, aliases, handlers and the headers that a backend may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.rules.mapping import Mount
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from tests.config.loading import errors_of, load, notes_of, settings_of


@pytest.mark.parametrize(
    ("argument", "kind", "value"),
    [
        ('"Not here"', ErrorDocumentKind.TEXT, b"Not here"),
        ("Gone", ErrorDocumentKind.TEXT, b"Gone"),
        ('"/not here"', ErrorDocumentKind.TEXT, b"/not here"),
        ('"Gone', ErrorDocumentKind.TEXT, b"Gone"),
        ("/errors/404", ErrorDocumentKind.LOCAL, b"/errors/404"),
        ("https://a.example/x", ErrorDocumentKind.REDIRECT, b"https://a.example/x"),
        ("Default", ErrorDocumentKind.DEFAULT, b""),
    ],
)
def test_error_document_forms(argument: str, kind: ErrorDocumentKind, value: bytes) -> None:
    settings = settings_of(load(f"ErrorDocument 404 {argument}"))
    assert settings.error_documents == {404: ErrorDocument(kind, value)}


def test_default_takes_an_outer_page_back() -> None:
    text = "ErrorDocument 404 /a\n<Location />\nErrorDocument 404 default\n</Location>"
    assert settings_of(load(text)).error_documents == {
        404: ErrorDocument(ErrorDocumentKind.DEFAULT)
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ErrorDocument 200 x", "expected a status of HTTP from 400 to 511, got '200'"),
        ("ErrorDocument 499 x", "expected a status of HTTP"),
        ("ErrorDocument x y", "expected a status of HTTP from 400 to 511, got 'x'"),
        ("ErrorDocument 404 not here", "takes two arguments"),
    ],
)
def test_wrong_error_documents(line: str, message: str) -> None:
    (error,) = errors_of(line)
    assert message in error


def test_document_root_below_server_root(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    config = load("DocumentRoot www/", server_root=tmp_path)
    assert config.main.server.document_root == f"{tmp_path}/www"
    (tmp_path / "file").touch()
    assert "is not an existing directory" in errors_of("DocumentRoot file", server_root=tmp_path)[0]


def test_alias_notes(tmp_path: Path) -> None:
    assert "does not exist" in notes_of(f"Alias /a {tmp_path}/nothing")[0]
    (note,) = notes_of(f"Alias /a {tmp_path}/{'x' * 300}")
    assert note.endswith("cannot be looked at: File name too long")
    assert "ends in / and the other does not" in notes_of(f"Alias /a/ {tmp_path}")[0]
    assert notes_of(f"Alias /a/ {tmp_path}/") == []


def test_send_file_path_notes(tmp_path: Path) -> None:
    assert "is not an existing directory" in notes_of(f"XSendFilePath {tmp_path}/nothing")[0]


@pytest.mark.parametrize("word", ["On", "on", "X-Sendfile", "x-SENDFILE"])
def test_on_is_the_default_header(word: str) -> None:
    assert settings_of(load(f"ProxySCGISendfile {word}")).sendfile == b"x-sendfile"


def test_a_handler_for_the_whole_server() -> None:
    mount = settings_of(load("SetHandler proxy:scgi:///run/a")).handler
    assert isinstance(mount, Mount)
    mapped = mount.match(b"/a")
    assert mapped is not None
    assert (mapped.script_name, mapped.backend_path) == (b"", b"/a")


@pytest.mark.parametrize(
    ("path", "url", "request_path", "path_info"),
    [
        ("/app", "unix:/s|scgi://localhost/", b"/app/a", b"/a"),
        ("/app", "scgi://h:4000/foo/", b"/app/a", b"/a"),
        ("/app", "scgi://h:4000/", b"/app", b""),
        ("/app/", "scgi://h:4000", b"/app/a", b"/a"),
        ("/app/", "scgi://h:4000/foo", b"/app/a", b"/a"),
    ],
)
def test_a_handler_s_path_info(path: str, url: str, request_path: bytes, path_info: bytes) -> None:
    """It is what follows the Location's path, whatever path the URL has."""
    config = load(f'<Location {path}>\nSetHandler "proxy:{url}"\n</Location>')
    mount = config.main.sections[-1].values["handler"]
    assert mount.match(request_path).backend_path == path_info


def test_a_full_url_for_401_is_the_gateway_s_own_page() -> None:
    text = "ErrorDocument 401 http://a/"
    assert "401 cannot be a full URL" in notes_of(text)[0]
    assert settings_of(load(text)).error_documents[401].kind is ErrorDocumentKind.DEFAULT


@pytest.mark.parametrize(
    "line",
    [
        "Header set Content-Length 3",
        "Header always set connection close",
        "Header unset Transfer-Encoding",
        "RequestHeader set Content-Length 3",
        "RequestHeader set Proxy x",
        "RequestHeader set X_Under x",
        "RequestHeader set TE x",
    ],
)
def test_edits_that_do_nothing_are_noted(line: str) -> None:
    (note,) = notes_of(line)
    assert "does nothing" in note


def test_edits_that_do_something_are_not_noted() -> None:
    assert notes_of("Header set X-A 3\nRequestHeader set X-A 3\nRequestHeader unset Proxy") == []
