"""What every web application behind the gateway must see and give, whatever serves it.

A test module derives from these classes and gives them a fixture `site`, a `Browser` at the
gateway, which has the application mounted at ``/app/`` with a PATH_INFO.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
from pathlib import Path

from tests.e2e.http_client import Browser, Connection, ask, chunked, multipart

MEGABYTE = random.Random(7).randbytes(1 << 20)


def digest(data: bytes) -> str:
    """What the applications answer to an upload."""
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


class ApplicationContract:
    """The pages that every application of `apps` has."""

    def test_it_is_told_the_variables(self, site: Browser) -> None:
        """Method, path, query, client and headers arrive as RFC 3875 names them."""
        told = json.loads(site.get("/app/variables?a=1&b=%20").body)
        assert told["REQUEST_METHOD"] == "GET"
        assert told["SCRIPT_NAME"] == "/app"
        assert told["PATH_INFO"] == "/variables"
        assert told["QUERY_STRING"] == "a=1&b=%20"
        assert told["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert told["SERVER_NAME"] == "127.0.0.1"
        assert told["REMOTE_ADDR"] == "127.0.0.1"
        assert told["HTTP_HOST"] == f"127.0.0.1:{site.address[1]}"
        assert "GATEWAY_INTERFACE" not in told or told["GATEWAY_INTERFACE"] == "CGI/1.1"

    def test_a_form_is_posted(self, site: Browser) -> None:
        response = site.post("/app/form", {"name": "Ærøskøbing & co", "empty": ""})
        assert response.status == 200
        assert response.text == "empty= name=Ærøskøbing & co"

    def test_a_session_lives_in_a_cookie(self, site: Browser) -> None:
        """Set-Cookie reaches the client, and what it sends back reaches the application."""
        assert [site.get("/app/session").text for _ in range(3)] == ["1", "2", "3"]
        assert site.cookies

    def test_an_upload_of_a_megabyte(self, site: Browser) -> None:
        response = site.post("/app/raw", MEGABYTE, "application/octet-stream")
        assert response.text == digest(MEGABYTE)

    def test_a_chunked_upload_arrives_with_its_length(self, site: Browser) -> None:
        """The application, which must know the length first, is told the true one."""
        head = b"POST /app/raw HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
        head += b"Content-Type: application/octet-stream\r\n\r\n"
        assert ask(site.address, head + chunked(MEGABYTE)).text == digest(MEGABYTE)

    def test_an_empty_post(self, site: Browser) -> None:
        assert site.post("/app/raw", b"", "application/octet-stream").text == digest(b"")

    def test_head_has_the_headers_and_no_body(self, site: Browser) -> None:
        """Another request on the same connection shows that nothing followed the head."""
        connection = http.client.HTTPConnection(*site.address, timeout=60)
        try:
            for method in ("HEAD", "GET"):
                connection.request(method, "/app/status/200")
                response = connection.getresponse()
                assert response.status == 200
                assert response.getheader("Content-Type", "").startswith("text/")
                assert bool(response.read()) == (method == "GET")
        finally:
            connection.close()

    def test_a_stream_arrives_piece_by_piece(self, site: Browser, tmp_path: Path) -> None:
        """The second piece is made only when the first has been read here."""
        gate = tmp_path / "gate"
        with Connection(site.address) as connection:
            connection.send(
                f"GET /app/stream?gate={gate} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
            )
            assert connection.read_head().status == 200
            assert connection.read_piece() == b"first\n"
            gate.touch()
            assert connection.read_piece() == b"second\n"
            assert connection.read_piece() == b""

    def test_the_status_of_an_error_and_its_page_pass(self, site: Browser) -> None:
        for code in (404, 410, 500, 503):
            response = site.get(f"/app/status/{code}")
            assert (response.status, response.text) == (code, f"status {code}")

    def test_an_unknown_page(self, site: Browser) -> None:
        assert site.get("/app/nowhere").status == 404

    def test_a_redirect_leads_to_the_gateway(self, site: Browser) -> None:
        """The URL that the application makes is one that the client can reach."""
        first = site.get("/app/redirect", follow=False)
        assert first.status == 302
        where = first.header("Location")
        assert where is not None
        assert where.endswith("/app/variables")
        assert site.get("/app/redirect").status == 200

    def test_requests_follow_each_other_on_one_connection(self, site: Browser) -> None:
        connection = http.client.HTTPConnection(*site.address, timeout=60)
        try:
            for number in range(10):
                connection.request("POST", "/app/raw", body=b"x" * number)
                assert connection.getresponse().read().decode() == digest(b"x" * number)
        finally:
            connection.close()


class FrameworkContract(ApplicationContract):
    """What the applications with a framework have besides."""

    def test_a_file_is_uploaded_with_a_form(self, site: Browser) -> None:
        kind, body = multipart({"note": "n"}, {"file": ("picture.bin", MEGABYTE)})
        assert site.post("/app/upload", body, kind).text == digest(MEGABYTE)
