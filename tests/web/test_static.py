"""Static files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from zope.interface.verify import verifyObject

from scgiproxy.errors import Forbidden, NotFound
from scgiproxy.message.headers import HeaderList
from scgiproxy.web.openfile import OpenedFile, open_beneath
from scgiproxy.web.static import StaticFiles, answer_static
from tests.web.fakes import RecordedRequest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for path, data in {
        "index.html": "home",
        "a b.txt": "ab",
        "with/index.html": "with",
        "without/file.txt": "file",
        ".htaccess": "secret",
        "without/.htpasswd": "secret",
        ".hidden": "seen",
        "evil.example/x": "x",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(data)
    (tmp_path / "secret").write_text("secret")
    return folder


def get(
    root: Path,
    rest: bytes,
    url_path: bytes | None = None,
    *,
    method: bytes = b"GET",
    headers: dict[bytes, bytes] | None = None,
    **named: Any,
) -> RecordedRequest:
    request = RecordedRequest(method, headers)
    answer_static(request, str(root), rest, url_path=url_path or rest, **named)
    assert request.finished
    return request


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning, as the log has it."""
    seen: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            seen.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("suffix", ["", "/"])
@pytest.mark.parametrize("rest", [b"/a b.txt", b"a b.txt"])
def test_a_file(root: Path, suffix: str, rest: bytes) -> None:
    request = RecordedRequest()
    answer_static(request, f"{root}{suffix}", rest, url_path=b"/a b.txt")
    assert (request.status, request.body) == (200, b"ab")
    assert request.response_header(b"content-type") == b"text/plain"


def test_ranges(root: Path) -> None:
    request = get(root, b"/with/index.html", headers={b"range": b"bytes=-2"})
    assert (request.status, request.body) == (206, b"th")


@pytest.mark.parametrize("name", [b"/with/noext", b"/with/odd.unheard-of"])
def test_a_default_type(root: Path, name: bytes) -> None:
    """For what has no type of its own, each of several parts too."""
    (root / name.decode()[1:]).write_text("0123456789" * 100)
    given = b"application/json"
    assert get(root, name, default_type=given).response_header(b"content-type") == given
    plain = get(root, b"/a b.txt", default_type=given)
    assert plain.response_header(b"content-type") == b"text/plain"
    parts = get(root, name, default_type=given, headers={b"range": b"bytes=0-0,900-900"})
    assert parts.body.count(b"Content-Type: application/json\r\n") == 2
    assert get(root, name).response_header(b"content-type") == b"application/octet-stream"


def test_dot_files_are_served_as_apache_does(root: Path) -> None:
    assert get(root, b"/.hidden").body == b"seen"


@pytest.mark.parametrize(
    ("rest", "url_path", "body"),
    [
        (b"/", b"/", b"home"),
        (b"", b"/files/", b"home"),
        (b"/with/", b"/with/", b"with"),
        (b"with/", b"/files/with/", b"with"),
    ],
)
def test_a_folder_is_its_index(root: Path, rest: bytes, url_path: bytes, body: bytes) -> None:
    request = get(root, rest, url_path)
    assert request.body == body
    assert request.response_header(b"content-type") == b"text/html"


@pytest.mark.parametrize(
    ("rest", "url_path", "query", "location"),
    [
        (b"/with", b"/with", b"", b"/with/"),
        (b"with", b"/files/with", b"a=%20b", b"/files/with/?a=%20b"),
        (b"", b"/files", b"", b"/files/"),
        (b"/without", b"/without", b"", b"/without/"),
        # What would be the name of another host is a path of ours.
        (b"/evil.example", b"//evil.example", b"", b"/evil.example/"),
        (b"/with", b"/\\ \r\n\xff?/with", b"", b"/%5C%20%0D%0A%FF%3F/with/"),
    ],
)
def test_a_folder_without_its_slash(
    root: Path, rest: bytes, url_path: bytes, query: bytes, location: bytes
) -> None:
    request = get(root, rest, url_path, query=query)
    assert request.status == 301
    assert request.response_header(b"location") == location


def test_an_alias_of_one_file(root: Path) -> None:
    request = get(root / "with" / "index.html", b"", b"/favicon")
    assert (request.status, request.body) == (200, b"with")


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        (b"/none", NotFound),
        (b"/none/", NotFound),
        (b"/a b.txt/", NotFound),
        (b"/a b.txt/more", NotFound),
        (b"/without/", Forbidden),
        (b"/.htaccess", Forbidden),
        (b"/.HTaccess", Forbidden),
        (b"/without/.htpasswd", Forbidden),
        (b"/.htnone", Forbidden),
        (b"/../secret", Forbidden),
        (b"/without/../../secret", Forbidden),
        (b"/\0", Forbidden),
    ],
)
def test_refusals(root: Path, rest: bytes, error: type[Exception]) -> None:
    request = RecordedRequest()
    with pytest.raises(error):
        answer_static(request, str(root), rest, url_path=rest)
    assert not request.head_sent


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        (b"/out", "secret"),
        (b"/folder/file.html", "other/file.html"),
        (b"/folder/none.html", "other/none.html"),
        (b"/folder/", "other/index.html"),
        (b"/folder", "other"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_symlink_out_of_the_root(
    root: Path, rest: bytes, target: str, method: bytes, warnings: list[str]
) -> None:
    """Refused, whatever is there, and the log has a warning that says why."""
    (root / "out").symlink_to("../secret")
    (root / "folder").symlink_to("../other")
    (root.parent / "other").mkdir()
    (root.parent / "other" / "file.html").write_text("other")
    with pytest.raises(Forbidden):
        get(root, rest, method=method)
    (told,) = warnings
    assert told.startswith(f"client.forbidden: a symlink leads from '{root}/")
    assert f" to '{root.parent}/{target}', outside" in told
    assert told.endswith("an Alias for the folder there would serve it")


def test_a_symlink_within_the_root(root: Path, warnings: list[str]) -> None:
    (root / "in").symlink_to("with")
    assert get(root, b"/in/").body == b"with"
    with pytest.raises(Forbidden):
        get(root, b"/../secret")
    assert warnings == []


def test_an_index_that_is_a_folder(root: Path) -> None:
    (root / "odd" / "index.html").mkdir(parents=True)
    with pytest.raises(Forbidden):
        get(root, b"/odd/")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get"])
def test_other_methods(root: Path, method: bytes) -> None:
    request = get(root, b"/a b.txt", method=method)
    assert request.status == 405
    assert request.response_header(b"allow") == b"GET, HEAD"


def test_post_to_what_is_no_file(root: Path) -> None:
    """It is answered as GET is."""
    for rest, error in ((b"/none", NotFound), (b"/without/", Forbidden)):
        with pytest.raises(error):
            get(root, rest, method=b"POST")
    request = get(root, b"/with", method=b"POST")
    assert (request.status, request.response_header(b"location")) == (301, b"/with/")


def test_post_closes_the_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[OpenedFile] = []

    def open_and_keep(roots: Sequence[str], path: bytes | str) -> OpenedFile:
        opened.append(open_beneath(roots, path))
        return opened[-1]

    monkeypatch.setattr("scgiproxy.web.static.open_beneath", open_and_keep)
    assert get(root, b"/a b.txt", method=b"POST").status == 405
    assert [one.fd for one in opened] == [-1]


def test_head(root: Path) -> None:
    request = get(root, b"/a b.txt", method=b"HEAD")
    assert (request.status, request.length, request.body) == (200, 2, b"")


def test_the_page_of_an_error_document(root: Path) -> None:
    """It keeps the status, and is never a 304 or a part."""
    asked = {b"range": b"bytes=0-0", b"if-none-match": b"*"}
    request = get(root, b"/with/index.html", headers=asked, status=404)
    assert (request.status, request.body) == (404, b"with")


@pytest.mark.parametrize(
    ("rest", "method", "asked", "status"),
    [
        (b"/with", b"GET", {}, 301),
        (b"/with/", b"PUT", {}, 405),
        (b"/with/", b"GET", {b"if-match": b'"x"'}, 412),
        (b"/with/", b"GET", {b"range": b"bytes=10-"}, 416),
    ],
)
def test_what_is_no_file_is_answered_by_whoever_is_given(
    root: Path, rest: bytes, method: bytes, asked: dict[bytes, bytes], status: int
) -> None:
    seen: list[tuple[int, HeaderList]] = []
    request = RecordedRequest(method, asked)
    answer_static(
        request,
        str(root),
        rest,
        url_path=rest,
        refuse=lambda _, given, headers: seen.append((given, headers)),
    )
    assert [given for given, _ in seen] == [status]
    assert not request.head_sent


class TreeRequest(RecordedRequest):
    """What the resource looks at besides, as twisted.web's traversal leaves it."""

    def __init__(self, prepath: list[bytes], postpath: list[bytes], uri: bytes) -> None:
        super().__init__()
        self.prepath, self.postpath, self.uri = prepath, postpath, uri


class TestResource:
    def test_it_is_a_leaf(self, root: Path) -> None:
        resource = StaticFiles(str(root))
        assert verifyObject(IResource, resource)
        assert resource.isLeaf

    @pytest.mark.parametrize(
        ("prepath", "postpath", "status"),
        [
            ([b"files"], [b"a b.txt"], 200),
            ([b"files"], [b"with", b""], 200),
            ([b"files"], [b""], 200),
            ([], [b""], 200),
            ([b"files"], [], 301),
            ([b"files"], [b"with"], 301),
            ([b"files"], [b"none"], 404),
            ([b"files"], [b"without", b""], 403),
            ([b"files"], [b"with/index.html"], 404),
            ([b"files"], [b"..", b"secret"], 403),
        ],
    )
    def test_answers(
        self, root: Path, prepath: list[bytes], postpath: list[bytes], status: int
    ) -> None:
        request = TreeRequest(prepath, postpath, b"/whatever?q=1")
        assert StaticFiles(str(root)).render(request) == NOT_DONE_YET
        assert request.status == status
        assert request.finished
        if status == 301:
            path = b"/" + b"/".join(prepath + postpath) + b"/?q=1"
            assert request.response_header(b"location") == path
