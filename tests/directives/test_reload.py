"""A configuration is followed by another one while requests are under way: what ends as it began, what
is other from the next request on, and what is kept of members."""

from __future__ import annotations

import gc
from typing import cast
from weakref import ref

import pytest
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.condition import Condition
from scgiproxy.rules.changes import balancer_change, member_change
from tests.directives.balancing import A, balancer, turn, turns
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway

MOUNT = "ProxyPass /app/ scgi://127.0.0.1:4000/"


def members(gateway: ConfiguredGateway) -> dict[str, Backend]:
    """Of the first pool, by the last digit of their port."""
    return {one.label[-1]: one for one in gateway.parts.pools[0].backends}


class TestRequests:
    def test_what_is_under_way_ends_as_it_began(self, configured: Configured) -> None:
        gateway = configured(f"{MOUNT}\nHeader set X-Is before")
        client = gateway.send("/app/x")
        backend = gateway.accept()
        gateway.reload("Header set X-Is after")
        backend.answer(HELLO).close()
        gateway.settle()
        assert (client.answers[0].status, client.answers[0]["x-is"]) == (200, "before")
        asked = gateway.ask("/app/x", client=client)
        assert (asked.status, asked.where) == (404, [])

    def test_the_next_on_a_connection_is_served_anew(self, configured: Configured) -> None:
        gateway = configured(MOUNT)
        client = gateway.client()
        assert gateway.ask("/app/x", client=client).where == ["127.0.0.1:4000"]
        gateway.reload("ProxyPass /app/ scgi://127.0.0.1:4009/\nServerTokens Prod")
        asked = gateway.ask("/app/x", client=client)
        assert (asked.where, asked["server"]) == (["127.0.0.1:4009"], "scgiproxy")

    def test_what_waits_its_turn_is_served_anew(self, configured: Configured) -> None:
        """A pipelined request, whose answer has not begun."""
        gateway = configured(MOUNT)
        client = gateway.send("/app/first")
        first = gateway.accept()
        client.get("/app/second")
        gateway.reload("ProxyPass /app/ scgi://127.0.0.1:4009/")
        first.answer(HELLO).close()
        gateway.settle()
        assert gateway.attempts[-1].where == "127.0.0.1:4009"
        gateway.accept().answer(HELLO).close()
        assert [answer.status for answer in client.answers] == [200, 200]

    def test_a_head_that_has_begun(self, configured: Configured) -> None:
        gateway = configured(MOUNT)
        client = gateway.client()
        client.send(b"GET /app/x HTTP/1.1\r\nHo")
        gateway.reload("ProxyPass /app/ scgi://127.0.0.1:4009/")
        client.send(b"st: a\r\n\r\n")
        gateway.settle()
        assert gateway.attempts[-1].where == "127.0.0.1:4009"

    def test_an_upload_goes_on(self, configured: Configured) -> None:
        gateway = configured(MOUNT)
        client = gateway.client()
        client.send(b"POST /app/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        gateway.settle()
        backend = gateway.accept()
        gateway.reload("LimitRequestBody 2")
        client.send(b"def")
        assert backend.body == b"abcdef"
        backend.answer(HELLO).close()
        assert client.answers[0].status == 200

    def test_limits_hold_for_connections_that_are_there(self, configured: Configured) -> None:
        gateway = configured(f"{MOUNT}\nKeepAliveTimeout 50")
        client, other = gateway.client(), gateway.client()
        gateway.ask("/app/x", client=client)
        gateway.reload(f"{MOUNT}\nLimitRequestLine 20\nKeepAliveTimeout 2")
        gateway.ask("/app/x", client=other)
        gateway.advance(3)
        assert other.closed == "closed"
        assert gateway.ask("/app/too-long-for-this", client=client).status == 414

    def test_statistics_go_on(self, configured: Configured) -> None:
        gateway = configured(MOUNT)
        gateway.ask("/app/x")
        gateway.reload(f"ProxyPass /other/ scgi://127.0.0.1:4001/\n{MOUNT}\n")
        gateway.ask("/app/x")
        counted = {each.path: each.requests for each in gateway.parts.mount_statistics()}
        assert counted["/app/"] == 2

    def test_what_ends_after_it_is_counted(self, configured: Configured) -> None:
        gateway = configured(MOUNT)
        gateway.send("/app/x")
        backend = gateway.accept()
        gateway.reload(f"Header set X-Is after\n{MOUNT}")
        counted = {each.path: each for each in gateway.parts.mount_statistics()}["/app/"]
        assert (counted.in_flight, counted.requests) == (1, 0)
        backend.answer(HELLO).close()
        gateway.settle()
        assert (counted.in_flight, counted.requests) == (0, 1)


class TestBackends:
    def test_a_place_that_is_taken_stays_so(self, configured: Configured) -> None:
        """Who waits for it waits on, and is served when it is free."""
        gateway = configured(f"{MOUNT} max=1")
        gateway.send("/app/one")
        first = gateway.accept()
        waiting = gateway.send("/app/two")
        gateway.reload(f"Header set X-Is after\n{MOUNT} max=1")
        later = gateway.send("/app/three")
        assert len(gateway.attempts) == 1
        first.answer(HELLO).close()
        gateway.settle()
        gateway.accept().answer(HELLO).close()
        gateway.settle()
        gateway.accept().answer(HELLO).close()
        gateway.settle()
        assert waiting.answers[0]["x-is"] is None
        assert later.answers[0]["x-is"] == "after"

    def test_more_places_are_there_at_once(self, configured: Configured) -> None:
        gateway = configured(f"{MOUNT} max=1")
        gateway.send("/app/one")
        gateway.accept()
        gateway.send("/app/two")
        assert len(gateway.attempts) == 1
        gateway.reload(f"{MOUNT} max=2")
        gateway.settle()
        assert len(gateway.attempts) == 2

    def test_who_waits_for_one_that_is_gone(self, configured: Configured) -> None:
        gateway = configured(f"{MOUNT} max=1")
        gateway.send("/app/one")
        first = gateway.accept()
        waiting = gateway.send("/app/two")
        gateway.reload("")
        first.answer(HELLO).close()
        gateway.settle()
        gateway.accept().answer(HELLO).close()
        gateway.settle()
        assert waiting.answers[0].status == 200


class TestMembers:
    def test_stay_in_error(self, configured: Configured) -> None:
        gateway = configured(balancer("", ""))
        gateway.down = {A}
        turns(gateway, 2)
        before = members(gateway)["1"]
        gateway.reload(balancer("", "", "loadfactor=2") + "\nHeader set X-Is after")
        after = members(gateway)
        assert after["1"] is before
        assert after["1"].condition is Condition.DOWN
        assert "a" not in turns(gateway, 4)

    def test_keep_their_turns(self, configured: Configured) -> None:
        """Of byrequests, the accounts."""
        gateway = configured(balancer("loadfactor=3", ""))
        once = turns(gateway, 6)
        gateway = configured(balancer("loadfactor=3", ""))
        first = turns(gateway, 3)
        gateway.reload("ServerTokens Prod\n" + balancer("loadfactor=3", ""))
        assert first + turns(gateway, 3) == once

    def test_are_as_is_written_now(self, configured: Configured) -> None:
        gateway = configured(balancer("status=D", "route=r2"))
        assert turns(gateway, 2) == "bb"
        gateway.reload(balancer("", "route=r3 status=D", parameters="lbmethod=bybusyness"))
        assert turns(gateway, 2) == "aa"
        assert members(gateway)["2"].route == b"r3"

    def test_one_more_and_one_less(self, configured: Configured) -> None:
        gateway = configured(balancer("", ""))
        client = gateway.send("/")
        backend = gateway.accept()
        gateway.reload(balancer("status=D", "", "").replace("4001", "4004"))
        assert turns(gateway, 2) in ("bc", "cb")
        backend.answer(HELLO).close()
        gateway.settle()
        assert client.answers[0].status == 200

    def test_all_are_gone(self, configured: Configured) -> None:
        gateway = configured(balancer("", ""))
        client = gateway.send("/")
        backend = gateway.accept()
        gateway.reload("")
        backend.answer(HELLO).close()
        gateway.settle()
        assert client.answers[0].status == 200
        assert gateway.ask("/").status == 404

    def test_a_balancer_may_stand_in_other_lines(self, configured: Configured) -> None:
        """Two of one name are told apart by their servers."""
        host = "<VirtualHost *>\nServerName {}\n" + balancer("") + "\n</VirtualHost>\n"
        gateway = configured(host.format("one.example") + host.format("two.example"))
        one, two = (pool.backends[0] for pool in gateway.parts.pools)
        gateway.reload("\n\n" + host.format("two.example") + host.format("one.example"))
        assert [pool.backends[0] for pool in gateway.parts.pools] == [two, one]

    def test_that_wait_for_a_session(self, configured: Configured) -> None:
        gateway = configured(balancer("route=r1", "route=r2", parameters="stickysession=S"))
        assert turn(gateway, "Cookie: S=x.r2") == "b"
        gateway.reload(balancer("route=r2", "route=r1", parameters="stickysession=S"))
        assert turn(gateway, "Cookie: S=x.r2") == "a"


class TestChangesByHand:
    def test_stay(self, configured: Configured) -> None:
        text = balancer("", "", parameters="growth=2 timeout=1")
        gateway = configured(text)
        (managed,) = gateway.parts.balancing.managed.values()
        member, nonce = members(gateway)["1"], managed.nonce
        managed.change_member(member, member_change({"w_status_D": "1", "w_lf": "7"}))
        managed.change(balancer_change({"b_lbm": "bybusyness"}))
        added = managed.add("scgi://127.0.0.1:4003")
        managed.change_member(added, member_change({"w_status_D": "0"}))
        assert set(turns(gateway, 4)) == {"b", "c"}
        gateway.reload("ServerTokens Prod\n" + text)
        (now,) = gateway.parts.balancing.managed.values()
        assert now.nonce == nonce
        assert (member.disabled, member.full_factor) == (True, 700)
        assert now.pool.settings.method == "bybusyness"
        assert (now.added, now.growth_left) == ([added], 1)
        assert set(turns(gateway, 4)) == {"b", "c"}

    def test_of_a_line_that_is_another_now(self, configured: Configured) -> None:
        gateway = configured(balancer("", ""))
        (managed,) = gateway.parts.balancing.managed.values()
        managed.change_member(members(gateway)["1"], member_change({"w_status_D": "1"}))
        told: list[str] = []
        events = cast("ILogObserver", lambda event: told.append(formatEvent(event)))
        globalLogPublisher.addObserver(events)
        try:
            gateway.reload(balancer("loadfactor=2", ""))
        finally:
            globalLogPublisher.removeObserver(events)
        assert not members(gateway)["1"].disabled
        (line,) = (line for line in told if "dropped" in line)
        assert line.endswith("its configuration is another one now")

    def test_nobody_is_served_by_who_is_disabled(self, configured: Configured) -> None:
        """Not even in the moment between what is written and what was changed."""
        gateway = configured(balancer("max=1", "max=1"))
        (managed,) = gateway.parts.balancing.managed.values()
        gateway.send("/")
        gateway.send("/")
        for attempt in gateway.attempts:
            attempt.accept()
        (first,) = (one for one in gateway.attempts if one.where == A)
        managed.change_member(members(gateway)["1"], member_change({"w_status_D": "1"}))
        gateway.send("/")
        assert first.end is not None
        first.end.answer(HELLO).close()
        gateway.settle()
        gateway.reload("ServerTokens Prod\n" + balancer("max=1", "max=1"))
        gateway.settle()
        assert len(gateway.attempts) == 2


@pytest.mark.parametrize("text", ["", MOUNT, balancer("", "max=1 preconnect=1", "hcmethod=TCP")])
def test_again_and_again(configured: Configured, text: str) -> None:
    """Nothing piles up."""
    gateway = configured(text)
    for _ in range(5):
        gateway.reload(text)
        gateway.ask("/app/")
    assert len(gateway.parts.pools) == min(1, len(text))


@pytest.mark.parametrize("text", ["", MOUNT, balancer("", "max=1 preconnect=1", "hcmethod=TCP")])
def test_what_was_followed_is_forgotten(configured: Configured, text: str) -> None:
    """Each configuration would keep the one before it."""
    gateway = configured(text)
    before = []
    for _ in range(3):
        before += [ref(gateway.parts), ref(gateway.parts.balancing)]
        gateway.reload(text)
        gateway.ask("/app/")
    gc.collect()
    assert [one() for one in before] == [None] * 6
