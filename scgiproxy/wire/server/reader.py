"""One whole request, from bytes: the header block, then the body in a bounded spool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from scgiproxy.errors import BodyTooLarge
from scgiproxy.scgi.request import RequestHead, RequestParser
from scgiproxy.wire.spool import Spool


class RequestReader:
    """Feed it until it hands out the request. `max_header` and `max_body` are in bytes."""

    def __init__(self, max_header: int, max_body: int) -> None:
        self._parser = RequestParser(max_header)
        self._max_body = max_body
        self._head: RequestHead | None = None
        self._spool = Spool(0)
        self.started = False
        """True from the first byte on."""

    def __repr__(self) -> str:
        if self._head is None:
            return f"<RequestReader {self._parser!r}>"
        return f"<RequestReader body {self._spool.size}/{self._head.content_length}>"

    def feed(self, data: bytes) -> tuple[Mapping[bytes, bytes], IO[bytes]] | None:
        """Take the next bytes: the variables and the open body once all is there, else None.

        What follows the body is dropped. The file stands at its end, and is the caller's to close.
        Raises BadRequest, BodyTooLarge, and GatewayError if the body cannot be spooled.
        """
        self.started = True
        head = self._head
        if head is None:
            head = self._parser.feed(data)
            if head is None:
                return None
            if head.content_length > self._max_body:
                raise BodyTooLarge(
                    f"a body of {head.content_length} bytes is over the limit of {self._max_body}"
                )
            self._head = head
            data = self._parser.leftover
        left = head.content_length - self._spool.size
        self._spool.write(data if len(data) <= left else data[:left])
        if self._spool.size < head.content_length:
            return None
        file = self._spool.file()
        file.seek(0, 2)
        return head.variables, file

    def close(self) -> None:
        """Free the spool of a request that will not be complete."""
        self._spool.close()
