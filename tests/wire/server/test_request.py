"""What a Resource finds in its request."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.resource import Resource
from twisted.web.server import Request

from scgiproxy.wire.server import ScgiServerRequest
from tests.wire.server.gateway import Gateway, header, request_bytes


class Ask(Resource):
    """Keeps what `question` answers about the request."""

    isLeaf = True

    def __init__(self, question: Callable[[ScgiServerRequest], object]) -> None:
        super().__init__()
        self.question = question
        self.answer: object = "not asked"

    def render(self, request: ScgiServerRequest) -> bytes:
        self.answer = self.question(request)
        return b""


def ask(
    question: Callable[[ScgiServerRequest], object],
    body: bytes = b"",
    options: dict[str, object] | None = None,
    **variables: str | bytes | None,
) -> object:
    resource = Ask(question)
    head, _ = Gateway.to(resource, **(options or {})).get(body, **variables)
    assert head.status == 200
    return resource.answer


def test_it_is_a_request_of_twisted_web() -> None:
    assert ask(lambda request: isinstance(request, Request)) is True


def test_method_and_protocol() -> None:
    assert ask(lambda request: (request.method, request.clientproto), REQUEST_METHOD="PURGE") == (
        b"PURGE",
        b"HTTP/1.1",
    )


def test_headers_cookies_and_the_variables_behind_them() -> None:
    """HTTP_* become headers; a `Proxy` does not, and CONTENT_TYPE is not to be shadowed."""

    def question(request: ScgiServerRequest) -> object:
        headers = dict(request.requestHeaders.getAllRawHeaders())
        return headers, request.getCookie(b"sid"), request.scgi_variables[b"REMOTE_USER"]

    assert ask(
        question,
        b"{}",
        CONTENT_TYPE="application/json",
        HTTP_CONTENT_TYPE="text/evil",
        HTTP_HOST="example.com",
        HTTP_X_SOME_THING="a, b",
        HTTP_COOKIE="a=1; sid=xyz",
        HTTP_PROXY="http://evil/",
        **{"HTTP_BAD NAME": "x", "REMOTE_USER": "ann"},
    ) == (
        {
            b"Host": [b"example.com"],
            b"X-Some-Thing": [b"a, b"],
            b"Cookie": [b"a=1; sid=xyz"],
            b"Content-Length": [b"2"],
            b"Content-Type": [b"application/json"],
        },
        b"xyz",
        b"ann",
    )


def test_the_query_is_in_args() -> None:
    assert ask(lambda request: request.args, QUERY_STRING="a=1&b=%20&a=2") == {
        b"a": [b"1", b"2"],
        b"b": [b" "],
    }


FORM = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded"}


def test_a_form_is_in_args_and_in_content() -> None:
    assert ask(lambda request: (request.args, request.content.read()), b"a=1", **FORM) == (
        {b"a": [b"1"]},
        b"a=1",
    )


def test_forms_can_be_left_to_the_resource() -> None:
    assert ask(
        lambda request: (request.args, request.content.read()),
        b"a=1",
        {"parse_forms": False},
        **FORM,
    ) == ({}, b"a=1")


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("192.0.2.7", "5000", IPv4Address("TCP", "192.0.2.7", 5000)),
        ("2001:db8::1", "1", IPv6Address("TCP", "2001:db8::1", 1)),
        ("192.0.2.7", "many", IPv4Address("TCP", "192.0.2.7", 0)),
        (None, None, IPv4Address("TCP", "", 0)),
    ],
)
def test_the_client_is_who_the_gateway_says(
    address: str | None, port: str | None, expected: object
) -> None:
    got = ask(lambda request: request.getClientAddress(), REMOTE_ADDR=address, REMOTE_PORT=port)
    assert got == expected


@pytest.mark.parametrize(
    ("variables", "secure"),
    [
        ({"HTTPS": "on"}, True),
        ({"HTTPS": "1"}, True),
        ({"HTTPS": "off"}, False),
        ({"REQUEST_SCHEME": "https"}, True),
        ({"REQUEST_SCHEME": "http"}, False),
        ({}, False),
    ],
)
def test_secure_is_the_clients_connection(variables: dict[str, str], secure: bool) -> None:
    assert ask(lambda request: request.isSecure(), **variables) is secure


def test_the_url_of_the_mount() -> None:
    """What resources build links and redirects from."""
    variables = {"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "REQUEST_URI": "/app/x"}
    assert (
        ask(lambda request: request.prePathURL(), **variables, SERVER_PORT="8080")
        == b"http://www.example.com:8080/app"
    )
    assert (
        ask(lambda request: request.prePathURL(), **variables, HTTPS="on", SERVER_PORT=None)
        == b"https://www.example.com/app"
    )


def test_children_are_found_below_the_mount() -> None:
    root = Resource()
    child = Ask(lambda request: (request.prepath, request.postpath))
    root.putChild(b"child", child)
    Gateway.to(root).get(SCRIPT_NAME="/a/b", PATH_INFO="/child/x", REQUEST_URI="/a/b/child/x")
    assert child.answer == ([b"a", b"b", b"child"], [b"x"])


def test_a_session_outlives_its_request() -> None:
    """The cookie of the first answer finds the same session again."""
    resource = Ask(lambda request: request.getSession().uid)
    gateway = Gateway.to(resource)
    gateway.send(request_bytes())
    uid = resource.answer
    cookie = gateway.transport.value().split(b"Set-Cookie: ")[1].split(b";")[0]
    second = Gateway.of(gateway.factory, gateway.clock)
    second.send(request_bytes(HTTP_COOKIE=cookie))
    assert resource.answer == uid
    gateway.close()
    second.close()
    gateway.factory.getSession(uid).expire()


@pytest.mark.parametrize("method", [None, "", "GE T", "G\xc9T"])
def test_a_request_needs_a_method(method: str | None) -> None:
    """The only variable nothing can be done without; it must be a token (RFC 9110 section 9)."""
    resource = Ask(lambda request: True)
    head, body = Gateway.to(resource).get(REQUEST_METHOD=method)
    assert head.status == 400
    assert b"REQUEST_METHOD" in body
    assert resource.answer == "not asked"


def test_outside_the_mount_is_404() -> None:
    resource = Ask(lambda request: True)
    gateway = Gateway.to(resource, mount=b"/app")
    head, _ = gateway.get(PATH_INFO=None, SCRIPT_NAME="/other")
    assert head.status == 404
    assert resource.answer == "not asked"


def test_a_form_that_is_not_what_it_says_is_400() -> None:
    resource = Ask(lambda request: True)
    head, body = Gateway.to(resource).get(
        b"no parts", REQUEST_METHOD="POST", CONTENT_TYPE="multipart/form-data"
    )
    assert head.status == 400
    assert b"multipart" in body
    assert header(head, b"content-type") == b"text/plain; charset=utf-8"
    assert resource.answer == "not asked"
