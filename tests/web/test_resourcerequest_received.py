"""Any stock twisted.web Resource as a SetHandler plugin: the request that it finds."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.python.urlpath import URLPath
from twisted.web.server import Request

with warnings.catch_warnings():
    # Twisted's own module makes one of its own deprecated objects.
    warnings.simplefilter("ignore", DeprecationWarning)


from tests.web.resources import H, Rendered, ask, plugin, seen

# Twisted makes its own error pages of classes that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")


def test_request_line() -> None:
    request = b"GET /a%20b/c?x=1&x=2&y=" + H + b"\r\n"
    assert seen(lambda r: (r.method, r.uri, r.path, r.clientproto), request) == (
        b"GET",
        b"/a%20b/c?x=1&x=2&y=",
        b"/a%20b/c",
        b"HTTP/1.1",
    )
    assert seen(lambda r: r.args, request) == {b"x": [b"1", b"2"], b"y": [b""]}
    assert seen(lambda r: (r.prepath, r.postpath), request) == ([], [b"a b", b"c"])


def test_arguments_are_bytes_of_any_kind() -> None:
    request = b"GET /?%C2%B2=%ff+%00&b=%e4" + H + b"\r\n"
    assert seen(lambda r: r.args, request) == {b"\xc2\xb2": [b"\xff \x00"], b"b": [b"\xe4"]}
    form = b"a=%FF"
    framing = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\n"
    assert seen(lambda r: r.args, b"POST /" + H + framing + form) == {b"a": [b"\xff"]}


def test_headers_and_cookies() -> None:
    request = b"GET /" + H + b"X-A: 1\r\nx-a: 2\r\nCookie: a=b; c=d\r\nCookie: e=f\r\n\r\n"
    assert seen(lambda r: r.requestHeaders.getRawHeaders("X-A"), request) == ["1", "2"]
    assert seen(lambda r: r.getHeader(b"x-a"), request) == b"2"
    assert seen(lambda r: [r.getCookie(n) for n in (b"a", b"c", b"e", b"g")], request) == [
        b"b",
        b"d",
        b"f",
        None,
    ]
    assert seen(lambda r: r.getAllHeaders()[b"host"], request) == b"a"


def test_addresses() -> None:
    assert seen(lambda r: r.getClientAddress().host) == "192.0.2.7"
    assert seen(lambda r: r.getHost().port) == 8080
    assert seen(lambda r: r.getRequestHostname()) == b"a"
    assert seen(lambda r: r.isSecure()) is False
    assert seen(lambda r: r.prePathURL()) == b"http://a:8080/"
    assert str(seen(URLPath.fromRequest)) == "http://a:8080/"
    assert seen(lambda r: r.transport.getPeer().port) == 50000


def test_addresses_on_a_unix_socket() -> None:
    found: list[Any] = []

    def render(request: Request) -> bytes:
        found.append((request.getRequestHostname(), request.prePathURL()))
        return b""

    gateway = plugin(Rendered(render))
    end = UNIXAddress(b"/run/x.sock")
    client = gateway.client(host=end, peer=UNIXAddress(None)).send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.answers[0].status == 200
    assert found == [(b"localhost", b"http://localhost/")]


def test_credentials() -> None:
    request = b"GET /" + H + b"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
    assert seen(lambda r: (r.getUser(), r.getPassword()), request) == (b"Aladdin", b"open sesame")
    assert seen(lambda r: (r.getUser(), r.getPassword())) == (b"", b"")


def test_no_body() -> None:
    assert seen(lambda r: r.content.read()) == b""


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 11\r\n\r\nhello=world",
        b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello=world\r\n0\r\n\r\n",
    ],
)
def test_body_and_form(framing: bytes) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
    request = b"POST /?q=1" + H + form + framing
    assert seen(lambda r: r.args, request) == {b"q": [b"1"], b"hello": [b"world"]}
    assert seen(lambda r: (r.args, r.content.read())[1], request) == b"hello=world"
    assert seen(lambda r: r.args, b"POST /?q=1" + H + framing) == {b"q": [b"1"]}


def test_multipart_form() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--B--\r\n"
    )
    request = b"POST /" + H + b'Content-Type: multipart/form-data; boundary="B"\r\n'
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert seen(lambda r: r.args, request) == {b"text": [b"hello"], b"file": [b"\x00\xff"]}


def test_form_that_is_too_large_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgiproxy.web.resourcerequest.MOST_OF_FORM", 10)
    request = b"POST /" + H + b"Content-Type: application/x-www-form-urlencoded\r\n"
    request += b"Content-Length: 11\r\n\r\nhello=world"
    assert ask(Rendered(lambda r: r.args or b""), request).status == 413


def test_body_is_closed_when_the_answer_is_over() -> None:
    content = seen(lambda r: r.content, b"POST /" + H + b"Content-Length: 1\r\n\r\nx")
    assert content.closed


def test_body_has_a_limit() -> None:
    request = b"POST /" + H + b"Content-Length: 5\r\n\r\nhello"
    assert ask(Rendered(lambda r: b""), request, limit_request_body=5).status == 200
    chunked = b"POST /" + H + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello!\r\n"
    for refused in (b"POST /" + H + b"Content-Length: 6\r\n\r\n", chunked):
        gateway = plugin(Rendered(lambda r: b""), limit_request_body=5)
        assert gateway.client().send(refused).answers[0].status == 413


def test_100_continue_for_a_resource() -> None:
    gateway = plugin(Rendered(lambda r: r.content.read()))
    client = gateway.client().send(
        b"POST /" + H + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert client.answers[0].status == 100
    client.send(b"hello")
    assert client.answers[1].body == b"hello"


def test_session_is_kept() -> None:
    counts: list[int] = []

    def render(request: Request) -> bytes:
        session = request.getSession()
        session.count = getattr(session, "count", 0) + 1
        counts.append(session.count)
        return b""

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    cookie = (client.answers[0]["set-cookie"] or "").partition(";")[0]
    assert cookie.startswith("TWISTED_SESSION=")
    client.send(b"GET /" + H + b"Cookie: " + cookie.encode() + b"\r\n\r\n")
    assert counts == [1, 2]
    gateway.clock.advance(1000)
    assert not gateway.site.resource_site.sessions
