"""Static files: what lies beneath DocumentRoot or the folder of an Alias."""

from __future__ import annotations

import os
from urllib.parse import quote

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from scgiproxy.errors import ClientError, Forbidden, GatewayError, NotFound
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.rules.sections import INDEX
from scgiproxy.web.errorpage import answer_page
from scgiproxy.web.files import Refuse, send_file
from scgiproxy.web.openfile import IsDirectory, OpenedFile, open_beneath

_UNESCAPED = "/~$-_.+!*'(),;:@&="
_ALLOW = (b"Allow", b"GET, HEAD")


def answer_static(
    request: IGatewayRequest,
    root: str,
    rest: bytes,
    *,
    url_path: bytes,
    query: bytes = b"",
    status: int = 200,
    default_type: bytes | None = None,
    refuse: Refuse = answer_page,
) -> None:
    """Answer GET or HEAD with the file at `rest` beneath the folder `root`; others with a 405.

    `rest` and `url_path`, the whole path of the request, are decoded and in normal form; `query`
    is raw and without its ``?``. A directory is answered with its index.html, and without a slash
    at its end with a 301 to where it has one. `status` is for the page of an ErrorDocument,
    `default_type` for a file whose extension says no type; `refuse` answers what is no file (301,
    405, 412, 416).

    Raises `Forbidden` for a directory without an index, a name that begins with ``.ht``, and what
    `open_beneath` refuses; `NotFound`; `GatewayError`. Nothing is sent then.
    """
    if request.method not in (b"GET", b"HEAD"):
        refuse(request, 405, [_ALLOW])
        return
    if any(segment[:3].lower() == b".ht" for segment in rest.split(b"/")):
        raise Forbidden(f"{ascii(url_path)[1:]}: names that begin with .ht are not served")
    path = os.fsencode(root.rstrip("/"))
    if rest or url_path.endswith(b"/"):  # else it is an Alias's own name: a folder, or a file
        path += b"/" + rest.lstrip(b"/")
    try:
        opened = _open_index(root, path) if path.endswith(b"/") else open_beneath((root,), path)
    except IsDirectory:
        if url_path.endswith(b"/"):
            raise
        # One slash in front: with two it would be the name of another host.
        location = b"/" + quote(url_path.lstrip(b"/"), safe=_UNESCAPED).encode("ascii") + b"/"
        if query:
            location += b"?" + query
        refuse(request, 301, [(b"Location", location)])
        return
    send_file(request, opened, headers=[], status=status, default_type=default_type, refuse=refuse)


def _open_index(root: str, directory: bytes) -> OpenedFile:
    try:
        return open_beneath((root,), directory + INDEX)
    except NotFound as missing:
        try:
            open_beneath((root,), directory)
        except IsDirectory as error:
            raise Forbidden(f"{error}, without an index.html; folders are not listed") from None
        raise missing


class StaticFiles(Resource):
    """The files beneath the folder `root`, as a leaf of a resource tree.

    The request is an `IGatewayRequest`, and what is left of its path (`postpath`) names the file.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, root: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._root = root

    def render(self, request: Request) -> int:
        answer = IGatewayRequest(request)
        rest = request.postpath or []
        try:
            if any(b"/" in segment for segment in rest):
                raise NotFound("the path has an encoded slash in it")
            answer_static(
                answer,
                self._root,
                b"/".join(rest),
                url_path=b"/" + b"/".join([*(request.prepath or ()), *rest]),
                query=request.uri.partition(b"?")[2],
            )
        except (ClientError, GatewayError) as error:
            self._log.info("{key}: {error}", key=error.log_key, error=error)
            answer_page(answer, error.status, [])
        return NOT_DONE_YET
