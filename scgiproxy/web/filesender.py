"""The producers that send a file as the body of an answer: by sendfile(2), or by reading it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from scgiproxy.errors import ClientGone, GatewayError
from scgiproxy.interfaces import IGatewayRequest
from scgiproxy.message.ranges import ByteRange
from scgiproxy.web.filecontent import FileContent


def send_content(request: IGatewayRequest, content: FileContent, close: Callable[[], None]) -> None:
    """Send the body of an answer whose head has been sent, and finish it; abort it if that fails.

    It goes by sendfile(2) where the connection has that, else it is read and written. `close` is
    called once, when the file is needed no longer: sent, unreadable, or the client has left.
    """
    if request.gone:
        close()
    elif request.takes_files:
        SendfileSender(request, content, close).start()
    else:
        ReadingSender(request, close).send(content)


@implementer(IPushProducer)
class SendfileSender:
    """Has the connection send ranges of the file itself; what is bytes between them is written.

    Where that fails, at whatever byte, the rest is read by a `ReadingSender`, which either can, or
    gets to know why not: a file system without sendfile, a disk that fails, a file that was
    truncated, a client that has left.
    """

    def __init__(
        self, request: IGatewayRequest, content: FileContent, close: Callable[[], None]
    ) -> None:
        self._request = request
        self._content: FileContent | None = content
        self._close = close
        self._start = self._stop = 0
        self._paused = False

    def start(self) -> None:
        """Send what the client takes now; the rest follows."""
        self._request.on_gone(self.stopProducing)
        self._request.registerProducer(self, True)
        self._send()

    def pauseProducing(self) -> None:
        """The client takes no more for now."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client takes more."""
        self._paused = False
        self._send()

    def stopProducing(self) -> None:
        """The client has left. Again, or after the end, is harmless."""
        if self._content is not None:
            self._content = None
            self._close()

    def _send(self) -> None:
        request = self._request
        while not self._paused and (content := self._content) is not None:
            if self._start == self._stop:
                self._next_piece(content)
                continue
            sent = request.send_from(content.fd, self._start, self._stop - self._start)
            if sent is not None:
                self._start += sent
            elif self._content is not None:
                self._content = None
                content.put_back(ByteRange(self._start, self._stop))
                request.unregisterProducer()
                ReadingSender(request, self._close).send(content)

    def _next_piece(self, content: FileContent) -> None:
        piece = content.take()
        if isinstance(piece, ByteRange):
            self._start, self._stop = piece
        elif piece is not None:
            self._request.write(piece)
        else:
            self._content = None
            self._close()
            self._request.unregisterProducer()
            self._request.finish()


class ReadingSender(FileSender):
    """Reads a `FileContent`, and writes it as fast as the client takes it."""

    CHUNK_SIZE = 1 << 17
    """Bytes; what Twisted hands to the system in one piece (`FileDescriptor.SEND_LIMIT`)."""

    def __init__(self, request: IGatewayRequest, close: Callable[[], None]) -> None:
        self._request = request
        self._close = close
        self.file: FileContent | None = None

    def send(self, body: FileContent) -> None:
        """Send `body`, then finish the answer; abort it if the file cannot give what it should."""
        self._request.on_gone(self.stopProducing)
        sent: Deferred[bytes] = self.beginFileTransfer(  # type: ignore[no-untyped-call]
            body, self._request
        )
        sent.addCallbacks(self._finish, self._abort)

    def resumeProducing(self) -> None:
        """The client takes more: the next piece."""
        if self.file is None:
            return
        try:
            super().resumeProducing()  # type: ignore[no-untyped-call]
        except GatewayError as error:
            self._give_up(error)

    def stopProducing(self) -> None:
        """The client has left. Again, or after the end, is harmless."""
        self._give_up(ClientGone("the client left before the end of the file"))

    def _give_up(self, error: Exception) -> None:
        self.file = None
        if self.deferred is not None:
            deferred, self.deferred = self.deferred, None
            self.consumer.unregisterProducer()
            deferred.errback(error)

    def _finish(self, _last: bytes) -> None:
        self._close()
        self._request.finish()

    def _abort(self, failure: Failure) -> None:
        self._close()
        error = failure.value
        if not isinstance(error, GatewayError | ClientGone):
            error = GatewayError(str(error))
        if isinstance(error, GatewayError):
            self._request.failed(Failure(error))
        else:
            self._request.abort(error)
