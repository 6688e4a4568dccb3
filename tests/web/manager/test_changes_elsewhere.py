"""A change that is made in another process is answered when it has been made."""

from __future__ import annotations

from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from scgiproxy.web.manager.editing import NotDone
from scgiproxy.web.manager.resource import Made
from tests.web.manager.asking import FORM, HERE, MEMBER, Manager
from tests.web.manager.stage import NONCE
from tests.web.manager.test_resource import manager

__all__ = ["manager"]


class Elsewhere:
    """The manager, whose changes are made when the test says so; `asked` has what is wanted."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.asked: list[tuple[str, str]] = []
        self.made: Deferred[Made] = Deferred(lambda _: self.asked.append(("", "cancelled")))
        manager.resource.change = self.change
        body = urlencode({"b": "shop", "w": MEMBER, "nonce": NONCE, "w_lf": "7"}).encode()
        fields = {**HERE, "Content-Type": FORM, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {word}\r\n" for name, word in fields.items())
        self.client = manager.gateway.client(peer=manager.peer)
        self.client.send(f"POST /bm HTTP/1.1\r\n{head}\r\n".encode() + body)
        manager.gateway.settle()

    def change(self, balancers: object, fields: dict[str, str], by: str) -> Deferred[Made]:
        self.asked.append((fields["w_lf"], by))
        return self.made


def test_it_is_answered_then(manager: Manager) -> None:
    there = Elsewhere(manager)
    assert there.asked == [("7", "127.0.0.1")]
    assert not there.client.answers
    there.made.callback((manager.stage.balancers[0], manager.member))
    manager.gateway.settle()
    (answer,) = there.client.answers
    assert answer.status == 303
    assert b"#m" in answer["location"].encode()


def test_what_is_wrong_is_told_as_ever(manager: Manager) -> None:
    there = Elsewhere(manager)
    there.made.errback(NotDone(400, "w_lf: expected less.", "w_ls: expected more."))
    manager.gateway.settle()
    (answer,) = there.client.answers
    assert answer.status == 400
    assert b"expected less" in answer.body
    assert b"expected more" in answer.body


def test_a_client_that_leaves_is_waited_for_no_longer(manager: Manager) -> None:
    there = Elsewhere(manager)
    there.client.leave()
    manager.gateway.settle()
    assert there.asked[1:] == [("", "cancelled")]


def test_what_nobody_has_foreseen_is_answered_too(manager: Manager) -> None:
    there = Elsewhere(manager)
    there.made.errback(RuntimeError("out of order"))
    manager.gateway.settle()
    (answer,) = there.client.answers
    assert answer.status == 503
