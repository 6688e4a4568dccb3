"""The seams of the package, each an Interface.

Bytes are as on the wire; times are seconds as float. A method that can fail says here what it
raises, and what happens when it is called too early or too late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IConsumer, IProtocol
from twisted.plugin import IPlugin
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.python.failure import Failure
    from twisted.web.resource import IResource

    from scgiproxy.errors import BackendError
    from scgiproxy.rules.facts import Facts
    from scgiproxy.scgi.response import ResponseHead


class IGatewayRequest(IConsumer):
    """One HTTP request, as whatever answers it sees it (an exchange, a file, an error page).

    The order is: `send_head` once, `write` any number of times, then `finish` or `abort`. Once the
    client has gone every one of them does nothing, so nobody needs to ask first. It is an
    `IConsumer`: a producer registered here is paused while the client does not read.
    """

    method: bytes = Attribute("The method as sent, such as ``GET``.")
    is_http11: bool = Attribute("False for HTTP/1.0, which knows no chunked coding.")
    head_sent: bool = Attribute("True once `send_head` was called: too late for an error page.")
    gone: bool = Attribute("True once the client has left, or the answer was aborted.")
    takes_files: bool = Attribute(
        "After `send_head`: whether `send_from` may be used. It may not on TLS and HTTP/2."
    )

    def header(name: bytes) -> bytes | None:
        """The request header of that lower-case name, repeated ones joined; None if absent."""

    def send_head(
        status: int, reason: bytes | None, headers: list[tuple[bytes, bytes]], length: int | None
    ) -> None:
        """Begin the answer.

        `reason` None means the standard phrase. `headers` has no framing header: `length` (bytes
        of the body) is announced, or None lets the request choose chunked coding or closing. For
        HEAD, 204 and 304 nothing that is written afterwards is sent. Date and Server are added
        when missing. The head leaves with the first body bytes, at `flush`, or at `finish`.
        """

    def flush() -> None:
        """Send what is held back (the head): no more is known to follow at once."""

    def write(data: bytes) -> None:
        """Send body bytes; never more than `length` in all."""

    def send_from(fd: int, start: int, count: int) -> int | None:
        """Send body bytes straight from an open file: up to `count`, from byte `start` of it.

        How many; if it is less than `count`, the producer, which there must be, has been paused and
        will be resumed. None if no byte can be sent like this, or no more: read them and `write`,
        which tells why.
        """

    def finish() -> None:
        """End a complete answer. Short of `length` bytes it is an `abort`."""

    def abort(reason: Exception) -> None:
        """End an answer that cannot be completed so that the client sees it is not whole.

        Before `send_head` it just closes the connection.
        """

    def failed(failure: Failure) -> None:
        """Log in one line what went wrong here; answer with an error page, or `abort` behind a head."""

    def on_gone(callback: Callable[[], None]) -> None:
        """Call `callback` once if the client leaves (or the answer is aborted) before `finish`.

        Called in the turn that notices it; at once if it has gone already.
        """


class IDeadline(Interface):
    """Something with a point in time after which it must not go on. See `wire.deadline`."""

    deadline: float = Attribute("Seconds on the reactor's clock; may move while it is watched.")

    def deadline_passed() -> None:
        """Called once, at most one resolution step after `deadline`; it is watched no longer."""


class IWriteFailed(Interface):
    """What a protocol may have beside `IProtocol`, on a connection of `wire.dial`."""

    def write_failed() -> None:
        """The peer takes no more bytes (EPIPE, ECONNRESET); what it sent before may still come.

        Called at most once, never from inside `write`, and before `connectionLost`. What was
        written and not sent is gone, further writes do nothing, reading goes on until the end of
        the stream. Without this method a protocol learns of it from `connectionLost` alone.
        """


class ICall(Interface):
    """Somebody who needs a connection to a backend; told by the pool how that went.

    Exactly one of `connected` and `dispatch_failed` is called, and once more after each
    ``dispatch.retry`` that is granted, unless the dispatch is cancelled. Either may be called
    before ``Pool.dispatch`` returns; `dispatch` is set before that.
    """

    dispatch: object = Attribute("The `pool.dispatch.Dispatch` of this call; set by the pool.")
    request: Facts | None = Attribute("What the request is; without it there is no session.")

    def connected(backend: object, address: IAddress) -> IProtocol | None:
        """A connection to `backend` (a `pool.backend.Backend`) is up: the protocol to put on it.

        From here on ``dispatch.release`` must be called, once. None gives the connection up; then
        ``dispatch.cancel`` has been called. If this raises, that is logged, the
        connection is closed and `dispatch_failed` follows after all.
        """

    def dispatch_failed(error: BackendError) -> None:
        """No connection could be had; `Unavailable.reasons` says why, backend by backend."""


class IPool(Interface):
    """Where a mount's connections come from."""

    name: str = Attribute(
        "For messages: the balancer's with ``balancer://``, or a backend's label."
    )
    backends: Sequence[Any] = Attribute("Each a `pool.backend.Backend`; they may change.")

    def dispatch(call: ICall) -> object:
        """Find a connection for `call`, whose `dispatch` it sets to what it returns.

        ``call.connected`` or ``call.dispatch_failed`` may be called before this returns.
        """


class IBalancingMethod(IPlugin):
    """An lbmethod: how the next member of a balancer is chosen.

    For a method of your own register an instance under ``twisted/plugins/``; ``lbmethod=NAME``
    then names it. That one object serves every balancer that names it, so what it counts belongs
    into the members, each of which is in one balancer, or is kept for each of them. (The built-in
    ones of `pool.balance.BUILT_IN` are made anew for every balancer.)

    A member is a `pool.backend.Backend`. A method may read its `label`, `address`, `factor` (the
    load factor in hundredths at the moment, at least 1), `in_flight`, `elsewhere` (what other worker
    processes have in flight there), `elected`, `bytes_sent`, `bytes_received`; and it may keep
    something of its own in `load` (a number, 0 at first).

    What else it may provide: `ISessionAccounting`, `IResponseTimes`, `IAbstention`.
    """

    name: str = Attribute("The word after ``lbmethod=``.")

    def choose(candidates: Sequence[object], request: Facts | None) -> object:
        """Pick one of `candidates`, and account it; None if it shall be none of them.

        They are the members that are usable and have a free connection, in the order of their
        definition, at least one. `request` is what the rules may ask about the request
        (`rules.facts.Facts`), None if there is none. The request is not counted in `in_flight`
        yet. Called for every request and again for each further attempt: it must not wait.
        """


class ISessionAccounting(Interface):
    """What a balancing method may have that counts the requests of sessions, too."""

    def stuck(members: Sequence[object], chosen: object) -> None:
        """A session has taken `chosen` without a choice; `members` are all usable ones."""


class IResponseTimes(Interface):
    """What a balancing method may have that goes by response times.

    `seconds` is how long a request has waited for the member; `now` is on the reactor's clock.
    """

    def observe(member: object, seconds: float, now: float) -> None:
        """The first byte of an answer has come from `member`."""

    def failed(member: object, seconds: float, now: float) -> None:
        """`member` has failed by its own fault. It is in error already, if that is to follow."""


class IAbstention(Interface):
    """What a balancing method may have that does not always choose."""

    def explain() -> str:
        """Why `choose` has just returned None: a clause for the log line of the 503."""


class IResourcePlugin(IPlugin):
    """A named Resource for ``SetHandler NAME``. Register an instance under ``twisted/plugins/``."""

    name: str = Attribute("The word after SetHandler.")

    def resource(settings: object) -> IResource:
        """The resource for a server with these `rules.settings.Settings`, those outside its
        sections; called when the parts of a gateway are made, also by ``--check``, once for each
        server that names it. Raises ValueError with a sentence for the user if the settings do not
        suit it. The settings of one request are its ``settings``, and its ``prepath`` is the path
        of the Location. A resource with a `longest_body` (bytes) is asked with no longer one: that
        is 413, before it is read."""


class IResponseReceiver(Interface):
    """Whom `wire.client.ScgiClientProtocol` tells of the backend's answer.

    `head_received` comes first, then any number of `body_received`; the last call is exactly one
    of `response_complete` and `response_failed`, which may also be the only one. After
    `ScgiClientProtocol.cancel` there are no more calls.
    """

    def head_received(head: ResponseHead) -> None:
        """The response head, checked and complete."""

    def body_received(data: bytes) -> None:
        """The next bytes of the body; never more than the head's content_length in all."""

    def pieces_received() -> None:
        """All that arrived in one read has been told: a good moment to flush."""

    def response_complete() -> None:
        """The answer is whole. The connection is closed, or about to be."""

    def response_failed(error: BackendError) -> None:
        """There will be no (more) answer."""

    def upload_failed(failure: Failure) -> None:
        """The body source failed; `cancel` was done on the connection already."""
