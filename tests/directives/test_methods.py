"""lbmethod: in which order members get requests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.directives.balancing import NAMES, A, B, balancer, turn, turns
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, ConfiguredGateway, answered


@behaviour("BalancerMember", "Proxy", "loadfactor=", "lbmethod=")
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (("", ""), "ababab"),
        (("", "", ""), "abcabc"),
        (("loadfactor=1", "loadfactor=2"), "babbab"),
        (("loadfactor=3", "loadfactor=2"), "ababaababa"),
        (("", "", "", "loadfactor=2"), "dabcddabcd"),
        (("", "", "loadfactor=3"), "cacbccacbc"),
        (("loadfactor=5", "", ""), "aabacaa"),
        (("loadfactor=1.5", "loadfactor=3"), "babbab"),
        (("", "status=D", "", ""), "acdacd"),
    ],
)
def test_by_requests(configured: Configured, members: tuple[str, ...], expected: str) -> None:
    """As Apache counts; it is the method of a balancer that names none."""
    for parameters in ("", "lbmethod=byrequests"):
        gateway = configured(balancer(*members, parameters=parameters))
        assert turns(gateway, len(expected)) == expected


@behaviour("lbmethod=", "loadfactor=")
@pytest.mark.parametrize(
    ("members", "expected"),
    [(("", ""), "abab"), (("", "loadfactor=3"), "abbbabbba"), (("", "", ""), "abcabc")],
)
def test_by_traffic(configured: Configured, members: tuple[str, ...], expected: str) -> None:
    """Shares of the bytes, which are equally many for each of these requests."""
    gateway = configured(balancer(*members, parameters="lbmethod=bytraffic"))
    assert turns(gateway, len(expected)) == expected


@behaviour("lbmethod=")
def test_traffic_is_what_counts(configured: Configured) -> None:
    """After one large answer the other member has its turns."""
    gateway = configured(balancer("", "", parameters="lbmethod=bytraffic"))
    large = answered("Content-Length: 100000", body=b"x" * 100_000)
    assert gateway.ask(answer=large).where == [A]
    assert turns(gateway, 5) == "bbbbb"


def _hold(gateway: ConfiguredGateway) -> str:
    """A request that is under way; which member has it."""
    gateway.send("/")
    gateway.accept()
    return NAMES[gateway.attempts[-1].where]


@behaviour("lbmethod=")
def test_by_busyness(configured: Configured) -> None:
    """As byrequests while all are equally busy; else whoever has the fewest under way."""
    gateway = configured(balancer("", "", parameters="lbmethod=bybusyness"))
    assert turns(gateway, 4) == "abab"
    assert _hold(gateway) == "a"
    assert turns(gateway, 3) == "bbb"
    assert _hold(gateway) == "b"
    end = gateway.attempts[-1].end
    assert end is not None
    end.answer(HELLO).close()
    gateway.settle()
    assert turns(gateway, 2) == "bb"


@behaviour("lbmethod=")
def test_least_time(configured: Configured) -> None:
    """Whoever is slow to answer gets hardly any more."""
    gateway = configured(balancer("", "", parameters="lbmethod=leasttime"))
    while {attempt.where for attempt in gateway.attempts} != {A, B}:
        gateway.send("/")
        end = gateway.accept()
        slow = gateway.attempts[-1].where == A
        gateway.advance(1.0 if slow else 0.1)
        end.answer(HELLO).close()
        gateway.settle()
    assert turns(gateway, 6) == "bbbbbb"


@behaviour("lbmethod=")
def test_by_address_of_the_client(configured: Configured) -> None:
    """Each client has its member."""
    gateway = configured(balancer("", "", "", parameters="lbmethod=iphash"))
    clients = [f"192.0.2.{number}" for number in range(1, 31)]
    first = [gateway.ask(peer=client).where for client in clients]
    assert [gateway.ask(peer=client).where for client in clients] == first
    assert len({where for (where,) in first}) == 3


@behaviour("lbmethod=")
def test_by_path(configured: Configured) -> None:
    """Each path has its member, whatever the query is."""
    gateway = configured(balancer("", "", "", parameters="lbmethod=urihash"))
    paths = [f"/{number}" for number in range(30)]
    first = [turn(gateway, path=path) for path in paths]
    assert [turn(gateway, path=f"{path}?x={path}") for path in paths] == first
    assert set(first) == {"a", "b", "c"}


@behaviour("lbmethod=", "HeartbeatStorage")
def test_by_heartbeat(configured: Configured, tmp_path: Path) -> None:
    """Whoever has told that it has free slots; nobody is chosen while nobody has."""
    file = tmp_path / "hb.dat"
    gateway = configured(
        f"HeartbeatStorage {file}\n"
        "ProxyPass / balancer://b/ lbmethod=heartbeat\n"
        "BalancerMember balancer://b scgi://127.0.0.1:4001\n"
        "BalancerMember balancer://b scgi://127.0.0.2:4002"
    )
    assert gateway.ask().status == 503
    file.write_text("127.0.0.2 &ready=5&busy=1&lastseen=1&port=4002\n")
    assert [gateway.ask().where for _ in range(3)] == [["127.0.0.2:4002"]] * 3
    file.write_text("127.0.0.1 &ready=5&busy=1&lastseen=1&port=4001\n# another size\n")
    assert gateway.ask().where == [A]
    os.utime(file, (time.time() - 60,) * 2)
    assert gateway.ask().status == 503


@behaviour("lbmethod=")
@pytest.mark.parametrize("method", ["byrequests", "bytraffic", "bybusyness", "leasttime"])
def test_each_balancer_counts_for_itself(configured: Configured, method: str) -> None:
    gateway = configured(
        f"""
        ProxyPass /one/ balancer://one/ lbmethod={method}
        ProxyPass /two/ balancer://two/ lbmethod={method}
        BalancerMember balancer://one scgi://{A}
        BalancerMember balancer://two scgi://{A}
        BalancerMember balancer://two scgi://{B}
        """
    )
    pools: Any = gateway.parts.pools
    assert len({id(pool._selection.method) for pool in pools}) == 2
    gateway.ask("/one/")
    assert [pool.backends[0].elected for pool in pools] == [1, 0]
