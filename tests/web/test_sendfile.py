"""X-Sendfile."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.errors import Forbidden, NotFound, ScgiProxyError
from scgiproxy.message.headers import HeaderList
from scgiproxy.web.sendfile import answer_with_file
from tests.web.fakes import RecordedRequest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"hello")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


def test_the_file_that_the_backend_names(root: Path) -> None:
    """With the backend's status, reason and headers."""
    request = RecordedRequest()
    answer_with_file(
        request, bytes(root / "a.txt"), [(b"X-Own", b"1")], 404, b"Gone Fishing", [str(root)]
    )
    assert (request.status, request.reason) == (404, b"Gone Fishing")
    assert (request.length, request.body) == (5, b"hello")
    assert request.response_header(b"x-own") == b"1"


def test_ranges_and_conditions(root: Path) -> None:
    request = RecordedRequest(headers={b"range": b"bytes=1-3"})
    answer_with_file(request, bytes(root / "a.txt"), [], 200, None, [str(root)])
    assert (request.status, request.body) == (206, b"ell")


def test_refusals_go_where_they_are_told(root: Path) -> None:
    seen: list[tuple[int, HeaderList]] = []
    request = RecordedRequest(headers={b"if-match": b'"other"'})
    answer_with_file(
        *(request, bytes(root / "a.txt"), [], 200, None, [str(root)]),
        refuse=lambda _, status, headers: seen.append((status, headers)),
    )
    assert seen == [(412, [])]


def test_without_a_folder_the_message_says_what_to_set(root: Path) -> None:
    request = RecordedRequest()
    with pytest.raises(Forbidden, match="set XSendFilePath"):
        answer_with_file(request, bytes(root / "a.txt"), [], 200, None, [])
    assert not request.head_sent


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (b"", Forbidden),
        (b"a.txt", Forbidden),
        (b"/etc/passwd", Forbidden),
        (b"%(root)b/../secret", Forbidden),
        (b"%(root)b", Forbidden),
        (b"%(root)b/a.txt\0", Forbidden),
        (b"%(root)b/%%61.txt", NotFound),
        (b"%(root)b/none", NotFound),
        (b"%(root)b/a.txt ", NotFound),
    ],
)
def test_nothing_is_sent_when_it_cannot_be(
    root: Path, name: bytes, error: type[ScgiProxyError]
) -> None:
    """The caller makes the error page, and logs."""
    request = RecordedRequest()
    with pytest.raises(error):
        answer_with_file(request, name % {b"root": bytes(root)}, [], 200, None, [str(root)])
    assert not request.head_sent
    assert not request.answered
