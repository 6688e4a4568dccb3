"""Answers that take their time: lines, and server-sent events."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.template import tags
from zope.interface import implementer

from scgiproxy.demo.page import Page, html, url

LINES = 20
LINE_INTERVAL = 0.3
TICK_INTERVAL = 0.5
MARK = "the lines go here"

SCRIPT = """
var counter = document.getElementById('counter');
var state = document.getElementById('state');
var source = new EventSource('ticks');
source.onopen = function () { state.textContent = 'The answer is open.'; };
source.onmessage = function (event) { counter.textContent = event.data; };
source.onerror = function () { state.textContent = 'The answer ended; the browser asks again.'; };
document.getElementById('stop').onclick = function () {
  source.close();
  state.textContent = 'Closed by you: the application was told, and has stopped counting.';
};
"""


@implementer(IPushProducer)
class Beat:
    """Writes what `piece` returns to a request: at once, then every `interval` seconds of `clock`.

    `piece` is given the number of the beat, from 1, and returns None for the end. While the client
    does not read, beats are left out instead of being held. Stops when the client leaves.
    """

    def __init__(
        self,
        request: Request,
        clock: IReactorTime,
        interval: float,
        piece: Callable[[int], bytes | None],
    ) -> None:
        self._request = request
        self._piece = piece
        self._count = 0
        self._paused = False
        self._call = LoopingCall(self._beat)
        self._call.clock = clock
        request.registerProducer(self, True)
        request.notifyFinish().addErrback(self._gone)
        self._call.start(interval).addErrback(self._failed)

    def _beat(self) -> None:
        if self._paused:
            return
        self._count += 1
        data = self._piece(self._count)
        if data is not None:
            self._request.write(data)
            return
        self._call.stop()
        self._request.unregisterProducer()
        self._request.finish()

    def _failed(self, failure: Failure) -> None:
        self._request.processingFailed(failure)

    def _gone(self, _: Failure) -> None:
        self.stopProducing()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False

    def stopProducing(self) -> None:
        if self._call.running:
            self._call.stop()


class StreamPage(Page):
    """A page whose lines come one by one."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_HEAD(self, request: Request) -> bytes:
        html(request, "")  # for its headers
        return b""

    def render_GET(self, request: Request) -> int:
        page = html(
            request,
            "A streamed answer",
            tags.p(
                "One answer, written in pieces. Nobody on the way waits for the end: each line "
                "is on your screen when the application has written it.",
                class_="lead",
            ),
            tags.ol(MARK, class_="panel lines"),
        )
        before, _, after = page.partition(MARK.encode())

        def line(number: int) -> bytes | None:
            if number == 1:
                request.write(before)
            if number <= LINES:
                return b"<li>after %.1f seconds</li>\n" % ((number - 1) * LINE_INTERVAL)
            if number == LINES + 1:
                return after
            return None

        Beat(request, self._clock, LINE_INTERVAL, line)
        return NOT_DONE_YET


class EventsPage(Page):
    """A live counter."""

    def render_GET(self, request: Request) -> bytes:
        return html(
            request,
            "Server-sent events",
            tags.p(
                "The application counts, and writes each number to an answer that never ends. "
                "It needs no tuning on the way, and ends when you leave the page.",
                class_="lead",
            ),
            tags.div(
                tags.div("0", id="counter", class_="counter", role="status"),
                tags.p("Waiting for the first number.", id="state"),
                tags.button("Stop", id="stop", type="button"),
                class_="panel",
            ),
            tags.h2("The same in a terminal"),
            tags.pre(f"curl -N {url(request, 'ticks')}"),
            script=SCRIPT,
        )


class TicksPage(Page):
    """The numbers for `EventsPage`, as an event stream (HTML standard, section 9.2)."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_HEAD(self, request: Request) -> bytes:
        headers = request.responseHeaders
        headers.setRawHeaders(b"Content-Type", [b"text/event-stream"])
        headers.setRawHeaders(b"Cache-Control", [b"no-store"])
        return b""

    def render_GET(self, request: Request) -> int:
        self.render_HEAD(request)
        Beat(request, self._clock, TICK_INTERVAL, _event)
        return NOT_DONE_YET


def _event(number: int) -> bytes:
    return b"id: %d\ndata: %d\n\n" % (number, number)
