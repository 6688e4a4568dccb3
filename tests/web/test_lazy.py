"""Any stock twisted.web Resource as a SetHandler plugin: it finds the request it expects."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.python.urlpath import URLPath
from twisted.web.resource import EncodingResourceWrapper, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request

from scgiproxy.rules.sections import SectionKind
from scgiproxy.rules.settings import ErrorDocument, ErrorDocumentKind
from tests.web.answers import Answer
from tests.web.harness import Client, Gateway, SectionValues

with warnings.catch_warnings():
    # Twisted's own module makes one of its own deprecated objects.
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.static import Data, File
    from twisted.web.util import Redirect, redirectTo

# Twisted makes its own error pages of classes that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")

H = b" HTTP/1.1\r\nHost: a\r\n"


class Rendered(Resource):
    """A leaf whose GET and POST is a function."""

    isLeaf = True

    def __init__(self, function: Callable[[Request], Any]) -> None:
        super().__init__()
        self._function = function

    def render_GET(self, request: Request) -> Any:
        return self._function(request)

    render_POST = render_GET


def at_root(resource: Any) -> Resource:
    """A tree with `resource` at ``/``."""
    root = Resource()
    root.putChild(b"", resource)
    return root


def plugin(resource: Any, **kw: Any) -> Gateway:
    return Gateway((), plugins={"test": resource}, handler="test", **kw)


def ask(resource: Any, request: bytes = b"GET /" + H + b"\r\n", **kw: Any) -> Answer:
    """One answer of a plugin, on a connection that is then in order."""
    gateway = plugin(resource, **kw)
    client = gateway.client().send(request)
    gateway.settle()
    (answer,) = client.answers
    client.leave()
    for call in gateway.clock.getDelayedCalls():
        call.cancel()
    gateway.assert_idle()
    return answer


def seen(function: Callable[[Request], Any], request: bytes = b"GET /" + H + b"\r\n") -> Any:
    """What `function` makes of the request."""
    found: list[Any] = []

    def render(asked: Request) -> bytes:
        found.append(function(asked))
        return b""

    ask(Rendered(render), request)
    (value,) = found
    return value


# -- what a Resource answers -------------------------------------------------------------------


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


# -- producers ---------------------------------------------------------------------------------


class Pushed:
    def __init__(self) -> None:
        self.states: list[str] = []

    def pauseProducing(self) -> None:
        self.states.append("pause")

    def resumeProducing(self) -> None:
        self.states.append("resume")

    def stopProducing(self) -> None:
        self.states.append("stop")


def pushing() -> tuple[Gateway, Client, Pushed, list[Request]]:
    producer = Pushed()
    requests: list[Request] = []

    def render(request: Request) -> int:
        requests.append(request)
        request.registerProducer(producer, True)
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    return gateway, gateway.client().send(b"GET /" + H + b"\r\n"), producer, requests


def test_push_producer() -> None:
    _, client, producer, requests = pushing()
    client.transport.block()
    client.transport.unblock()
    assert producer.states == ["pause", "resume"]
    requests[0].write(b"hello")
    requests[0].unregisterProducer()
    requests[0].finish()
    client.transport.block()
    client.transport.unblock()
    assert producer.states == ["pause", "resume"]
    assert client.answers[0].body == b"hello"


def test_push_producer_of_a_client_that_leaves() -> None:
    gateway, client, producer, _ = pushing()
    client.leave()
    assert producer.states == ["stop"]
    gateway.assert_idle()


class Pulled:
    """Writes `count` pieces, one each time it is asked."""

    def __init__(self, request: Request, count: int) -> None:
        self.request = request
        self.left = count
        self.stopped = 0
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()
            return
        self.left -= 1
        self.request.write(b"piece")

    def stopProducing(self) -> None:
        self.stopped += 1


def pulling(count: int) -> tuple[Gateway, Client, list[Pulled]]:
    producers: list[Pulled] = []

    def render(request: Request) -> int:
        producers.append(Pulled(request, count))
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    return gateway, gateway.client(), producers


def test_pull_producer() -> None:
    gateway, client, _ = pulling(100)
    client.send(b"GET /" + H + b"\r\n")
    gateway.advance(20)
    assert client.answers[0].body == b"piece" * 100


def test_pull_producer_lets_others_have_their_turn() -> None:
    """A client that takes everything does not hold up the reactor."""
    gateway, client, producers = pulling(1000)
    client.send(b"GET /" + H + b"\r\n")
    assert 0 < 1000 - producers[0].left < 100
    client.leave()
    assert producers[0].stopped == 1
    gateway.assert_idle()


def test_pull_producer_waits_for_the_client() -> None:
    gateway, client, producers = pulling(100)
    client.transport.block()
    client.send(b"GET /" + H + b"\r\n")
    gateway.settle()
    assert producers[0].left == 100
    client.transport.unblock()
    gateway.advance(20)
    assert client.answers[0].body == b"piece" * 100


# -- what a Resource is told -------------------------------------------------------------------


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
    monkeypatch.setattr("scgiproxy.web.lazy.MOST_OF_FORM", 10)
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
    assert not gateway.site.sessions


# -- the end -----------------------------------------------------------------------------------


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

    gateway = Gateway(
        (),
        plugins={"fail": Rendered(fail), "document": Rendered(document)},
        handler="fail",
        sections=[SectionValues(SectionKind.LOCATION, b"/doc", {"handler": "document"})],
        error_documents={500: ErrorDocument(ErrorDocumentKind.LOCAL, b"/doc?y=2")},
    )
    client = gateway.client().send(b"POST /?x=1" + H + b"Content-Length: 5\r\n\r\nhello")
    (answer,) = client.answers
    assert (answer.status, answer["x-failed"], answer["set-cookie"]) == (500, None, None)
    assert answer.body == b"({b'y': [b'2']}, b'')"
    assert len(logged_errors.flush()) == 1
    client.leave()
    gateway.assert_idle()


def test_push_producer_of_an_answer_that_is_aborted() -> None:
    gateway, client, producer, _ = pushing()
    client.transport.block()
    gateway.advance(61)
    assert client.closed == "aborted"
    assert producer.states == ["pause", "stop"]
    gateway.assert_idle()


def test_producer_is_of_its_own_request() -> None:
    """Unregistering late does not take away the next request's."""
    gateway, client, producer, requests = pushing()
    requests[0].write(b"hello")
    requests[0].finish()
    client.send(b"GET /" + H + b"\r\n")
    requests[0].unregisterProducer()
    client.transport.block()
    assert producer.states == ["pause"]
    client.leave()
    gateway.assert_idle()


def test_pull_producer_that_is_never_unregistered() -> None:
    """It is asked no more once the answer has ended."""

    class Careless(Pulled):
        def resumeProducing(self) -> None:
            self.left -= 1
            self.request.write(b"piece")
            self.request.finish()

    producers: list[Pulled] = []

    def render(request: Request) -> int:
        producers.append(Careless(request, 5))
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    gateway.settle()
    assert producers[0].left == 4
    assert client.answers[0].body == b"piece"
    client.leave()
    gateway.assert_idle()
