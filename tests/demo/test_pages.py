"""The pages, asked for over SCGI in memory."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from scgiproxy.demo import build_demo
from scgiproxy.demo.forms import MAX_FIELDS, MAX_FORM
from scgiproxy.demo.page import PAGES, STYLE, shown
from scgiproxy.demo.streams import LINE_INTERVAL, LINES, SCRIPT, TICK_INTERVAL
from scgiproxy.scgi.response import ResponseHead
from scgiproxy.wire.server import ScgiServerFactory
from tests.wire.server.gateway import Gateway, header, request_bytes

EVIL = "<script>alert('x')</script>&\x1b\u202e"
BOUNDARY = "the-boundary"


def connect(folder: Path = Path("/nowhere")) -> Gateway:
    clock = Clock()
    root = build_demo(folder, clock, "Listen 127.0.0.1:8080")
    return Gateway.of(ScgiServerFactory(root, reactor=clock, parse_forms=False), clock)


def get(path: str, body: bytes = b"", **variables: str | bytes) -> tuple[ResponseHead, str]:
    query = str(variables.get("QUERY_STRING", ""))
    uri = path + ("?" + query if query else "")
    gateway = connect()
    gateway.send(request_bytes(body, **{"REQUEST_URI": uri, "PATH_INFO": path, **variables}))
    for _ in range(50):
        gateway.clock.advance(0)
    head, data = gateway.answer(head_only=variables.get("REQUEST_METHOD") == "HEAD")
    return head, data.decode()


def cells(page: str) -> list[tuple[str, ...]]:
    """The rows of all tables, as they stand in the page."""
    return [
        tuple(re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL))
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]


def test_the_root_is_a_resource() -> None:
    assert verifyObject(IResource, build_demo(Path("/nowhere"), Clock()))


def test_the_start_page_leads_everywhere() -> None:
    head, page = get("/")
    assert head.status == 200
    assert "It works" in page
    assert "Listen 127.0.0.1:8080" in page
    for name, _ in PAGES:
        assert page.count(f'href="{name}"') == 2


@pytest.mark.parametrize("name", [name for name, _ in PAGES if name not in ("redirect", "stream")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_each_page_answers(name: str, method: str) -> None:
    head, page = get("/" + name, REQUEST_METHOD=method)
    assert head.status == 200
    assert bool(page) is (method == "GET")


@pytest.mark.parametrize("path", ["/nothing", "/nothing/more", "/form/more", "/variables/"])
def test_other_addresses_are_not_found(path: str) -> None:
    """And the links of that page lead to the root, from any depth."""
    head, page = get(path)
    assert head.status == 404
    up = "../" * (path.count("/") - 1)
    assert f'href="{up}form"' in page


def test_a_method_that_a_page_has_not() -> None:
    head, _ = get("/variables", REQUEST_METHOD="DELETE")
    assert head.status == 405
    assert header(head, b"allow") == b"GET, HEAD"


def test_pages_load_nothing_and_run_nothing_foreign() -> None:
    """The policy allows the inline style by its hash; nothing else is named."""
    head, page = get("/form")
    policy = header(head, b"content-security-policy") or b""
    assert policy.startswith(b"default-src 'none'; style-src 'sha256-")
    assert b"unsafe" not in policy
    assert "://" not in page.replace("scgi://", "")


@pytest.mark.parametrize("text", [STYLE, SCRIPT])
def test_inline_text_needs_no_escaping(text: str) -> None:
    """In a style and a script the entities of HTML mean nothing."""
    assert not set("<>&").intersection(text)


# -- variables ---------------------------------------------------------------------------------


def test_every_variable_is_shown() -> None:
    _, page = get("/variables", REMOTE_USER="ann", HTTP_X_A="b c", MY_OWN="1")
    rows = cells(page)
    assert ("REMOTE_USER", "ann", "who has logged in at the gateway") in rows
    assert ("HTTP_X_A", "b c") in rows
    assert ("MY_OWN", "1") in rows
    assert ("QUERY_STRING", "empty", "what follows the question mark") in rows


def test_values_cannot_become_markup() -> None:
    _, page = get("/variables", HTTP_X_EVIL=EVIL)
    assert "&lt;script&gt;alert('x')&lt;/script&gt;&amp;\\x1b\\u202e" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("Zoë".encode(), "Zoë"),
        (b"\xff\xfe", "\\xff\\xfe"),
        ("a\u202eb\u200bc", "a\\u202eb\\u200bc"),
        ("one\r\ntwo\n\x00", "one\ntwo\n\\x00"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(data: bytes | str, text: str) -> None:
    assert shown(data) == text


# -- forms -------------------------------------------------------------------------------------

URLENCODED = "application/x-www-form-urlencoded"


def test_a_form_by_get() -> None:
    _, page = get("/form", QUERY_STRING="name=Zo%C3%AB+%3Cb%3E&empty=")
    assert ("name", "Zoë &lt;b&gt;") in cells(page)
    assert ("empty", "empty") in cells(page)
    assert "name=Zo%C3%AB+%3Cb%3E&amp;empty=" in page


def test_a_form_by_post() -> None:
    head, page = get("/form", b"a=1&a=2&b=%FF", REQUEST_METHOD="POST", CONTENT_TYPE=URLENCODED)
    assert head.status == 200
    assert cells(page)[1:4] == [("a", "1"), ("a", "2"), ("b", "\\xff")]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{}", "application/json", 415, "application/json"),
        (b"a=" + b"x" * MAX_FORM, URLENCODED, 413, str(MAX_FORM)),
        (b"a=1&" * (MAX_FIELDS + 1), URLENCODED, 400, str(MAX_FIELDS)),
    ],
)
def test_a_form_that_is_refused(body: bytes, content_type: str, status: int, said: str) -> None:
    head, page = get("/form", body, REQUEST_METHOD="POST", CONTENT_TYPE=content_type)
    assert head.status == status
    assert said in page


# -- upload ------------------------------------------------------------------------------------


def upload(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> tuple[ResponseHead, str]:
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
        % (BOUNDARY.encode(), disposition.encode(), data)
        for disposition, data in parts
    )
    return get(
        "/upload",
        body + b"--" + BOUNDARY.encode() + end,
        REQUEST_METHOD="POST",
        CONTENT_TYPE=f"multipart/form-data; boundary={BOUNDARY}",
    )


def test_an_upload_is_summed_up() -> None:
    """Bytes that look like a boundary or a line end are the file's own."""
    data = bytes(range(256)) * 1000 + b"\r\n--the-boundar\r\r\n"
    head, page = upload(
        ('name="files"; filename="a &amp; b.bin"\r\nContent-Type: image/png', data),
        ('name="note"', "für <mich>".encode()),
    )
    assert head.status == 200
    assert (
        "a &amp;amp; b.bin",
        "image/png",
        f"{len(data):,}",
        hashlib.sha256(data).hexdigest(),
    ) in cells(page)
    assert ("note", "für &lt;mich&gt;") in cells(page)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nContent-Disposition: form-data\r\n"])
def test_an_upload_that_is_not_whole(end: bytes) -> None:
    head, page = upload(('name="files"; filename="a"', b"x"), end=end)
    assert head.status == 400
    assert "could not be read" in page


@pytest.mark.parametrize("content_type", ["multipart/form-data", "text/plain", ""])
def test_a_body_that_is_no_upload(content_type: str) -> None:
    head, _ = get("/upload", b"x", REQUEST_METHOD="POST", CONTENT_TYPE=content_type)
    assert head.status == 400


def test_an_upload_whose_sender_leaves() -> None:
    """Reading ends with the request."""
    gateway = connect()
    body = b"--b\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n" + bytes(1 << 20)
    gateway.send(
        request_bytes(
            body,
            REQUEST_METHOD="POST",
            CONTENT_TYPE="multipart/form-data; boundary=b",
            PATH_INFO="/upload",
        )
    )
    gateway.clock.advance(0)
    gateway.close()
    gateway.clock.advance(0)
    assert not gateway.clock.getDelayedCalls()


# -- what the gateway does ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mount", "location"), [("", b"/redirected"), ("/a b", b"/a%20b/redirected")]
)
def test_an_internal_redirect(mount: str, location: bytes) -> None:
    """Status 200 and a path that begins with a slash, wherever the demo is mounted."""
    head, _ = get("/redirect", SCRIPT_NAME=mount)
    assert head.status == 200
    assert header(head, b"location") == location + b"?by=the+application"


def test_the_target_shows_the_first_request() -> None:
    _, page = get("/redirected", REDIRECT_URL="/redirect", REDIRECT_EVIL="<b>")
    assert ("REDIRECT_URL", "/redirect") in cells(page)
    assert ("REDIRECT_EVIL", "&lt;b&gt;") in cells(page)
    assert "directly" in get("/redirected")[1]


@pytest.mark.parametrize(
    ("name", "content_type", "disposition"),
    [
        ("picture.svg", b"image/svg+xml", None),
        ("numbers.txt", b"text/plain; charset=utf-8", b'attachment; filename="numbers.txt"'),
    ],
)
def test_files_are_left_to_the_gateway(
    name: str, content_type: bytes, disposition: bytes | None
) -> None:
    head, body = get("/" + name)
    assert header(head, b"x-sendfile") == f"/nowhere/{name}".encode()
    assert header(head, b"content-type") == content_type
    assert header(head, b"content-disposition") == disposition
    assert body == ""


# -- streams -----------------------------------------------------------------------------------


def test_lines_come_one_by_one() -> None:
    gateway = connect().send(request_bytes(PATH_INFO="/stream"))
    for number in range(1, LINES + 1):
        assert gateway.transport.value().count(b"<li>") == number
        assert not gateway.transport.disconnecting
        gateway.clock.advance(LINE_INTERVAL)
    gateway.clock.advance(LINE_INTERVAL)
    assert gateway.answer()[1].endswith(b"</html>")


def test_numbers_go_on_until_the_browser_leaves() -> None:
    gateway = connect().send(request_bytes(PATH_INFO="/ticks"))
    gateway.clock.advance(TICK_INTERVAL)
    assert b"text/event-stream" in gateway.transport.value()
    assert gateway.transport.value().endswith(b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n")
    gateway.close()
    assert not gateway.clock.getDelayedCalls()


def test_numbers_are_left_out_while_nobody_reads() -> None:
    """Nothing piles up; the count goes on where it was."""
    gateway = connect().send(request_bytes(PATH_INFO="/ticks"))
    gateway.channel.pauseProducing()
    gateway.clock.pump([TICK_INTERVAL] * 10)
    gateway.transport.drain()
    gateway.clock.advance(TICK_INTERVAL)
    assert gateway.transport.value().endswith(b"data: 1\n\nid: 2\ndata: 2\n\n")
    gateway.close()


@pytest.mark.parametrize("path", ["/stream", "/ticks"])
def test_a_stream_has_a_head_only(path: str) -> None:
    head, body = get(path, REQUEST_METHOD="HEAD")
    assert head.status == 200
    assert body == ""
