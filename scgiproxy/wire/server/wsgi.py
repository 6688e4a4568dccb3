"""WSGI applications (PEP 3333), served over SCGI or as a part of a resource tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

from twisted.internet.interfaces import IPushProducer, IReactorFromThreads
from twisted.python.threadpool import ThreadPool
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.wsgi import WSGIResource
from zope.interface import implementer

from scgiproxy.wire.server.factory import ScgiServerFactory
from scgiproxy.wire.server.request import ScgiServerRequest

Environ = dict[str, Any]
WsgiApplication = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


def scgi_wsgi(
    application: WsgiApplication,
    reactor: Any,
    threadpool: ThreadPool,
    **limits: Any,
) -> ScgiServerFactory:
    """A factory that serves a WSGI application over SCGI.

    `threadpool` runs the application: a started one, such as ``reactor.getThreadPool()``. `limits`
    are the keyword arguments of `ScgiServerFactory`; forms are left to the application::

        factory = scgi_wsgi(application, reactor, reactor.getThreadPool(), max_body=1 << 30)
    """
    resource = WsgiResource(application, reactor, threadpool)
    return ScgiServerFactory(resource, reactor=reactor, parse_forms=False, **limits)


@implementer(IResource)
class WsgiResource:
    """A WSGI application as a leaf Resource; more than `twisted.web.wsgi.WSGIResource` in two ways.

    The application finds the gateway's variables in its environ (REMOTE_USER, HTTPS, ...; those
    that PEP 3333 defines keep their meaning), and it is only asked for the next piece of its answer
    when the gateway has taken the last ones.
    """

    isLeaf = True

    def __init__(self, application: WsgiApplication, reactor: Any, threadpool: ThreadPool) -> None:
        self._application = application
        self._reactor = reactor
        self._threadpool = threadpool

    def render(self, request: ScgiServerRequest) -> Any:
        """Run the application in the thread pool."""
        run = _Run(self._application, self._reactor, request)
        return WSGIResource(self._reactor, self._threadpool, run).render(request)

    def getChildWithDefault(self, name: bytes, request: IRequest) -> IResource:  # noqa: ARG002
        """A leaf has no children: RuntimeError."""
        raise RuntimeError("a WSGI application finds its own way; it has no child resources")

    def putChild(self, path: bytes, child: IResource) -> None:  # noqa: ARG002
        """A leaf has no children: RuntimeError."""
        raise RuntimeError("a WSGI application finds its own way; it has no child resources")


@implementer(IPushProducer)
class _Run:
    """One request's run of the application; called in a thread, paused from the reactor's."""

    def __init__(
        self, application: WsgiApplication, reactor: IReactorFromThreads, request: ScgiServerRequest
    ) -> None:
        self._application = application
        self._reactor = reactor
        self._request = request
        self._may_go_on = Event()
        self._may_go_on.set()
        self._gone = False
        request.registerProducer(self, True)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterator[bytes]:
        for name, value in self._request.scgi_variables.items():
            if not name.startswith(b"HTTP_"):
                environ.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        try:
            pieces = self._application(environ, start_response)
            try:
                for piece in pieces:
                    yield piece
                    self._may_go_on.wait()
                    if self._gone:
                        return
            finally:
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()
        finally:
            self._reactor.callFromThread(self._request.unregisterProducer)

    def pauseProducing(self) -> None:
        self._may_go_on.clear()

    def resumeProducing(self) -> None:
        self._may_go_on.set()

    def stopProducing(self) -> None:
        self._gone = True
        self._may_go_on.set()
