"""The SCGI client for ``reactor.connectTCP`` and endpoints::

factory = ScgiClientFactory(ScgiRequest(block, body), receiver, wheel=wheel, clock=reactor)
reactor.connectUNIX("/run/app.sock", factory)
"""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IConnector, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from scgiproxy.errors import BackendError, ConnectFailed
from scgiproxy.interfaces import IResponseReceiver
from scgiproxy.wire.client import ScgiClientProtocol, ScgiRequest
from scgiproxy.wire.deadline import DeadlineWheel


class ScgiClientFactory(ClientFactory):
    """Makes the protocol of one exchange; a failed connection is told to `receiver`."""

    noisy = False

    def __init__(
        self,
        request: ScgiRequest,
        receiver: IResponseReceiver,
        *,
        wheel: DeadlineWheel,
        clock: IReactorTime,
        timeout: float = 60.0,
    ) -> None:
        self._request = request
        self._receiver = receiver
        self._wheel = wheel
        self._clock = clock
        self._timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> ScgiClientProtocol:  # noqa: ARG002
        protocol = ScgiClientProtocol(
            self._request,
            self._receiver,
            wheel=self._wheel,
            clock=self._clock,
            timeout=self._timeout,
        )
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: ARG002
        error = reason.value
        if not isinstance(error, BackendError):
            error = ConnectFailed(reason.getErrorMessage())
        self._receiver.response_failed(error)
