"""The requests of one connection, answered in order (RFC 9112 section 9.3.2)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from scgiproxy.web.flow import Pause
from scgiproxy.web.lingering import LingeringClose

if TYPE_CHECKING:
    from scgiproxy.web.request import GatewayRequest

MOST_WAITING = 128
"""Requests of one connection that wait for their turn; the last of them ends the connection."""

MOST_AHEAD = 1 << 16
"""Bytes that are read while requests wait. It is read that far so that a client is seen leaving."""


class Pipeline(LingeringClose):
    """Serves one request at a time, `_active`; those that come meanwhile wait.

    `_queue` is None while none does: most connections never have one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._active: GatewayRequest | None = None
        self._queue: deque[GatewayRequest] | None = None
        self._ahead = 0
        self._advancing = False

    def _read_ahead(self, size: int) -> None:
        """So many bytes have come while requests wait."""
        self._ahead += size
        if self._ahead > MOST_AHEAD:
            self.pause(Pause.PIPELINE)

    def _enqueue(self, request: GatewayRequest) -> None:
        if (
            self._active is None
            and not self._queue
            and not self._advancing
            and not self._send_blocked
        ):
            self._active = request
            self._serve(request)
            if self._queue:
                self._advance()
        elif self._queue is None:
            self._queue = deque((request,))
        else:
            self._queue.append(request)

    def _serve(self, request: GatewayRequest) -> None:
        try:
            self.factory.serve(request)
        except Exception:
            request.failed(Failure())

    def _advance(self) -> None:
        """Serve what waits, one after the other, without recursion."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._active is None and self._queue and not self._send_blocked:
                self._active = request = self._queue.popleft()
                self._serve(request)
        finally:
            self._advancing = False
        if not self._queue:
            self._queue = None
            self._ahead = 0
            self.resume(Pause.PIPELINE)
