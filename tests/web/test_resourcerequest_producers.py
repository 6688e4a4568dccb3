"""Producers of stock twisted.web Resources, pushing and pulling."""

from __future__ import annotations

import warnings

import pytest
from twisted.web.server import NOT_DONE_YET, Request

from tests.web.harness import Client, Gateway

with warnings.catch_warnings():
    # Twisted's own module makes one of its own deprecated objects.
    warnings.simplefilter("ignore", DeprecationWarning)


from tests.web.resources import H, Pushed, Rendered, plugin

# Twisted makes its own error pages of classes that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")


def pushing() -> tuple[Gateway, Client, Pushed, list[Request]]:
    producer = Pushed()
    requests: list[Request] = []

    def render(request: Request) -> int:
        requests.append(request)
        request.registerProducer(producer, True)
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    return gateway, gateway.client().send(b"GET /" + H + b"\r\n"), producer, requests


def test_push_producer() -> None:
    _, client, producer, requests = pushing()
    client.transport.block()
    client.transport.unblock()
    assert producer.states == ["pause", "resume"]
    requests[0].write(b"hello")
    requests[0].unregisterProducer()
    requests[0].finish()
    client.transport.block()
    client.transport.unblock()
    assert producer.states == ["pause", "resume"]
    assert client.answers[0].body == b"hello"


def test_push_producer_of_a_client_that_leaves() -> None:
    gateway, client, producer, _ = pushing()
    client.leave()
    assert producer.states == ["stop"]
    gateway.assert_idle()


class Pulled:
    """Writes `count` pieces, one each time it is asked."""

    def __init__(self, request: Request, count: int) -> None:
        self.request = request
        self.left = count
        self.stopped = 0
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()
            return
        self.left -= 1
        self.request.write(b"piece")

    def stopProducing(self) -> None:
        self.stopped += 1


def pulling(count: int) -> tuple[Gateway, Client, list[Pulled]]:
    producers: list[Pulled] = []

    def render(request: Request) -> int:
        producers.append(Pulled(request, count))
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    return gateway, gateway.client(), producers


def test_pull_producer() -> None:
    gateway, client, _ = pulling(100)
    client.send(b"GET /" + H + b"\r\n")
    gateway.advance(20)
    assert client.answers[0].body == b"piece" * 100


def test_pull_producer_lets_others_have_their_turn() -> None:
    """A client that takes everything does not hold up the reactor."""
    gateway, client, producers = pulling(1000)
    client.send(b"GET /" + H + b"\r\n")
    assert 0 < 1000 - producers[0].left < 100
    client.leave()
    assert producers[0].stopped == 1
    gateway.assert_idle()


def test_pull_producer_waits_for_the_client() -> None:
    gateway, client, producers = pulling(100)
    client.send(b"GET /" + H + b"\r\n")
    client.transport.block()
    gateway.settle()
    left = producers[0].left
    assert left > 0
    gateway.advance(1)
    assert producers[0].left == left
    client.transport.unblock()
    gateway.advance(20)
    assert client.answers[0].body == b"piece" * 100


def test_push_producer_of_an_answer_that_is_aborted() -> None:
    gateway, client, producer, _ = pushing()
    client.transport.block()
    gateway.advance(61)
    assert client.closed == "aborted"
    assert producer.states == ["pause", "stop"]
    gateway.assert_idle()


def test_producer_is_of_its_own_request() -> None:
    """Unregistering late does not take away the next request's."""
    gateway, client, producer, requests = pushing()
    requests[0].write(b"hello")
    requests[0].finish()
    client.send(b"GET /" + H + b"\r\n")
    requests[0].unregisterProducer()
    client.transport.block()
    assert producer.states == ["pause"]
    client.leave()
    gateway.assert_idle()


def test_pull_producer_that_is_never_unregistered() -> None:
    """It is asked no more once the answer has ended."""

    class Careless(Pulled):
        def resumeProducing(self) -> None:
            self.left -= 1
            self.request.write(b"piece")
            self.request.finish()

    producers: list[Pulled] = []

    def render(request: Request) -> int:
        producers.append(Careless(request, 5))
        return NOT_DONE_YET

    gateway = plugin(Rendered(render))
    client = gateway.client().send(b"GET /" + H + b"\r\n")
    gateway.settle()
    assert producers[0].left == 4
    assert client.answers[0].body == b"piece"
    client.leave()
    gateway.assert_idle()
