"""A mount: its header block, and what is rewritten on the way back."""

from __future__ import annotations

import pytest
from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.test.requesthelper import DummyRequest
from zope.interface.verify import verifyObject

from scgiproxy.rules.rewriting import CookieRule, ReverseRule
from tests.web.answers import Answer
from tests.web.harness import Gateway

GET = b"GET /app/x HTTP/1.1\r\nHost: example.com\r\n\r\n"


def answered(head: bytes, **settings: object) -> Answer:
    gateway = Gateway([("/app", "scgi://127.0.0.1:4000/in")], **settings)
    client = gateway.client().send(GET)
    gateway.backend.answer(head + b"Content-Length: 0\r\n\r\n")
    (answer,) = client.answers
    return answer


REVERSE = (ReverseRule(b"/app", b"scgi://127.0.0.1:4000/in"),)


def test_location_is_rewritten() -> None:
    answer = answered(
        b"Status: 302\r\nLocation: scgi://127.0.0.1:4000/in/there\r\n"
        b"Content-Location: scgi://127.0.0.1:4000/in/x\r\nX-Location: scgi://127.0.0.1:4000/in/\r\n",
        reverse=REVERSE,
    )
    assert answer["location"] == "http://example.com:8080/app/there"
    assert answer["content-location"] == "http://example.com:8080/app/x"
    assert answer["x-location"] == "scgi://127.0.0.1:4000/in/"


def test_location_elsewhere_stays() -> None:
    head = b"Status: 302\r\nLocation: http://elsewhere/\r\n"
    assert answered(head, reverse=REVERSE)["location"] == "http://elsewhere/"
    head = b"Status: 302\r\nLocation: scgi://127.0.0.1:4000/in/there\r\n"
    assert answered(head)["location"] == "scgi://127.0.0.1:4000/in/there"


def test_cookies_are_rewritten() -> None:
    answer = answered(
        b"Set-Cookie: a=/in; Path=/in; Domain=inner\r\nSet-Cookie: b=c; path=/out\r\n",
        reverse_cookie_paths=(CookieRule(b"/in", b"/app"),),
        reverse_cookie_domains=(CookieRule(b"inner", b"outer"),),
    )
    assert answer.headers["set-cookie"] == [
        "a=/in; Path=/app; Domain=outer",
        "b=c; path=/out",
    ]


def test_block_has_no_name_twice() -> None:
    gateway = Gateway()
    gateway.client().send(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nContent-Type: a\r\ncontent-type: b\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\n\r\n"
    )
    block = gateway.backend.transport.value().split(b":", 1)[1].removesuffix(b",")
    names = block.split(b"\0")[:-1:2]
    assert len(names) == len(set(names))
    variables = gateway.backend.variables
    assert variables["HTTP_X_A"] == "1, 2"
    assert variables["HTTP_COOKIE"] == "a=1; b=2"


def test_what_is_not_sent() -> None:
    gateway = Gateway()
    gateway.client().send(GET)
    variables = gateway.backend.variables
    assert not {"GATEWAY_INTERFACE", "PATH", "SCRIPT_FILENAME", "HTTPS"} & set(variables)
    assert variables["SERVER_SOFTWARE"] == "scgiproxy"
    assert variables["REQUEST_METHOD"] == "GET"
    assert variables["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_member_of_a_balancer_has_its_own_path() -> None:
    gateway = Gateway(backend={"path_info": True})
    gateway.pool.backend.member = True
    gateway.pool.backend.path = b"/member/"
    gateway.client().send(GET)
    assert gateway.backend.variables["PATH_INFO"] == "/member/app/x"


def test_it_is_a_resource_and_a_leaf() -> None:
    (resource,) = Gateway().resources.values()
    assert verifyObject(IResource, resource)
    assert getChildForRequest(resource, DummyRequest([b"x"])) is resource
    assert resource.getChildWithDefault(b"x", None) is resource
    with pytest.raises(ValueError, match="is a leaf"):
        resource.putChild(b"x", Resource())


def test_below_a_resource_of_the_same_gateway() -> None:
    """It gets the request itself, with nothing of what a Resource was to find in between."""
    gateway = Gateway(handler="tree", plugins={"tree": Resource()})
    (mounted,) = gateway.resources.values()
    gateway.host._plugins["tree"].putChild(b"app", mounted)
    gateway = Gateway((), handler="tree", plugins={"tree": gateway.host._plugins["tree"]})
    client = gateway.client().send(GET)
    (end,) = mounted.pool.ends  # type: ignore[attr-defined]
    end.answer(b"Content-Length: 5\r\n\r\nhello").close()
    assert client.answer.body == b"hello"
    assert end.variables["SCRIPT_NAME"] == "/app/x"


def test_repr() -> None:
    gateway = Gateway()
    (resource,) = gateway.resources.values()
    assert repr(resource).startswith("<ProxyPassResource ")
