"""Error answers: the page, ErrorDocument text and redirect, headers."""

from __future__ import annotations

import pytest

from scgiproxy.errors import BackendError, GatewayError, NotFound
from scgiproxy.rules.headers import HeaderAction, HeaderEdit
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from tests.web.answers import Answer
from tests.web.harness import Client, Gateway

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def one(client: Client) -> Answer:
    (answer,) = client.answers
    return answer


def refused(documents: object = None, request: bytes = GET, **settings: object) -> Answer:
    gateway = Gateway((("/app", "scgi://h/"),), error_documents=documents or {}, **settings)
    client = gateway.client().send(request)
    answer = one(client)
    client.leave()
    gateway.assert_idle()
    return answer


def test_page() -> None:
    answer = refused()
    assert (answer.status, answer.reason) == (404, "Not Found")
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert answer["connection"] is None
    assert b"<h1>404 Not Found</h1>" in answer.body


def test_page_of_a_bad_request_says_what_is_wrong() -> None:
    answer = refused(request=b"GET / HTTP/1.1\r\n\r\n")
    assert b"HTTP/1.1 needs a Host field" in answer.body
    assert answer["connection"] == "close"


@pytest.mark.parametrize(
    "error",
    [BackendError("secret"), GatewayError("secret"), ValueError("secret"), NotFound("secret")],
)
def test_page_of_our_own_errors_does_not(error: Exception) -> None:
    gateway = Gateway()
    client = gateway.client().send(GET)
    request = client.channel._active
    assert request is not None
    gateway.site.answer_error(request, error)
    assert b"secret" not in one(client).body
    assert one(client).status == getattr(error, "status", 500)


def test_text() -> None:
    answer = refused({404: ErrorDocument(ErrorDocumentKind.TEXT, b"<b>not here</b>")})
    assert (answer.status, answer.body) == (404, b"<b>not here</b>")
    assert answer["content-type"] == "text/html; charset=utf-8"


def test_text_for_a_malformed_request() -> None:
    documents = {400: ErrorDocument(ErrorDocumentKind.TEXT, b"bad")}
    assert refused(documents, b"GET / HTTP/1.1\r\n\r\n").body == b"bad"


def test_redirect() -> None:
    answer = refused({404: ErrorDocument(ErrorDocumentKind.REDIRECT, b"http://b/404")})
    assert (answer.status, answer["location"]) == (302, "http://b/404")


def test_default() -> None:
    assert b"<h1>404" in refused({404: ErrorDocument(ErrorDocumentKind.DEFAULT)}).body


def test_other_statuses_have_their_own() -> None:
    assert b"<h1>404" in refused({403: ErrorDocument(ErrorDocumentKind.TEXT, b"no")}).body


def test_document_for_a_backends_failure() -> None:
    gateway = Gateway(error_documents={502: ErrorDocument(ErrorDocumentKind.TEXT, b"sorry")})
    client = gateway.client().send(GET)
    gateway.backend.close()
    assert (one(client).status, one(client).body) == (502, b"sorry")


def test_document_is_not_for_a_backends_own_errors() -> None:
    gateway = Gateway(error_documents={404: ErrorDocument(ErrorDocumentKind.TEXT, b"sorry")})
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Status: 404 No\r\nContent-Length: 5\r\n\r\nhello")
    assert one(client).body == b"hello"


def test_document_is_for_a_backends_own_errors_if_they_are_overridden() -> None:
    gateway = Gateway(
        error_documents={404: ErrorDocument(ErrorDocumentKind.TEXT, b"sorry")},
        error_override=frozenset((404,)),
    )
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Status: 404 No\r\nContent-Length: 5\r\n\r\nhello")
    assert (one(client).status, one(client).body) == (404, b"sorry")


EDITS = (
    HeaderEdit(HeaderAction.SET, b"X-Success", b"1"),
    HeaderEdit(HeaderAction.SET, b"X-Always", b"2", always=True),
)


def test_only_always_edits_act_on_our_pages() -> None:
    answer = refused(response_headers=EDITS)
    assert (answer["x-success"], answer["x-always"]) == (None, "2")


def test_always_edits_act_on_the_page_of_a_malformed_request() -> None:
    assert refused(request=b"GET / HTTP/1.1\r\n\r\n", response_headers=EDITS)["x-always"] == "2"


def test_both_act_on_an_answer() -> None:
    gateway = Gateway(response_headers=EDITS)
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Status: 404 No\r\nX-Always: 0\r\nContent-Length: 0\r\n\r\n")
    assert (one(client)["x-success"], one(client)["x-always"]) == ("1", "2")


def test_edits_cannot_touch_the_framing() -> None:
    edits = (
        HeaderEdit(HeaderAction.SET, b"Content-Length", b"1"),
        HeaderEdit(HeaderAction.SET, b"Connection", b"x"),
        HeaderEdit(HeaderAction.SET, b"Transfer-Encoding", b"x"),
    )
    gateway = Gateway(response_headers=edits)
    client = gateway.client().send(GET)
    gateway.backend.answer(b"Content-Length: 5\r\n\r\nhello")
    assert (one(client).body, one(client)["connection"]) == (b"hello", None)
