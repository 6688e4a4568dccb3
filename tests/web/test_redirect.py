"""Internal redirects, and error documents that are paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.rules.mapping import Alias
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from tests.web.answers import Answer
from tests.web.harness import BackendEnd, Client, Gateway

OK = b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /a%20b?x=1 HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
TWO = (("/other", "scgi://127.0.0.1:5000"), ("/", "scgi://127.0.0.1:4000/"))


def one(client: Client) -> Answer:
    (answer,) = client.answers
    return answer


def newest(gateway: Gateway, port: int) -> BackendEnd:
    (pool,) = (pool for pool in gateway.pools.values() if f":{port}" in pool.name)
    return pool.ends[-1]


def redirected(
    location: bytes = b"/other/page?q=2", request: bytes = GET, extra: bytes = b""
) -> tuple[Gateway, Client]:
    gateway = Gateway(TWO)
    client = gateway.client().send(request)
    newest(gateway, 4000).answer(b"Location: " + location + b"\r\n" + extra + b"\r\nignored")
    return gateway, client


def test_another_mount_answers() -> None:
    gateway, client = redirected()
    first, second = newest(gateway, 4000), newest(gateway, 5000)
    assert first.closed == "aborted"
    variables = second.variables
    assert variables["REQUEST_METHOD"] == "GET"
    assert variables["SCRIPT_NAME"] == "/other/page"
    assert variables["QUERY_STRING"] == "q=2"
    assert variables["REQUEST_URI"] == "/a%20b?x=1"
    assert variables["HTTP_X_A"] == "1"
    assert variables["REDIRECT_STATUS"] == "200"
    assert variables["REDIRECT_URL"] == "/a b"
    assert variables["REDIRECT_QUERY_STRING"] == "x=1"
    assert variables["REDIRECT_SCRIPT_NAME"] == "/a b"
    assert variables["REDIRECT_HTTP_X_A"] == "1"
    second.answer(OK)
    answer = one(client)
    assert (answer.status, answer.body, answer["location"]) == (200, b"hello", None)
    assert [d.ends for pool in gateway.pools.values() for d in pool.dispatches] == [
        ["released"]
    ] * 2
    client.leave()
    gateway.assert_idle()


def test_target_without_a_query_has_none() -> None:
    gateway, _ = redirected(b"/other")
    assert newest(gateway, 5000).variables["QUERY_STRING"] == ""


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"//other/x", "/other/x"),
        (b"/other/%61#frag", "/other/a"),
        (b"/x/../other/./y", "/other/y"),
        (b"/other/a b", "/other/a b"),
    ],
)
def test_target_is_normalised_and_of_this_host(location: bytes, path: str) -> None:
    gateway, _ = redirected(location)
    assert newest(gateway, 5000).variables["SCRIPT_NAME"] == path


@pytest.mark.parametrize(("location", "status"), [(b"/..", 400), (b"/%zz", 400), (b"/a%2Fb", 404)])
def test_target_that_is_none_is_an_error(location: bytes, status: int) -> None:
    gateway, client = redirected(location)
    assert one(client).status == status
    client.leave()
    gateway.assert_idle()


@pytest.mark.parametrize(("method", "then"), [(b"POST", "GET"), (b"PUT", "GET"), (b"HEAD", "HEAD")])
def test_method_becomes_get_without_a_body(method: bytes, then: str) -> None:
    request = (
        method
        + b" /form HTTP/1.1\r\nHost: a\r\nContent-Type: x/y\r\nContent-Length: 5\r\n\r\nhello"
    )
    gateway, client = redirected(request=request)
    variables = newest(gateway, 5000).variables
    assert variables["REQUEST_METHOD"] == then
    assert variables["CONTENT_LENGTH"] == "0"
    assert variables["CONTENT_TYPE"] == "x/y"
    assert newest(gateway, 5000).body == b""
    newest(gateway, 5000).answer(OK)
    assert client.closed is None
    client.leave()
    gateway.assert_idle()


def test_chunked_upload_is_over_with_the_redirect() -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    gateway, client = redirected(request=request)
    assert newest(gateway, 5000).variables["CONTENT_LENGTH"] == "0"
    newest(gateway, 5000).answer(OK)
    client.leave()
    gateway.assert_idle()


def test_redirect_before_the_upload_is_complete() -> None:
    """The rest is read and dropped, and the connection ends behind the answer."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello"
    gateway, client = redirected(request=request)
    client.send(b"x" * 100)
    newest(gateway, 5000).answer(OK)
    client.send(b"x" * 100)
    assert (one(client).body, one(client)["connection"]) == (b"hello", "close")
    gateway.advance(5)
    gateway.assert_idle()


def test_headers_of_the_first_answer_go_along() -> None:
    """Cookies and the like; not what describes its body."""
    gateway, client = redirected(
        extra=b'Set-Cookie: a=1\r\nX-A: b\r\nContent-Type: x/y\r\nETag: "e"\r\nLast-Modified: x\r\n'
    )
    newest(gateway, 5000).answer(b"Set-Cookie: b=2\r\n" + OK)
    answer = one(client)
    assert answer.headers["set-cookie"] == ["a=1", "b=2"]
    assert answer["x-a"] == "b"
    assert answer["content-type"] == "text/plain"
    assert answer["etag"] is None
    assert answer["last-modified"] is None


def test_headers_go_along_to_an_error_page() -> None:
    gateway, client = redirected(b"/other", extra=b"Set-Cookie: a=1\r\n")
    newest(gateway, 5000).close()
    assert one(client).status == 502
    assert one(client)["set-cookie"] == "a=1"


def test_a_file_answers(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("a page")
    gateway = Gateway((("/app", "scgi://h/"),), server={"document_root": str(tmp_path)})
    client = gateway.client().send(b"POST /app HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    gateway.backend.answer(b"Location: /page.html\r\n\r\n")
    assert one(client).body == b"a page"
    assert one(client)["content-type"] == "text/html"
    client.leave()
    gateway.assert_idle()


def test_a_file_without_a_type_has_that_of_the_answer(tmp_path: Path) -> None:
    """The last one that was given; the page of an error has none of it."""
    (tmp_path / "page.html").write_text("a page")
    (tmp_path / "noext").write_text("data")
    gateway = Gateway(
        (("/app", "scgi://h/"),),
        server={"document_root": str(tmp_path)},
        error_documents={404: ErrorDocument(ErrorDocumentKind.LOCAL, b"/noext")},
    )

    def type_of(*answers: bytes) -> str | None:
        client = gateway.client().send(b"GET /app HTTP/1.1\r\nHost: a\r\n\r\n")
        for head in answers:
            gateway.backend.answer(head + b"\r\n")
        client.leave()
        return one(client)["content-type"]

    typed = b"content-TYPE: application/json\r\n"
    assert type_of(typed + b"Location: /noext\r\n") == "application/json"
    assert type_of(typed + b"Location: /page.html\r\n") == "text/html"
    assert type_of(b"Location: /noext\r\n") == "application/octet-stream"
    again = typed + b"Location: /app/2\r\n"
    assert type_of(again, b"Location: /noext\r\n") == "application/json"
    assert type_of(again, b"Content-Type: a/b\r\nLocation: /noext\r\n") == "a/b"
    assert type_of(typed + b"Location: /missing\r\n") == "application/octet-stream"
    gateway.assert_idle()


def test_an_alias_answers(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("a page")
    gateway = Gateway((("/app", "scgi://h/"),), aliases=[Alias(b"/static", str(tmp_path))])
    client = gateway.client().send(b"GET /app HTTP/1.1\r\nHost: a\r\n\r\n")
    gateway.backend.answer(b"Location: /static/page\r\n\r\n")
    assert one(client).body == b"a page"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"Status: 201 Created\r\nLocation: /x\r\n", 201),
        (b"Status: 302 Found\r\nLocation: /x\r\n", 302),
        (b"Location: http://a/x\r\n", 302),
        (b"Status: 200 OK\r\nLocation: x\r\n", 200),
    ],
)
def test_other_locations_are_for_the_client(answer: bytes, status: int) -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    gateway.backend.answer(answer + b"\r\n").close()
    assert one(client).status == status
    assert one(client)["location"] == answer.split(b"Location: ")[1].split(b"\r\n")[0].decode()
    assert len(gateway.pool.ends) == 1


def test_explicit_200_redirects_too() -> None:
    gateway = Gateway()
    gateway.client().send(GET)
    gateway.backend.answer(b"Status: 200 OK\r\nLocation: /x\r\n\r\n")
    assert len(gateway.pool.ends) == 2


def test_off() -> None:
    gateway = Gateway(internal_redirect=None)
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Location: /x\r\n\r\n").close()
    assert one(client)["location"] == "/x"
    assert len(gateway.pool.ends) == 1


def test_header_of_another_name() -> None:
    gateway = Gateway(internal_redirect=b"x-location")
    client = gateway.client().send(GET)
    gateway.backend.answer(b"X-Location: /x\r\nLocation: /for-the-client\r\n\r\n")
    assert gateway.backend.variables["SCRIPT_NAME"] == "/x"
    gateway.backend.answer(b"Location: /for-the-client\r\nContent-Length: 0\r\n\r\n")
    assert one(client)["location"] == "/for-the-client"
    assert one(client)["x-location"] is None


def test_header_of_another_name_is_not_the_clients() -> None:
    gateway = Gateway(internal_redirect=b"x-location")
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Status: 404 No\r\nX-Location: /x\r\nContent-Length: 0\r\n\r\n")
    assert one(client)["x-location"] is None


@pytest.mark.parametrize("limit", [1, 4, 10])
def test_loop_has_an_end(limit: int) -> None:
    gateway = Gateway(server={"limit_internal_recursion": limit})
    client = gateway.client().send(GET)
    asked = 0
    while not client.received:
        asked = len(gateway.pool.ends)
        gateway.backend.answer(b"Location: /again\r\nSet-Cookie: a=b\r\n\r\n")
    assert asked == limit + 1
    assert one(client).status == 500
    assert client.closed is None
    client.leave()
    gateway.assert_idle()


def test_client_leaves_in_the_second_pass() -> None:
    gateway, client = redirected()
    client.leave()
    assert newest(gateway, 5000).closed == "aborted"
    assert gateway.pools[gateway.mounts[0]].dispatches[0].ends == ["cancelled"]
    gateway.assert_idle()


def test_download_of_the_second_pass_has_backpressure() -> None:
    gateway, client = redirected()
    backend = newest(gateway, 5000).answer(b"Content-Type: a/b\r\n\r\nhel")
    client.transport.block()
    assert backend.paused
    client.transport.unblock()
    assert not backend.paused


# -- error documents ---------------------------------------------------------------------------

PAGE = {404: ErrorDocument(ErrorDocumentKind.LOCAL, b"/other/404?e=1")}


def not_found(*headers: bytes, method: bytes = b"GET") -> bytes:
    return method + b" /nothing?x HTTP/1.1\r\nHost: a\r\n" + b"".join(headers) + b"\r\n"


def documented(documents: object = PAGE, request: bytes = not_found()) -> tuple[Gateway, Client]:
    gateway = Gateway((("/other", "scgi://127.0.0.1:5000"),), error_documents=documents)
    return gateway, gateway.client().send(request)


def test_error_document_of_a_backend_keeps_the_status() -> None:
    gateway, client = documented()
    variables = gateway.backend.variables
    assert variables["SCRIPT_NAME"] == "/other/404"
    assert variables["QUERY_STRING"] == "e=1"
    assert variables["REDIRECT_STATUS"] == "404"
    assert variables["REDIRECT_URL"] == "/nothing"
    assert variables["REDIRECT_QUERY_STRING"] == "x"
    assert variables["REDIRECT_REQUEST_METHOD"] == "GET"
    assert variables["REQUEST_URI"] == "/nothing?x"
    gateway.backend.answer(OK)
    assert (one(client).status, one(client).reason) == (404, "Not Found")
    assert one(client).body == b"hello"
    client.leave()
    gateway.assert_idle()


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (b"200 OK", 200, "OK"),
        (b"200 Fine", 200, "Fine"),
        (b"410", 410, "Gone"),
        (b"500 Mine", 500, "Mine"),
    ],
)
def test_error_document_of_a_backend_may_say_another_status(
    said: bytes, status: int, reason: str
) -> None:
    gateway, client = documented()
    gateway.backend.answer(b"Status: " + said + b"\r\n" + OK)
    assert (one(client).status, one(client).reason) == (status, reason)
    assert one(client).body == b"hello"


def test_error_document_that_redirects_without_a_status_keeps_it() -> None:
    gateway, client = documented()
    gateway.backend.answer(b"Location: /other/second\r\n" + OK)
    assert (one(client).status, one(client)["location"]) == (404, "/other/second")


def test_error_document_that_says_200_is_redirected() -> None:
    """From there on it is an answer as any other."""
    gateway, client = documented()
    gateway.backend.answer(b"Status: 200 OK\r\nLocation: /other/second\r\n" + OK)
    newest(gateway, 5000).answer(OK)
    assert (one(client).status, one(client).body) == (200, b"hello")


def test_error_document_that_is_redirected_to_what_is_missing_ends() -> None:
    gateway, client = documented()
    for _ in range(11):
        newest(gateway, 5000).answer(b"Status: 200 OK\r\nLocation: /nothing\r\n" + OK)
    assert one(client).status == 500


def test_error_document_whose_status_is_overridden_tells_the_first_error() -> None:
    gateway = Gateway(
        (("/other", "scgi://127.0.0.1:5000"),),
        error_documents=PAGE,
        error_override=frozenset({410}),
    )
    client = gateway.client().send(not_found())
    gateway.backend.answer(b"Status: 410 Gone\r\n" + OK)
    assert one(client).status == 404
    assert b"404 Not Found" in one(client).body


def test_error_document_of_a_post_is_got() -> None:
    gateway, client = documented(
        request=not_found(b"Content-Length: 5\r\n", method=b"POST") + b"hello"
    )
    variables = gateway.backend.variables
    assert variables["REQUEST_METHOD"] == "GET"
    assert variables["REDIRECT_REQUEST_METHOD"] == "POST"
    assert variables["CONTENT_LENGTH"] == "0"
    gateway.backend.answer(OK)
    assert one(client).status == 404
    client.leave()
    gateway.advance(3)
    gateway.assert_idle()


def test_error_document_that_fails_tells_the_first_error() -> None:
    gateway, client = documented()
    gateway.backend.close()
    assert one(client).status == 404
    assert b"404 Not Found" in one(client).body


def test_error_document_that_is_missing_tells_the_first_error() -> None:
    _, client = documented({404: ErrorDocument(ErrorDocumentKind.LOCAL, b"/missing")})
    assert one(client).status == 404
    assert b"404 Not Found" in one(client).body


def test_error_document_is_a_file(tmp_path: Path) -> None:
    """Whole, whatever conditions and ranges the request has."""
    (tmp_path / "404.html").write_text("not here")
    gateway = Gateway(
        (("/app", "scgi://h/"),),
        server={"document_root": str(tmp_path)},
        error_documents={404: ErrorDocument(ErrorDocumentKind.LOCAL, b"/404.html")},
    )
    client = gateway.client()
    for extra in (b"", b"If-None-Match: *\r\n", b"Range: bytes=0-2\r\n", b'If-Match: "x"\r\n'):
        client.send(not_found(extra))
        answer = client.answers[-1]
        assert (answer.status, answer.body) == (404, b"not here")
    client.leave()
    gateway.assert_idle()


def test_error_document_is_not_asked_for_a_malformed_request() -> None:
    """Nothing of it reaches a backend."""
    documents = {
        status: ErrorDocument(ErrorDocumentKind.LOCAL, b"/other/x")
        for status in (400, 408, 414, 417, 431, 501)
    }
    for request in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n",
    ):
        gateway, client = documented(documents, request)
        assert one(client).status in (400, 501)
        assert not gateway.pool.ends


def test_error_document_of_503_after_a_spooled_upload() -> None:
    gateway = Gateway(
        TWO, error_documents={503: ErrorDocument(ErrorDocumentKind.LOCAL, b"/other/x")}
    )
    (pool,) = (pool for pool in gateway.pools.values() if ":4000" in pool.name)
    pool.refuse = True
    client = gateway.client().send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    newest(gateway, 5000).answer(OK)
    assert (one(client).status, one(client).body) == (503, b"hello")
    assert client.closed is None
    pool.dispatches.clear()
    client.leave()
    gateway.assert_idle()


def test_error_document_of_413_while_the_client_uploads() -> None:
    gateway = Gateway(
        TWO,
        limit_request_body=5,
        error_documents={413: ErrorDocument(ErrorDocumentKind.LOCAL, b"/other/x")},
    )
    client = gateway.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello")
    newest(gateway, 5000).answer(OK)
    client.send(b"more")
    assert (one(client).status, one(client).body) == (413, b"hello")
    assert one(client)["connection"] == "close"
    gateway.advance(3)
    gateway.assert_idle()
