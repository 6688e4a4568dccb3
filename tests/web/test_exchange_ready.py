"""An exchange on a connection that had been kept ready: what is repeated when it was stale."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.pool.readiness import Readiness
from scgiproxy.wire.client import ScgiClientProtocol
from tests.web.answers import Log
from tests.web.balanced import Balanced, chunked, each_way, leave, request
from tests.web.harness import OK, BackendEnd, Client

SAFE = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]
KIB_64 = 65536


class Ready(Balanced):
    """Two connections are kept ready for each backend; the first to be used is the oldest."""

    def __init__(self, *members: dict[str, Any], **options: Any) -> None:
        given = members or ({},)
        super().__init__(*({"preconnect": 2, **one} for one in given), **options)
        self.readiness = Readiness([self.balancer], dialer=self.dialer)  # type: ignore[arg-type]
        self.readiness.start()
        self.settle()

    def ask(self, data: bytes) -> Client:
        self.kept = list(self.dialer.ends)
        return super().ask(data)

    @property
    def asked(self) -> list[BackendEnd]:
        """The connections that a request is on, or has been, in their order."""
        return [one for one in self.dialer.ends if isinstance(one.protocol, ScgiClientProtocol)]

    def finish(self, *clients: Client) -> None:
        self.readiness.stop()
        super().finish(*clients)

    def assert_idle(self) -> None:
        assert all(one.closed for one in self.dialer.ends)
        self.dialer.ends = self.asked
        super().assert_idle()


both = pytest.mark.parametrize("alone", [True, False], ids=["alone", "balanced"])


@both
def test_a_request_is_sent_on_one_that_is_there(alone: bool) -> None:
    gateway = Ready(alone=alone)
    client = gateway.ask(request("GET"))
    (end,) = gateway.asked
    assert end is gateway.kept[0]
    end.answer(OK)
    assert client.answer.status == 200
    gateway.settle()
    assert gateway.reached == "aaa"
    gateway.finish(client)


@pytest.mark.parametrize("method", SAFE)
@both
@each_way
def test_a_stale_one_is_replaced(alone: bool, method: str, how: str) -> None:
    """By a new one, not by the next that is kept: that may be stale as well."""
    gateway = Ready(alone=alone)
    with Log() as log:
        client = gateway.ask(request(method, body=b"hello"))
        stale = gateway.asked[0]
        leave(stale, how)
        gateway.settle()
        (again,) = [end for end in gateway.asked if end is not stale]
        assert again not in gateway.kept
        assert again.variables["REQUEST_METHOD"] == method
        assert again.body == b"hello"
        again.answer(OK)
    assert client.received.startswith(b"HTTP/1.1 200 ")
    assert client.closed is None
    assert gateway.members[0].errors == 0
    assert log.events == []
    gateway.finish(client)


@pytest.mark.parametrize("body", ["", "length", "chunked"])
@both
def test_a_post_that_was_sent_is_not_repeated(alone: bool, body: str) -> None:
    data = {
        "": request("POST"),
        "length": request("POST", body=b"hello"),
        "chunked": chunked("POST", b"hello"),
    }
    gateway = Ready(alone=alone)
    client = gateway.ask(data[body])
    gateway.asked[0].reset()
    gateway.settle()
    assert len(gateway.asked) == 1
    assert client.answer.status == 502
    gateway.finish(client)


@pytest.mark.parametrize("body", ["", "length", "under way", "chunked"])
@both
def test_a_post_that_nobody_has_read_is(alone: bool, body: str) -> None:
    """The first write has failed."""
    data = {
        "": request("POST"),
        "length": request("POST", body=b"hello"),
        "under way": request("POST", body=b"hel", length=5),
        "chunked": chunked("POST", b"hello"),
    }
    gateway = Ready(alone=alone)
    client = gateway.ask(data[body])
    stale = gateway.asked[0]
    stale.transport.unread = True  # type: ignore[attr-defined]
    leave(stale, "after EPIPE")
    gateway.settle()
    (again,) = [end for end in gateway.asked if end is not stale]
    if body == "under way":
        client.send(b"lo")
        gateway.settle()
    assert again.body == (b"hello" if body else b"")
    again.answer(OK)
    assert client.answer.status == 200
    assert gateway.members[0].errors == 0
    gateway.finish(client)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_of_which_too_much_is_gone_is_not(method: str) -> None:
    gateway = Ready(alone=True)
    client = gateway.ask(request(method, body=b"x" * KIB_64, length=KIB_64 + 1))
    client.send(b"x")
    gateway.asked[0].reset()
    gateway.settle()
    assert len(gateway.asked) == 1
    assert client.answer.status == 502
    gateway.finish(client)


@both
def test_a_new_one_is_not_replaced(alone: bool) -> None:
    """That it closes without a word as well is its fault."""
    gateway = Ready(alone=alone)
    client = gateway.ask(request("GET"))
    gateway.asked[0].close()
    gateway.settle()
    fresh = gateway.asked[-1]
    fresh.close()
    gateway.settle()
    assert len(gateway.asked) == 2
    assert client.answer.status == 502
    assert gateway.members[0].errors == 1
    gateway.finish(client)


def test_the_next_member_after_that() -> None:
    """It is asked on one of its own that is ready; and if that is stale, on a new one."""
    gateway = Ready({}, {})
    client = gateway.ask(request("GET"))
    for _ in range(3):
        next(end for end in gateway.asked if not end.closed).close()
        gateway.settle()
    reached = dict(zip(gateway.dialer.ends, gateway.reached, strict=True))
    assert sorted(reached[end] for end in gateway.asked) == ["a", "a", "b", "b"]
    last = next(end for end in gateway.asked if not end.closed)
    assert reached[last] == "b"
    last.answer(OK)
    assert client.answer.status == 200
    assert [member.errors for member in gateway.members] == [1, 0]
    gateway.finish(client)


@both
def test_an_answer_that_has_begun_is_not_had_again(alone: bool) -> None:
    gateway = Ready(alone=alone)
    client = gateway.ask(request("GET"))
    gateway.asked[0].answer(OK[:20]).close()
    gateway.settle()
    assert len(gateway.asked) == 1
    assert client.answer.status == 502
    gateway.finish(client)


@pytest.mark.parametrize("when", ["on the stale one", "on the new one"])
def test_a_client_that_leaves(when: str) -> None:
    gateway = Ready(alone=True)
    client = gateway.ask(request("PUT", body=b"hel", length=5))
    if when == "on the new one":
        gateway.asked[0].close()
        gateway.settle()
    client.leave()
    gateway.settle()
    gateway.finish()
