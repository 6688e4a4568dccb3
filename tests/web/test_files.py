"""Answering with a file."""

from __future__ import annotations

import email.parser
import email.policy
import os
import re
from email.message import EmailMessage
from pathlib import Path

import pytest

from scgiproxy.errors import GatewayError
from scgiproxy.message.headers import HeaderList
from scgiproxy.web.files import content_type, send_file
from scgiproxy.web.openfile import open_beneath
from tests.web.fakes import RecordedRequest

MTIME = 784111777
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
TEXT = bytes(range(48, 58)) * 100  # 1000 bytes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to send from, with one file of a known time."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file.txt").write_bytes(TEXT)
    os.utime(tmp_path / "sub" / "file.txt", (MTIME, MTIME))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/srv/a.html", b"text/html"),
        ("/srv/a.PNG", b"image/png"),
        ("/srv/a.tar.gz", b"application/gzip"),
        ("/srv/a.svgz", b"application/gzip"),
        ("/srv/README", b"application/octet-stream"),
        ("/srv/.png/README", b"application/octet-stream"),
        ("/srv/a.unheard-of", b"application/octet-stream"),
        ("/srv/data:text/html,x", b"application/octet-stream"),
    ],
)
def test_content_types(name: str, kind: bytes) -> None:
    assert content_type(name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/srv/README", b"text/x-given; a=b"),
        ("/srv/a.unheard-of", b"text/x-given; a=b"),
        ("/srv/a.html", b"text/html"),
        ("/srv/a.tar.gz", b"application/gzip"),
        # Compressed it is not what was given, and nobody would unpack it.
        ("/srv/page.br", b"application/octet-stream"),
    ],
)
def test_a_default_is_for_what_has_no_type(name: str, kind: bytes) -> None:
    assert content_type(name, b"text/x-given; a=b") == kind


ETAG = b'"3e8-%x"' % (MTIME * 10**9)


def answer(
    root: Path,
    headers: HeaderList | None = None,
    *,
    status: int = 200,
    reason: bytes | None = None,
    method: bytes = b"GET",
    name: str = "sub/file.txt",
    now: float = MTIME + 100.0,
    **asked: bytes,
) -> RecordedRequest:
    """What a client gets for that file; `asked` are request headers, ``_`` for ``-``."""
    named = {key.replace("_", "-").encode(): value for key, value in asked.items()}
    request = RecordedRequest(method, named, buffer_size=65536)
    opened = open_beneath([str(root)], str(root / name))
    given = list(headers or [])
    send_file(request, opened, headers=given, status=status, reason=reason, now=lambda: now)
    assert given == (headers or []), "the caller's list is changed"
    request.drain_all()
    return request


class TestWhole:
    def test_a_file(self, root: Path) -> None:
        request = answer(root)
        assert (request.status, request.reason, request.length) == (200, None, 1000)
        assert request.body == TEXT
        assert dict(request.headers) == {
            b"Content-Type": b"text/plain",
            b"ETag": ETAG,
            b"Last-Modified": DATE,
            b"Accept-Ranges": b"bytes",
        }

    def test_an_empty_file(self, root: Path) -> None:
        (root / "empty").touch()
        for asked in ({}, {"range": b"bytes=0-"}):
            request = answer(root, name="empty", **asked)
            assert (request.status, request.length, request.body) == (200, 0, b"")
            assert request.finished

    @pytest.mark.parametrize("size", [16384, 16385, 1_000_000])
    def test_small_and_large(self, root: Path, size: int) -> None:
        """At once, or through a producer: the same bytes."""
        (root / "big").write_bytes(bytes(index % 251 for index in range(size)))
        request = answer(root, name="big")
        assert request.body == (root / "big").read_bytes()

    def test_head_has_the_headers_of_get(self, root: Path) -> None:
        get, head = answer(root), answer(root, method=b"HEAD")
        assert (head.status, head.length) == (get.status, get.length)
        assert head.headers == get.headers
        assert head.body == b""

    def test_the_headers_of_the_backend_are_kept(self, root: Path) -> None:
        given = [
            (b"content-type", b"application/x-own"),
            (b"etag", b'"own"'),
            (b"Last-modified", EARLIER),
            (b"Content-Disposition", b"attachment; filename=a"),
            (b"accept-ranges", b"none"),
            (b"Set-Cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
        ]
        assert answer(root, given).headers == given

    def test_the_lengths_of_the_backend_are_not(self, root: Path) -> None:
        """They are of the backend's own body, which nobody gets."""
        request = answer(root, [(b"Content-Length", b"5"), (b"Content-Range", b"bytes 0-4/5")])
        assert request.response_header(b"content-length") is None
        assert request.response_header(b"content-range") is None
        assert request.length == 1000

    @pytest.mark.parametrize("status", [201, 403, 404, 500])
    def test_another_status_sends_the_whole_file(self, root: Path, status: int) -> None:
        request = answer(root, status=status, reason=b"Own", range=b"bytes=0-1", if_none_match=b"*")
        assert (request.status, request.reason, request.body) == (status, b"Own", TEXT)
        assert request.response_header(b"etag") is None

    @pytest.mark.parametrize("status", [204, 304])
    def test_a_status_without_a_body(self, root: Path, status: int) -> None:
        request = answer(root, status=status)
        assert (request.status, request.length, request.body) == (status, None, b"")
        assert request.finished

    def test_another_method_sends_the_whole_file(self, root: Path) -> None:
        request = answer(root, method=b"POST", range=b"bytes=0-1", if_none_match=b"*")
        assert (request.status, request.body) == (200, TEXT)

    def test_a_tag_is_weak_while_the_file_may_change_unseen(self, root: Path) -> None:
        assert answer(root, now=MTIME + 0.9).response_header(b"etag") == b"W/" + ETAG
        assert answer(root, now=MTIME + 1.0).response_header(b"etag") == ETAG

    def test_a_date_is_never_in_the_future(self, root: Path) -> None:
        """RFC 9110 section 8.8.2.1."""
        assert answer(root, now=MTIME - 1.0).response_header(b"last-modified") == EARLIER

    def test_a_small_file_that_was_cut_is_an_error_in_time(self, root: Path) -> None:
        """Nothing was sent, so there can still be an error page; the file is closed."""
        opened = open_beneath([str(root)], str(root / "sub" / "file.txt"))
        os.truncate(root / "sub" / "file.txt", 10)
        request = RecordedRequest()
        with pytest.raises(GatewayError, match="truncated"):
            send_file(request, opened, headers=[])
        assert not request.head_sent
        assert opened.fd == -1

    def test_a_client_that_leaves_has_the_file_closed(self, root: Path) -> None:
        (root / "big").write_bytes(bytes(1_000_000))
        opened = open_beneath([str(root)], str(root / "big"))
        request = RecordedRequest(buffer_size=1)
        send_file(request, opened, headers=[])
        assert opened.fd >= 0
        request.client_leaves()
        assert opened.fd == -1


class TestConditions:
    @pytest.mark.parametrize(
        "asked",
        [
            {"if_none_match": ETAG},
            {"if_none_match": b"W/" + ETAG},
            {"if_none_match": b"*"},
            {"if_modified_since": DATE},
            {"if_none_match": ETAG, "range": b"bytes=0-1"},
        ],
    )
    @pytest.mark.parametrize("method", [b"GET", b"HEAD"])
    def test_not_modified(self, root: Path, asked: dict[str, bytes], method: bytes) -> None:
        """Validators and cookies stay, what describes a body does not (RFC 9110 15.4.5)."""
        given = [(b"Content-Type", b"a/b"), (b"Content-Disposition", b"x"), (b"Set-Cookie", b"a=1")]
        request = answer(root, given, method=method, **asked)
        assert (request.status, request.length, request.body) == (304, None, b"")
        assert dict(request.headers) == {
            b"Set-Cookie": b"a=1",
            b"ETag": ETAG,
            b"Last-Modified": DATE,
        }

    @pytest.mark.parametrize(
        "asked",
        [
            {"if_match": b'"other"'},
            {"if_unmodified_since": EARLIER},
            {"if_match": b'"other"', "if_none_match": ETAG},
        ],
    )
    def test_precondition_failed(self, root: Path, asked: dict[str, bytes]) -> None:
        request = answer(root, [(b"Set-Cookie", b"a=1"), (b"Expires", DATE)], **asked)
        assert request.status == 412
        assert request.response_header(b"set-cookie") == b"a=1"
        assert request.response_header(b"expires") is None
        assert request.response_header(b"etag") is None
        assert b"412" in request.body

    def test_the_validators_of_the_backend_count(self, root: Path) -> None:
        given = [(b"ETag", b'"own"'), (b"Last-Modified", EARLIER)]
        assert answer(root, given, if_none_match=b'"own"').status == 304
        assert answer(root, given, if_none_match=ETAG).status == 200
        assert answer(root, given, if_modified_since=EARLIER).status == 304
        assert answer(root, given, range=b"bytes=0-1", if_range=b'"own"').status == 206
        assert answer(root, given, range=b"bytes=0-1", if_range=DATE).status == 200

    def test_a_malformed_validator_is_kept_and_matches_nothing(self, root: Path) -> None:
        given = [(b"ETag", b"own"), (b"Last-Modified", b"today")]
        request = answer(root, given, if_none_match=b"own", if_modified_since=DATE)
        assert request.status == 200
        assert request.response_header(b"etag") == b"own"


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "start", "stop"),
        [
            (b"bytes=0-0", 0, 1),
            (b"bytes=10-19", 10, 20),
            (b"bytes=990-", 990, 1000),
            (b"bytes=-5", 995, 1000),
            (b"bytes=-2000", 0, 1000),
            (b"bytes=0-", 0, 1000),
            (b"bytes=0-9,5-19", 0, 20),
        ],
    )
    def test_one_part(self, root: Path, asked: bytes, start: int, stop: int) -> None:
        request = answer(root, range=asked)
        assert (request.status, request.length) == (206, stop - start)
        assert request.body == TEXT[start:stop]
        content_range = request.response_header(b"content-range")
        assert content_range == b"bytes %d-%d/1000" % (start, stop - 1)
        assert request.response_header(b"content-type") == b"text/plain"
        assert request.response_header(b"etag") == ETAG

    @pytest.mark.parametrize("size", [1000, 300_000])
    def test_several_parts(self, root: Path, size: int) -> None:
        """The length announced is exact: the recorder refuses more, and aborts on less."""
        data = bytes(32 + index % 90 for index in range(size))
        (root / "data.bin").write_bytes(data)
        given = [(b"content-type", b"text/x-own")]
        request = answer(root, given, name="data.bin", range=b"bytes=0-9,200-399,-300")
        assert request.status == 206
        assert request.finished
        kind = request.response_header(b"content-type") or b""
        assert re.fullmatch(rb"multipart/byteranges; boundary=[0-9a-f]{32}", kind)
        assert request.response_header(b"content-range") is None
        message = email.parser.BytesParser(EmailMessage, policy=email.policy.HTTP).parsebytes(
            b"Content-Type: " + kind + b"\r\n\r\n" + request.body
        )
        parts = [
            (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True))
            for part in message.iter_parts()
        ]
        assert parts == [
            ("text/x-own", f"bytes 0-9/{size}", data[:10]),
            ("text/x-own", f"bytes 200-399/{size}", data[200:400]),
            ("text/x-own", f"bytes {size - 300}-{size - 1}/{size}", data[-300:]),
        ]

    def test_large_parts_go_through_the_producer(self, root: Path) -> None:
        data = os.urandom(400_000)
        (root / "data.bin").write_bytes(data)
        request = answer(root, name="data.bin", range=b"bytes=1-100000,200000-399998")
        assert request.finished
        assert data[1:100001] in request.body
        assert data[200000:399999] in request.body
        assert len(request.written) > 5

    def test_a_range_beyond_the_end(self, root: Path) -> None:
        request = answer(root, [(b"Set-Cookie", b"a=1")], range=b"bytes=1000-")
        assert request.status == 416
        assert request.response_header(b"content-range") == b"bytes */1000"
        assert request.response_header(b"etag") is None
        assert request.response_header(b"set-cookie") == b"a=1"
        assert b"416" in request.body

    @pytest.mark.parametrize(
        "asked",
        [
            b"bytes=a-b",
            b"lines=0-1",
            b"bytes=" + b",".join(b"%d-%d" % (n * 90, n * 90) for n in range(11)),
            b"bytes=" + b"0-," * 4000,
        ],
    )
    def test_what_cannot_be_done_is_ignored(self, root: Path, asked: bytes) -> None:
        request = answer(root, range=asked)
        assert (request.status, request.body) == (200, TEXT)

    def test_head_has_no_ranges(self, root: Path) -> None:
        """RFC 9110 section 14.2: a Range is for GET."""
        request = answer(root, method=b"HEAD", range=b"bytes=0-1")
        assert (request.status, request.length) == (200, 1000)

    def test_a_backend_may_refuse_ranges(self, root: Path) -> None:
        request = answer(root, [(b"Accept-Ranges", b"none")], range=b"bytes=0-1")
        assert (request.status, request.body) == (200, TEXT)

    @pytest.mark.parametrize(
        ("if_range", "status"),
        [(ETAG, 206), (DATE, 206), (b"W/" + ETAG, 200), (b'"other"', 200), (EARLIER, 200)],
    )
    def test_if_range(self, root: Path, if_range: bytes, status: int) -> None:
        assert answer(root, range=b"bytes=0-1", if_range=if_range).status == status

    def test_if_range_does_not_count_with_a_range_that_is_beyond(self, root: Path) -> None:
        """With another representation the whole of it is sent, not a 416."""
        request = answer(root, range=b"bytes=1000-", if_range=b'"other"')
        assert request.status == 200


def test_refusals_are_answered_by_whoever_is_given(root: Path) -> None:
    """A site answers them with its ErrorDocument."""
    seen: list[tuple[int, HeaderList]] = []
    request = RecordedRequest(headers={b"range": b"bytes=1000-"})
    opened = open_beneath([str(root)], str(root / "sub" / "file.txt"))
    send_file(
        request, opened, headers=[], refuse=lambda _, status, kept: seen.append((status, kept))
    )
    assert seen == [(416, [(b"Content-Range", b"bytes */1000")])]
    assert not request.head_sent
    assert opened.fd == -1
