"""Any stock twisted.web Resource as a SetHandler plugin: what it answers."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request

from scgiproxy.rules.sections import SectionKind
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from tests.web.harness import Client, Gateway, SectionValues

with warnings.catch_warnings():
    # Twisted's own module makes one of its own deprecated objects.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.static import Data, File
    from twisted.web.util import Redirect, redirectTo


from tests.web.resources import H, Pushed, Rendered, ask, at_root, plugin

# Twisted makes its own error pages of classes that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")


def test_data() -> None:
    answer = ask(at_root(Data(b"hello", "text/plain")))
    assert (answer.status, answer.body, answer["content-length"]) == (200, b"hello", "5")
    assert answer["content-type"] == "text/plain"
    assert answer["server"] == "scgiproxy"


def test_type_that_twisted_assumes() -> None:
    assert ask(Rendered(lambda _: b"<p>"))["content-type"] == "text/html"
    assert ask(Rendered(lambda _: b""))["content-type"] is None


def test_children() -> None:
    root = Resource()
    root.putChild(b"", Data(b"index", "text/plain"))
    branch = Resource()
    root.putChild(b"a", branch)
    branch.putChild(b"b c", Data(b"leaf", "text/plain"))
    assert ask(root).body == b"index"
    assert ask(root, b"GET /a/b%20c" + H + b"\r\n").body == b"leaf"
    assert ask(root, b"GET /x" + H + b"\r\n").status == 404


def test_later() -> None:
    """NOT_DONE_YET, and pieces of unknown length."""
    requests: list[Request] = []

    def render(request: Request) -> int:
        requests.append(request)
        request.write(b"")
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    assert client.take().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    requests[0].write(b"hel")
    assert client.take() == b"3\r\nhel\r\n"
    requests[0].write(b"lo")
    requests[0].finish()
    assert client.take() == b"2\r\nlo\r\n0\r\n\r\n"
    requests[0].write(b"too late")
    requests[0].finish()
    assert client.take() == b""


def test_pieces_in_a_buffer() -> None:
    def render(request: Request) -> int:
        buffer = bytearray(b"hello")
        request.write(buffer)
        buffer[:] = b"other"
        request.write(memoryview(b" again"))
        request.finish()
        return NOT_DONE_YET

    assert ask(Rendered(render)).body == b"hello again"


def test_head_of_a_resource_with_get_alone() -> None:
    gateway = plugin(Rendered(lambda _: b"hello"))
    client = gateway.client().send(b"HEAD /" + H + b"\r\n")
    assert client.received.endswith(b"\r\n\r\n")
    assert b"Content-Length: 5\r\n" in client.received
    assert client.closed is None


def test_head_of_a_resource_that_writes() -> None:
    def render(request: Request) -> int:
        request.write(b"hello")
        request.finish()
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"HEAD /" + H + b"\r\n")
    head, _, body = client.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""


def test_method_that_a_resource_does_not_know() -> None:

    class PostOnly(Resource):
        isLeaf = True

        def render_POST(self, request: Request) -> bytes:
            return b""

    answer = ask(PostOnly())
    assert (answer.status, answer["allow"]) == (405, "HEAD, POST")
    assert ask(PostOnly(), b"DELETE /" + H + b"\r\n").status == 501


def test_resource_that_raises(logged_errors: Any) -> None:
    answer = ask(Rendered(lambda _: 1 / 0))
    assert answer.status == 500
    assert b"Zero" not in answer.body
    assert len(logged_errors.flush()) == 1


def test_child_that_raises(logged_errors: Any) -> None:
    class Broken(Resource):
        def getChild(self, path: bytes, request: Request) -> Resource:
            raise ValueError("secret")

    assert ask(Broken()).status == 500
    assert len(logged_errors.flush()) == 1


def test_resource_that_raises_after_its_first_bytes(logged_errors: Any) -> None:
    """The answer must not look whole."""

    def render(request: Request) -> None:
        request.write(b"hel")
        raise ValueError

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    assert client.closed == "aborted"
    assert not client.answers[0].whole
    gateway.assert_idle()
    logged_errors.flush()


def test_resource_that_sends_less_than_it_said() -> None:
    def render(request: Request) -> int:
        request.setHeader(b"content-length", b"10")
        request.write(b"hel")
        request.finish()
        return NOT_DONE_YET

    client = plugin(Rendered(render)).client().send(b"GET /" + H + b"\r\n")
    assert client.closed == "aborted"


def test_resource_that_sends_more_than_it_said() -> None:
    def render(request: Request) -> int:
        request.setHeader(b"content-length", b"3")
        request.write(b"hello")
        request.finish()
        return NOT_DONE_YET

    assert ask(Rendered(render)).body == b"hel"


def test_status_headers_and_cookies() -> None:
    def render(request: Request) -> bytes:
        request.setResponseCode(418, b"I am a pot")
        request.setHeader(b"x-a", b"1")
        request.responseHeaders.addRawHeader(b"x-b", b"1")
        request.responseHeaders.addRawHeader(b"x-b", b"2")
        request.addCookie(b"c", b"d")
        request.setHeader(b"connection", b"close")
        return b"tea"

    answer = ask(Rendered(render))
    assert (answer.status, answer.reason, answer.body) == (418, "I am a pot", b"tea")
    assert answer["x-a"] == "1"
    assert answer.headers["x-b"] == ["1", "2"]
    assert answer["set-cookie"] == "c=d"
    assert answer["connection"] is None


def test_reason_cannot_split_the_answer() -> None:
    def render(request: Request) -> bytes:
        request.setResponseCode(200, b"OK\r\nX-Evil: 1")
        return b""

    answer = ask(Rendered(render))
    assert answer.reason == "OK"
    assert answer["x-evil"] is None


def test_validators() -> None:
    def render(request: Request) -> bytes:
        request.setLastModified(784111777)
        if request.setETag(b'"x"'):
            return b""
        return b"hello"

    answer = ask(Rendered(render))
    assert answer["last-modified"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert answer["etag"] == '"x"'
    answer = ask(Rendered(render), b"GET /" + H + b'If-None-Match: "x"\r\n\r\n')
    assert (answer.status, answer.body) == (304, b"")


def test_redirects() -> None:
    answer = ask(Redirect(b"/there"))
    assert (answer.status, answer["location"]) == (302, "/there")
    assert ask(Rendered(lambda request: redirectTo(b"/x", request)))["location"] == "/x"


def test_encoder() -> None:
    """Gzip shrinks what is written, and the length goes."""
    wrapped = EncodingResourceWrapper(Data(b"hello" * 100, "text/plain"), [GzipEncoderFactory()])
    request = b"GET /" + H + b"Accept-Encoding: gzip\r\n\r\n"
    answer = ask(at_root(wrapped), request)
    assert answer["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"hello" * 100
    assert len(answer.body) < 100
    assert ask(at_root(wrapped)).body == b"hello" * 100


def test_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello" * 100_000)
    (tmp_path / "folder").mkdir()
    answer = ask(File(str(tmp_path)), b"GET /a.txt" + H + b"\r\n")
    assert answer.body == b"hello" * 100_000
    assert answer["content-type"] == "text/plain"
    answer = ask(File(str(tmp_path)), b"GET /a.txt" + H + b"Range: bytes=1-3\r\n\r\n")
    assert (answer.status, answer.body) == (206, b"ell")
    answer = ask(File(str(tmp_path)), b"GET /folder" + H + b"\r\n")
    assert answer["location"] == "/folder/"
    assert ask(File(str(tmp_path)), b"GET /none" + H + b"\r\n").status == 404


def notified() -> tuple[Gateway, Client, Request, list[Any]]:
    requests: list[Request] = []
    fired: list[Any] = []

    def render(request: Request) -> int:
        requests.append(request)
        done: Deferred[None] = request.notifyFinish()
        done.addBoth(fired.append)
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    return gateway, client, requests[0], fired


def test_notification_of_the_end() -> None:
    _, _, request, fired = notified()
    request.finish()
    assert fired == [None]


def test_notification_of_a_client_that_leaves() -> None:
    gateway, client, request, fired = notified()
    client.leave()
    assert len(fired) == 1
    assert fired[0].value is not None
    assert request._disconnected
    request.write(b"too late")
    request.finish()
    request.unregisterProducer()
    producer = Pushed()
    request.registerProducer(producer, True)
    assert producer.states == ["stop"]
    gateway.assert_idle()


def test_resource_may_close_the_connection() -> None:
    gateway, client, request, fired = notified()
    request.loseConnection()
    assert client.closed == "aborted"
    assert len(fired) == 1
    gateway.assert_idle()


def test_plugin_that_is_not_there() -> None:
    gateway = Gateway((), handler="none")
    assert gateway.client().send(b"GET /" + H + b"\r\n").answers[0].status == 500


def test_request_behind_a_resource_is_served() -> None:
    gateway = plugin(at_root(Data(b"hello", "text/plain")))
    client = gateway.client().send((b"GET /" + H + b"\r\n") * 3)
    assert [answer.body for answer in client.answers] == [b"hello"] * 3


def failing(fail: Any, document: Any, error_document: bytes) -> Gateway:
    """A Resource that fails, and below ``/doc`` another one, for the page of the error."""
    return Gateway(
        (),
        plugins={"fail": Rendered(fail), "document": Rendered(document)},
        handler="fail",
        sections=[SectionValues(SectionKind.LOCATION, b"/doc", {"handler": "document"})],
        error_documents={500: ErrorDocument(ErrorDocumentKind.LOCAL, error_document)},
    )


def test_error_document_of_another_resource_starts_afresh(logged_errors: Any) -> None:
    """What the failed one had set, and read, is not for it."""

    def fail(request: Request) -> bytes:
        request.setHeader(b"x-failed", b"1")
        request.setHeader(b"content-length", b"1000")
        request.addCookie(b"a", b"b")
        assert request.args == {b"x": [b"1"]}
        assert request.content.read() == b"hello"
        raise ValueError

    def document(request: Request) -> bytes:
        return repr((request.args, request.content.read())).encode()

    gateway = failing(fail, document, b"/doc?y=2")
    client = gateway.client().send(b"POST /?x=1" + H + b"Content-Length: 5\r\n\r\nhello")
    (answer,) = client.answers
    assert (answer.status, answer["x-failed"], answer["set-cookie"]) == (500, None, None)
    assert answer.body == b"({b'y': [b'2']}, b'')"
    assert len(logged_errors.flush()) == 1
    client.leave()
    gateway.assert_idle()


def test_a_resource_that_has_failed_changes_nothing_of_the_answer_that_follows(
    logged_errors: Any,
) -> None:
    failed: list[Request] = []
    fired: list[Any] = []

    def fail(request: Request) -> bytes:
        failed.append(request)
        request.notifyFinish().addBoth(fired.append)
        raise ValueError

    def document(request: Request) -> int:
        (earlier,) = failed
        producer = Pushed()
        earlier.registerProducer(producer, True)
        earlier.write(b"late")
        earlier.finish()
        assert producer.states == ["stop"]
        request.write(b"hello")
        assert fired == []
        request.finish()
        return NOT_DONE_YET

    gateway = failing(fail, document, b"/doc")
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    assert (client.answer.status, client.answer.body) == (500, b"hello")
    assert fired == [None]
    assert len(logged_errors.flush()) == 1
    client.leave()
    gateway.assert_idle()
