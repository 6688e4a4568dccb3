"""Stock Resources as SetHandler plugins of a gateway."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.web.answers import Answer
from tests.web.harness import Gateway

with warnings.catch_warnings():
    # Twisted's own module makes one of its own deprecated objects.
    warnings.simplefilter("ignore", DeprecationWarning)


H = b" HTTP/1.1\r\nHost: a\r\n"


class Rendered(Resource):
    """A leaf whose GET and POST is a function."""

    isLeaf = True

    def __init__(self, function: Callable[[Request], Any]) -> None:
        super().__init__()
        self._function = function

    def render_GET(self, request: Request) -> Any:
        return self._function(request)

    render_POST = render_GET


def at_root(resource: Any) -> Resource:
    """A tree with `resource` at ``/``."""
    root = Resource()
    root.putChild(b"", resource)
    return root


def plugin(resource: Any, **kw: Any) -> Gateway:
    return Gateway((), plugins={"test": resource}, handler="test", **kw)


def ask(resource: Any, request: bytes = b"GET /" + H + b"\r\n", **kw: Any) -> Answer:
    """One answer of a plugin, on a connection that is then in order."""
    gateway = plugin(resource, **kw)
    client = gateway.client().send(request)
    gateway.settle()
    (answer,) = client.answers
    client.leave()
    for call in gateway.clock.getDelayedCalls():
        call.cancel()
    gateway.assert_idle()
    return answer


def seen(function: Callable[[Request], Any], request: bytes = b"GET /" + H + b"\r\n") -> Any:
    """What `function` makes of the request."""
    found: list[Any] = []

    def render(asked: Request) -> bytes:
        found.append(function(asked))
        return b""

    ask(Rendered(render), request)
    (value,) = found
    return value


class Pushed:
    """A push producer that notes what it is told."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def pauseProducing(self) -> None:
        self.states.append("pause")

    def resumeProducing(self) -> None:
        self.states.append("resume")

    def stopProducing(self) -> None:
        self.states.append("stop")
