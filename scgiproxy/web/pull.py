"""Pull producers on a connection that pauses and resumes."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IPushProducer, IReactorTime
from zope.interface import implementer

AT_ONCE = 16
"""How often a producer is asked before others get their turn of the reactor."""


@implementer(IPushProducer)
class PullToPush:
    """Asks a pull producer for more until the connection has enough, as a push producer."""

    def __init__(self, producer: IPullProducer, clock: IReactorTime) -> None:
        self._producer = producer
        self._clock = clock
        self._paused = False
        self._asking = False
        self._ended = False
        self._later: IDelayedCall | None = None

    def start(self, paused: bool) -> None:
        """Begin; `paused`: with a connection that has enough just now."""
        self._paused = paused
        self._ask()

    def _ask(self) -> None:
        self._later = None
        if self._asking:
            return
        self._asking = True
        try:
            for _ in range(AT_ONCE):
                if self._paused or self._ended:
                    return
                self._producer.resumeProducing()
        finally:
            self._asking = False
        if not self._ended:
            self._later = self._clock.callLater(0, self._ask)

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        if self._later is None:
            self._ask()

    def end(self) -> None:
        """It has been unregistered: ask no more."""
        self._ended = True
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def stopProducing(self) -> None:
        self.end()
        self._producer.stopProducing()
