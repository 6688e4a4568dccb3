"""An answer that is made piece by piece, as the client reads it: requests have their turns in
between, since the whole may take seconds to make."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.interfaces import IPullProducer
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from scgiproxy.log.events import Logger


def answer_in_pieces(request: Request, pieces: Iterator[bytes]) -> int:
    """Write `pieces`, then finish. If one cannot be made, that is logged, and the answer broken
    off. The headers of `request` are set; what it returns is for `render`."""
    request.registerProducer(_Pieces(request, pieces), False)
    return NOT_DONE_YET


@implementer(IPullProducer)
class _Pieces:
    _log = Logger()

    def __init__(self, request: Request, pieces: Iterator[bytes]) -> None:
        self._request = request
        self._pieces = pieces

    def resumeProducing(self) -> None:
        try:
            piece = next(self._pieces, None)
        except Exception:
            self._log.failure("while making an answer")
            self._request.unregisterProducer()
            self._request.loseConnection()
            return
        if piece is not None:
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self._request.finish()

    def stopProducing(self) -> None:
        """The client has gone."""
