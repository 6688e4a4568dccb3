"""The sockets a gateway listens on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from scgiproxy.config.endpoints import endpoint_files, endpoint_type, endpoint_values
from scgiproxy.config.model import Listener
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.log.events import Logger
from scgiproxy.service.adopting import (
    HandedOverReactor,
    InheritedUnixPort,
    SocketReactor,
    leave_port,
    unread_port,
)
from scgiproxy.service.endpoints import (
    BACKLOG,
    endpoint_text,
    endpoint_text_of_socket,
    is_inherited,
    make_endpoint,
    place_of,
    problem_of,
    reason_of,
    shown_address,
)
from scgiproxy.service.listening import Listening, is_secure
from scgiproxy.service.takeover import Place
from scgiproxy.web.accepting import Admission, accept_clients
from scgiproxy.web.site import GatewaySite
from scgiproxy.wire.descriptors import Descriptors, descriptors_of


class ListenerService(Service):
    """Listens while it runs. Binds in `privilegedStartService`, before privileges are dropped.

    `admission` is whose connections are accepted; `backlog` is ListenBacklog. `sockets` are descriptors
    of sockets that a process before has bound, by `place_of`: they are used, and those that no line
    stands for are closed.

    Raises ConfigError with each endpoint string that is none. A start raises it with each socket
    that cannot be had, and the Listen line it came from; the other sockets are closed again.
    """

    log = Logger()

    def __init__(
        self,
        listeners: Sequence[Listener],
        make_site: Callable[[bool], GatewaySite],
        reactor: Any,
        descriptors: Descriptors | None = None,
        admission: Admission | None = None,
        backlog: int = BACKLOG,
        sockets: Mapping[Place, int] | None = None,
    ) -> None:
        self._taken_over = dict(sockets or {})
        self._unwanted: list[InheritedUnixPort] = []
        self._make_site = make_site
        self._reactor = reactor
        self._admission = admission or Admission(reactor)
        self._backlog = backlog
        self._descriptors = descriptors_of(reactor) if descriptors is None else descriptors
        self._bound = False
        problems: list[Problem] = []
        self._listening = self._new(listeners, problems)
        if problems:
            raise ConfigError(problems)

    @property
    def ports(self) -> list[IListeningPort]:
        """Those that listen, in the order of the configuration."""
        return [one.port for one in self._listening if one.port is not None]

    @property
    def sites(self) -> list[GatewaySite]:
        """The factory of each listener, also after the service has stopped; none before its start."""
        return [one.site for one in self._listening if one.site is not None]

    def _new(self, listeners: Iterable[Listener], problems: list[Problem]) -> list[Listening]:
        made = []
        for listener in listeners:
            try:
                made.append(Listening(listener, self._endpoint(listener)))
            except ValueError as error:
                problems.append(problem_of(listener, str(error)))
        return made

    def _endpoint(self, listener: Listener) -> IStreamServerEndpoint:
        """Raises ValueError: what is wrong with it."""
        fd = self._taken_over.get(place_of(listener))
        if fd is not None:
            text = endpoint_text_of_socket(self._text(listener))
            return make_endpoint(text, SocketReactor(self._reactor, lambda: fd), listener.endpoint)
        reactor = HandedOverReactor(self._reactor) if is_inherited(listener) else self._reactor
        return make_endpoint(self._text(listener), reactor, listener.endpoint)

    def _text(self, listener: Listener) -> str:
        return endpoint_text(listener, self._backlog)

    def privilegedStartService(self) -> None:
        self._bind()

    def startService(self) -> None:
        self._bind()
        super().startService()  # type: ignore[no-untyped-call]

    def _bind(self) -> None:
        if self._bound:
            return
        for one in self._listening:
            one.site = None
        problems = self._listen(self._listening)
        self._close_unused()
        if problems:
            self._close(self._listening)
            raise ConfigError(problems)
        self._bound = True

    def _listen(self, wanted: Iterable[Listening]) -> list[Problem]:
        """Listen, and say what is wrong."""
        problems: list[Problem] = []
        for one in wanted:
            if one.site is None:
                one.site = self._make_site(is_secure(one.listener))
            # The endpoints that Twisted has bind at once: what goes wrong is known on return.
            listening: Deferred[IListeningPort] = one.endpoint.listen(one.site)
            listening.addCallback(self._listens, one)
            listening.addErrback(self._not_listening, one.listener, problems)
        return problems

    def _listens(self, port: IListeningPort, one: Listening) -> None:
        one.port = port
        self._take(one)
        if self._taken_over.pop(place_of(one.listener), None) is not None:
            self._keep(one)
        self._tell(port)

    def _tell(self, port: IListeningPort) -> None:
        where = shown_address(port.getHost())
        self.log.info("listening on {address}", address=where, notice=True)

    def _take(self, one: Listening) -> None:
        """Have the connections of its port be served. Raises ConfigError if that cannot be done."""
        accept_clients(one.port, self._descriptors, self._admission)

    def _not_listening(self, failure: Failure, listener: Listener, problems: list[Problem]) -> None:
        error = failure.value
        if isinstance(error, ConfigError):
            found = list(error.problems)
        else:
            found = [problem_of(listener, reason_of(failure))]
        problems += found
        if self._bound:  # an endpoint of a plugin, that takes its time
            for problem in found:
                self.log.critical("{problem}", problem=problem)

    # -- another configuration -----------------------------------------------------------------

    def change(self, listeners: Sequence[Listener], backlog: int = BACKLOG) -> None:
        """Listen as these lines say, while it runs; sockets of lines that were there stay open, and
        files that they name are read again.

        Raises ConfigError, and then everything is as it was.
        """
        backlog_before, self._backlog = self._backlog, backlog
        bound, self._bound = self._bound, False
        try:
            self._change(listeners)
        except ConfigError:
            self._backlog = backlog_before
            raise
        finally:
            self._bound = bound

    def _change(self, listeners: Sequence[Listener]) -> None:
        problems: list[Problem] = []
        left = {place_of(one.listener): one for one in self._listening}
        kept = {each: left.pop(place_of(each)) for each in listeners if place_of(each) in left}
        added = self._new([each for each in listeners if each not in kept], problems)
        renewed = [
            anew for each in kept if (anew := self._renewed(kept[each], each, problems)) is not None
        ]
        leaving = list(left.values())
        if not problems:
            self._make_way(added, leaving)
            problems = self._listen((*added, *renewed))
        if problems:
            self._take_back((*added, *renewed), leaving)
            raise ConfigError(problems)
        following = {one.listener: one for one in (*added, *renewed)}
        for listener, one in kept.items():
            if listener in following:
                self._replace(one)
            else:
                following[listener] = one
                one.listener = listener
            self._keep(following[listener])
        self._listening = [following[listener] for listener in listeners]
        self._serve_and_close(leaving)

    def _renewed(
        self, one: Listening, listener: Listener, problems: list[Problem]
    ) -> Listening | None:
        """The same socket by an endpoint that has read its files anew, or is another one; None if
        there is no need."""
        if one.listener.endpoint == listener.endpoint and not endpoint_files(self._text(listener)):
            return None
        reactor = SocketReactor(self._reactor, lambda: os.dup(one.port.fileno()))
        try:
            endpoint = make_endpoint(self._text(listener), reactor, listener.endpoint)
        except ValueError as error:
            problems.append(problem_of(listener, str(error)))
            return None
        return Listening(listener, endpoint, one.site_for(listener))

    def _keep(self, one: Listening) -> None:
        """It stays open; the kernel may be told of another length of its queue."""
        backlog = endpoint_values(self._text(one.listener)).get("backlog")
        if isinstance(one.port, Port) and backlog is not None:
            one.port.socket.listen(int(backlog))

    @staticmethod
    def _replace(one: Listening) -> None:
        """Another port has its socket."""
        one.port._shouldShutdown = False  # noqa: SLF001
        one.close_now()

    def _take_back(self, begun: Sequence[Listening], leaving: Sequence[Listening]) -> None:
        """What was `begun` is not to be, and what has made way for it listens again."""
        for one in begun:
            if isinstance(one.port, Port):
                # Now: it may have the address of one that has made way.
                one.close_now()
        self._close(begun)
        lost = [one for one in leaving if one.port is None]
        problems: list[Problem] = []
        # By other endpoints: those before may have been of sockets that were there already.
        again = self._new([one.listener for one in lost], problems)
        for problem in problems + self._listen(again):
            self.log.critical("{problem}", problem=problem)
        # Those that are lost for good are looked for by the next change.
        found = {one.listener: one for one in again if one.port is not None}
        following = [found.get(one.listener, one) for one in self._listening]
        self._listening = [one for one in following if one not in lost]

    def _make_way(self, added: Sequence[Listening], leaving: Sequence[Listening]) -> None:
        """Close those that may have what is to be bound: of the same port at other addresses."""
        wanted = {place_of(one.listener)[1] for one in added}
        for one in leaving:
            port = place_of(one.listener)[1]
            if port and port in wanted and isinstance(one.port, Port):
                self._serve_waiting(one)
                one.close_now()

    def _serve_waiting(self, one: Listening) -> None:
        """Accept who waits in the queue of a socket that is about to be closed."""
        if not isinstance(one.port, Port) or one.port.disconnecting:
            return
        for _ in range(self._backlog):
            before = self._admission.open
            one.port.doRead()
            if self._admission.open == before:
                break

    # -- another process -----------------------------------------------------------------------

    def sockets(self) -> dict[Place, int]:
        """The descriptors of those that can be handed over, while it runs."""
        return {
            place_of(one.listener): one.port.fileno()
            for one in self._listening
            if isinstance(one.port, Port)
        }

    def leave(self) -> None:
        """Accept no more from what `sockets` has handed over; whoever has it serves those who wait."""
        for one in self._listening:
            if isinstance(one.port, Port):
                port, one.port = one.port, None
                leave_port(port)

    def own(self) -> None:
        """The process that has bound what was taken over is no more."""
        taken: list[tuple[Any, Callable[[], None]]] = [
            (port, port.remove) for port in self._unwanted
        ]
        taken += [
            (one.port, one.port.own)
            for one in self._listening
            if isinstance(one.port, InheritedUnixPort) and not is_inherited(one.listener)
        ]
        self._unwanted.clear()
        for port, take in taken:
            path = shown_address(port.getHost())
            try:
                take()
            except OSError as error:
                told = "listeners.own: {path} cannot be locked: {why}"
                self.log.warn(told, path=path, why=error.strerror)

    def _close_unused(self) -> None:
        for (_, _, endpoint), fd in self._taken_over.items():
            if endpoint_type(endpoint) == "unix":
                is_locked = endpoint_values(endpoint).get("lockfile") != "0"
                self._unwanted.append(unread_port(self._reactor, fd, is_locked))
            os.close(fd)
        self._taken_over.clear()

    # -- the end -------------------------------------------------------------------------------

    def stopService(self) -> Deferred[Any]:
        """Close the sockets; connections stay. Fires when the sockets are closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._bound = False
        closed = DeferredList(self._serve_and_close(self._listening))
        self._admission.stop()
        return closed

    def _serve_and_close(self, listening: Sequence[Listening]) -> list[Deferred[Any]]:
        for one in listening:
            self._serve_waiting(one)
        return self._close(listening)

    def _close(self, listening: Iterable[Listening]) -> list[Deferred[Any]]:
        closing = []
        for one in listening:
            port, one.port = one.port, None
            if port is not None:
                closed = maybeDeferred(port.stopListening)
                closing.append(closed.addErrback(self._not_closed, port.getHost()))
        return closing

    def _not_closed(self, failure: Failure, address: Any) -> None:
        # Such as a UNIX socket in a folder that only root may write to.
        self.log.warn(
            "{address} is not closed cleanly: {reason}",
            address=shown_address(address),
            reason=getattr(failure.value, "strerror", None) or failure.getErrorMessage(),
        )
