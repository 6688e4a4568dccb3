"""Answers requests for the balancer-manager."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.template import Flattenable, tags

from scgiproxy.log.events import Logger
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.web.address import ConnectionEnd
from scgiproxy.web.errorpage import REASONS
from scgiproxy.web.gatewaynumbers import GatewayNumbers, NumbersSource
from scgiproxy.web.later import answer_when_there
from scgiproxy.web.manager.apachexml import as_xml
from scgiproxy.web.manager.document import as_document, encoded
from scgiproxy.web.manager.editing import (
    MOST_FORM,
    NotDone,
    change,
    find_balancer,
    find_member,
    read_form,
)
from scgiproxy.web.manager.events import MOST_VIEWERS, Events
from scgiproxy.web.manager.forms import balancer_forms, member_forms
from scgiproxy.web.manager.page import FRAME, content
from scgiproxy.web.manager.protection import is_rebound, refusal
from scgiproxy.web.manager.snapshot import Snapshot, member_id, take_snapshot
from scgiproxy.web.page import OwnPage, page, page_in_pieces, query_of, set_headers, shown
from scgiproxy.web.pieces import answer_in_pieces

_JSON = "application/json"

Made = tuple[ManagedBalancer, Backend | None]
Changes = Callable[[Sequence[ManagedBalancer], Mapping[str, str], str], Made | Deferred[Made]]
"""As `editing.change`; a Deferred fails with NotDone."""

_Answer = Callable[[], bytes | int]


class BalancerManagerResource(OwnPage):
    """The balancers as a page, and for programs; changes them when a form is posted.

    - `balancers`: those to be shown, each time anew.
    - `numbers`: of the gateway; `lately`: the same for events, where they may be half as old as the
      time between two of them. `clock`: the reactor.
    - `change` makes the changes, here; another one may make them elsewhere, too.

    It may be mounted in any `twisted.web` server, if that sees to who has access. There the name
    in the Host field is not checked: only a gateway knows its own names.
    """

    methods: ClassVar[Sequence[bytes]] = (b"GET", b"HEAD", b"POST")
    longest_body = MOST_FORM
    _log = Logger()

    def __init__(
        self,
        balancers: Callable[[], Sequence[ManagedBalancer]],
        numbers: NumbersSource,
        clock: IReactorTime,
        lately: NumbersSource | None = None,
    ) -> None:
        super().__init__()
        self.change: Changes = change
        self._balancers = balancers
        self._numbers = numbers
        self._events = Events(self._snapshot, numbers, lately or numbers, clock)

    def stop(self) -> None:
        """End all streams of events: the gateway stops."""
        self._events.stop()

    def render(self, request: Request) -> bytes | int:
        try:
            if is_rebound(request):
                name = shown((request.getHeader(b"host") or b"").decode("latin-1"))
                raise NotDone(
                    403,
                    f"{name} is no name of this server: a client on this machine uses an address,"
                    " localhost, or what ServerName and ServerAlias say.",
                )
            return super().render(request)
        except NotDone as error:
            return self._refuse(request, error)

    def render_GET(self, request: Request) -> bytes | int:
        query = query_of(request)
        for name in query:
            if name.startswith(("b_", "w_")):
                request.responseHeaders.setRawHeaders("Allow", ["POST"])
                raise NotDone(405, f"{shown(name)}: what changes something is sent by POST.")
        if "events" in query:
            return self._follow(request)
        if query.get("format", "json") != "json":
            raise NotDone(400, "format: expected json.")
        is_document = query.get("xml") or _wants_json(request)
        if query.get("b") and not is_document:
            return self._edit(request, query["b"], query.get("w", ""))
        return answer_when_there(request, self._numbers(), partial(self._show, request))

    def render_POST(self, request: Request) -> bytes | int:
        reason = refusal(request)
        if reason:
            raise NotDone(403, reason)
        fields = read_form(request)
        made = self.change(self._balancers(), fields, _who(request))
        if not isinstance(made, Deferred):
            return self._changed(request, *made)
        answer: Deferred[_Answer] = made.addCallbacks(
            lambda made: partial(self._changed, request, *made), partial(self._not_changed, request)
        )
        return answer_when_there(request, answer, _said)

    def _not_changed(self, request: Request, failure: Failure) -> _Answer:
        error = failure.value
        if not isinstance(error, NotDone):
            failure.raiseException()
        return partial(self._refuse, request, error)

    def _changed(
        self, request: Request, balancer: ManagedBalancer, member: Backend | None
    ) -> bytes | int:
        self._events.hurry()
        if "xml" in query_of(request) or _wants_json(request):
            return answer_when_there(request, self._numbers(), partial(self._show, request))
        request.setResponseCode(303)
        # Back to the page, of which only the last part of the path is told: that leads nowhere else.
        here = b"./" + request.uri.partition(b"?")[0].rpartition(b"/")[2]
        place = b"" if member is None else b"#" + member_id(balancer.name, member.label).encode()
        request.responseHeaders.setRawHeaders(b"Location", [here + place])
        return page(request, "Done", tags.p(tags.a("Back", href="?")), frame=FRAME)

    def _snapshot(self, numbers: GatewayNumbers) -> Snapshot:
        return take_snapshot(self._balancers(), numbers)

    def _show(self, request: Request, numbers: GatewayNumbers) -> bytes | int:
        snapshot = self._snapshot(numbers)
        query = query_of(request)
        if query.get("xml") or (request.method == b"POST" and "xml" in query):
            return _document(request, "text/xml; charset=utf-8", as_xml(snapshot))
        if _wants_json(request):
            return _document(request, _JSON, encoded(as_document(snapshot)))
        name = request.getRequestHostname().decode("utf-8", "backslashreplace")
        title = f"Balancers of {shown(name)}"
        pieces = page_in_pieces(request, title, content(snapshot), FRAME)
        return b"" if request.method == b"HEAD" else answer_in_pieces(request, pieces)

    def _edit(self, request: Request, name: str, label: str) -> bytes:
        balancer = find_balancer(self._balancers(), name)
        forms = balancer_forms(balancer)
        if label:
            forms = member_forms(balancer, find_member(balancer, label))
        return page(request, "Change a balancer", forms, frame=FRAME)

    def _follow(self, request: Request) -> bytes | int:
        headers = request.responseHeaders
        _set_headers(request, "text/event-stream; charset=utf-8")
        # A proxy that collects answers would hold them all back.
        headers.setRawHeaders("X-Accel-Buffering", ["no"])
        if request.method == b"HEAD":
            return b""
        if not self._events.add(request):
            headers.setRawHeaders("Retry-After", ["10"])
            raise NotDone(
                503, f"{MOST_VIEWERS} are looking already: as many may follow the events at a time."
            )
        return NOT_DONE_YET

    def _refuse(self, request: Request, error: NotDone) -> bytes:
        is_change = request.method == b"POST" or error.status == 405
        if is_change:
            self._log.info(
                "balancer-manager: a change by {by} is refused, {status}: {problems}",
                by=_who(request),
                status=error.status,
                problems=shown(str(error)),
            )
        request.setResponseCode(error.status, REASONS[error.status])
        if _wants_json(request):
            body = {"status": error.status, "problems": list(error.problems)}
            return _document(request, _JSON, encoded(body))
        told: Flattenable = [tags.li(shown(problem)) for problem in error.problems]
        return page(
            request,
            f"{error.status} {REASONS[error.status].decode('ascii')}",
            tags.ul(told, class_="problems"),
            tags.p("Nothing has been changed. " if is_change else ""),
            tags.p(tags.a("To the balancers", href="?", class_="button back")),
            frame=FRAME,
        )


def _said(answer: _Answer) -> bytes | int:
    return answer()


def _wants_json(request: Request) -> bool:
    if query_of(request).get("format") == "json":
        return True
    accept = request.getHeader(b"accept") or b""
    return _JSON.encode() in accept and b"text/html" not in accept


def _who(request: Request) -> str:
    """Who makes a change, for the log."""
    user = getattr(request, "user", None)
    where = ConnectionEnd(request.getClientAddress()).host.decode("ascii") or "a UNIX socket"
    return where if user is None else f"{shown(user.decode('utf-8', 'backslashreplace'))}, {where}"


def _document(request: Request, content_type: str, body: bytes) -> bytes:
    _set_headers(request, content_type)
    return body


def _set_headers(request: Request, content_type: str) -> None:
    set_headers(request, content_type)
    request.responseHeaders.setRawHeaders("Cross-Origin-Resource-Policy", ["same-origin"])
    request.responseHeaders.setRawHeaders("Vary", ["Accept"])
