"""balancer:// with its members: whose turn it is, who is left out, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.directives.balancing import NAMES, A, B, C, balancer, members_down, turns
from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured, answered


@behaviour("status=", "lbset=")
@pytest.mark.parametrize(
    ("members", "down", "expected"),
    [
        (("", "status=D", ""), "", "acac"),
        (("", "status=S", ""), "", "acac"),
        (("", "status=H"), "", "aaaa"),
        (("", "status=H"), "a", "(ab)bbb"),
        (("", "status=-H"), "", "abab"),
        (("", "lbset=1"), "", "aaaa"),
        (("", "lbset=1"), "a", "(ab)bbb"),
        (("lbset=1", "status=H"), "", "bbbb"),
        (("lbset=1", "", "status=H"), "b", "(bc)ccc"),
        (("", "", "status=+H"), "a", "(ab)bbb"),
        (("", "status=N"), "", "aaaa"),
        (("", "status=N", "status=H"), "a", "(ac)ccc"),
        (("status=N", "lbset=1"), "", "bbbb"),
        (("", "", "status=R"), "", "abab"),
        (("", "", "status=R"), "a", "(ab)cbc"),
        (("", "status=D", "status=R", "status=R"), "", "acac"),
        (("", "status=N", "status=R"), "", "acac"),
        (("", "status=R", "status=H"), "a", "(ab)bbb"),
        (("", "status=R", "status=H"), "ab", "(abc)ccc"),
        (("status=I", ""), "a", "(ab)b(ab)b"),
    ],
)
def test_who_is_used(
    configured: Configured, members: tuple[str, ...], down: str, expected: str
) -> None:
    """Disabled and stopped ones never, draining ones without a session neither; a spare for each
    ordinary one that cannot be; standbys when there is nobody else in their set, and only then later
    sets. One that ignores errors is tried again by everybody."""
    gateway = configured(balancer(*members))
    gateway.down = members_down(down)
    assert turns(gateway, 4) == expected


@behaviour("retry=")
@pytest.mark.parametrize(
    ("word", "seconds"), [("retry=5", 5), ("retry=1500ms", 1.5), ("retry=2min", 120), ("", 60)]
)
def test_retry(configured: Configured, word: str, seconds: float) -> None:
    """One in error is left alone for so long, and used again once it answers."""
    gateway = configured(balancer(word, ""))
    gateway.down = {A}
    assert turns(gateway, 3) == "(ab)bb"
    gateway.down = set()
    gateway.advance(seconds - 0.5, 0.5)
    assert turns(gateway, 2) == "bb"
    gateway.advance(1, 0.25)
    assert "a" in turns(gateway, 3)


@behaviour("retry=")
def test_no_retry(configured: Configured) -> None:
    """0: it is tried again at once."""
    gateway = configured(balancer("retry=0", ""))
    gateway.down = {A}
    gateway.ask()
    gateway.down = set()
    assert "a" in turns(gateway, 3)


@behaviour("maxattempts=")
@pytest.mark.parametrize(
    ("word", "expected"),
    [("", "(abc)"), ("maxattempts=1", "(ab)"), ("maxattempts=0", "a"), ("maxattempts=9", "(abc)")],
)
def test_attempts(configured: Configured, word: str, expected: str) -> None:
    """So many more members are tried for one request."""
    gateway = configured(balancer("", "", "", parameters=word))
    gateway.down = {A, B, C}
    assert turns(gateway, 1) == expected
    assert gateway.clients[0].answers[0].status == 503


@behaviour("maxattempts=")
@pytest.mark.parametrize("word", ["", "maxattempts=1", "maxattempts=5"])
def test_attempts_at_a_single_member(configured: Configured, word: str) -> None:
    """No member is tried twice for one request; the next request tries it again."""
    gateway = configured(balancer("", parameters=word))
    gateway.down = {A}
    assert turns(gateway, 2) == "aa"
    assert [client.answers[0].status for client in gateway.clients] == [503, 503]


@behaviour("forcerecovery=", "retry=")
@pytest.mark.parametrize(
    ("word", "hits"), [("", 4), ("forcerecovery=On", 4), ("forcerecovery=Off", 2)]
)
def test_forced_recovery(configured: Configured, word: str, hits: int) -> None:
    """When all are in error they are tried again at once, or only when their time has come."""
    gateway = configured(balancer("retry=5", "retry=5", parameters=word))
    gateway.down = {A, B}
    assert gateway.ask().status == 503
    assert gateway.ask().status == 503
    assert len(gateway.attempts) == hits
    gateway.advance(6)
    gateway.down = set()
    assert gateway.ask().status == 200


@behaviour("timeout=", "forcerecovery=", "retry=")
def test_waiting_for_a_member(configured: Configured) -> None:
    """A balancer's timeout is how long a request waits for a member that can be used."""
    gateway = configured(balancer("retry=1", "retry=1", parameters="timeout=3s forcerecovery=off"))
    gateway.down = {A, B}
    assert gateway.ask().status == 503
    gateway.down = set()
    waiting = gateway.send("/")
    assert len(gateway.attempts) == 2
    gateway.advance(1.2)
    gateway.accept().answer(answered(body=b"late")).close()
    gateway.settle()
    assert waiting.answers[0].body == b"late"


@behaviour("timeout=", "status=")
def test_waiting_in_vain(configured: Configured) -> None:
    gateway = configured(balancer("status=D", "status=S", parameters="timeout=2000ms"))
    refused = gateway.send("/")
    gateway.advance(1.5)
    assert not refused.received
    gateway.advance(1)
    assert refused.answers[0].status == 503
    assert not gateway.attempts


@behaviour("route=", "BalancerMember", "SetEnv", "Header")
def test_variables(configured: Configured) -> None:
    """Which member it is, for the backend and for the usual header."""
    gateway = configured(
        balancer("route=one", "")
        + "\nHeader set X-Member %{BALANCER_WORKER_NAME}e\nSetEnv BALANCER_NAME mine"
    )
    first, second = gateway.ask(), gateway.ask()
    assert first.variables["BALANCER_NAME"] == "balancer://cluster"
    assert first.variables["BALANCER_WORKER_NAME"] == f"scgi://{A}"
    assert first.variables["BALANCER_WORKER_ROUTE"] == "one"
    assert second.variables["BALANCER_WORKER_ROUTE"] == ""
    assert first["x-member"] == f"scgi://{A}"


@behaviour("BalancerMember", "ErrorLog", "VirtualHost")
def test_a_name_is_shown_as_it_is_written(configured: Configured, tmp_path: Path) -> None:
    """To backends and in the log, also where several hosts have balancers of that name."""
    log = tmp_path / "log"
    hosts = [
        f"""
        <VirtualHost *>
          ServerName {name}.example
          ProxyPass / balancer://cluster/
          BalancerMember balancer://cluster scgi://{where}
        </VirtualHost>
        """
        for name, where in (("one", A), ("two", B))
    ]
    gateway = configured(f"ErrorLog {log}\n" + "".join(hosts))
    for name in ("one", "two"):
        variables = gateway.ask(host=f"{name}.example").variables
        assert variables["BALANCER_NAME"] == "balancer://cluster"
    gateway.down = {B}
    assert gateway.ask(host="two.example").status == 503
    in_error, unavailable = log.read_text().splitlines()
    assert f"scgi://{B} of balancer://cluster is in error" in in_error
    assert "no member of balancer://cluster could be used" in unavailable


@behaviour("BalancerMember", "retry=", "LogLevel")
@pytest.mark.parametrize(("level", "lines"), [("warn", 1), ("info", 4)])
def test_log(configured: Configured, tmp_path: Path, level: str, lines: int) -> None:
    """A member in error is told once, and once that it is up again, although all is answered; so is
    each request that went elsewhere for it."""
    log = tmp_path / "log"
    gateway = configured(f"ErrorLog {log}\nLogLevel {level}\n" + balancer("retry=5", "retry=1min"))
    gateway.down = {A}
    assert turns(gateway, 4) == "(ab)bbb"
    gateway.advance(5.5)
    assert "(ab)" in turns(gateway, 2)
    gateway.down = set()
    gateway.advance(5.5)
    assert "a" in turns(gateway, 4)
    told = log.read_text().splitlines()
    assert len(told) == lines
    assert (
        f"[pool.backend:warn] [pid {os.getpid()}] backend.connect: scgi://{A} of balancer://cluster"
        f" is in error, and tried again after 5 s: nobody listens on {A}" in told[0]
    )
    if lines > 1:
        for line in told[1:3]:
            assert "[web.repetition:info]" in line
            assert f"backend.failover: scgi://{B} answers after nobody listens on {A} (" in line
        assert "[pool.backend:info]" in told[3]
        assert told[3].endswith(
            f"backend.up: scgi://{A} of balancer://cluster is up again; it was in error for 11 s"
        )


@behaviour("max=", "acquire=")
def test_full_members(configured: Configured) -> None:
    """A full one is passed over; when all are full a request waits."""
    gateway = configured(balancer("max=1 acquire=2s", "max=1 acquire=1s"))
    clients = [gateway.send("/") for _ in range(3)]
    assert [attempt.where for attempt in gateway.attempts] == [A, B]
    for attempt in gateway.attempts:
        attempt.accept()
    gateway.advance(1.8)
    assert not clients[2].received
    gateway.advance(0.5)
    assert clients[2].answers[0].status == 503


@behaviour("BalancerMember", "ProxyPass")
def test_paths(configured: Configured) -> None:
    """The member's path, the balancer's and the rest of the request's, in this order."""
    gateway = configured(
        """
        ProxyPass /path/ balancer://b/sub/ pathinfo=on
        BalancerMember balancer://B scgi://127.0.0.1:4001/base
        """
    )
    variables = gateway.ask("/path/foo").variables
    assert (variables["SCRIPT_NAME"], variables["PATH_INFO"]) == ("/path", "/base/sub/foo")


@behaviour("BalancerMember", "ProxySet", "Proxy", "lbmethod=", "maxattempts=")
def test_places(configured: Configured) -> None:
    """A host has the main server's balancers; its own members replace, its parameters add."""
    gateway = configured(
        """
        <Proxy balancer://cluster>
          BalancerMember scgi://127.0.0.1:4001
          BalancerMember scgi://127.0.0.1:4002
          ProxySet lbmethod=byrequests
        </Proxy>
        <VirtualHost *>
          ServerName same.example
          ProxyPass / balancer://cluster/
        </VirtualHost>
        <VirtualHost *>
          ServerName few.example
          ProxyPass / balancer://cluster/
          ProxySet balancer://cluster maxattempts=0
        </VirtualHost>
        <VirtualHost *>
          ServerName own.example
          ProxyPass / balancer://cluster/
          BalancerMember balancer://cluster scgi://127.0.0.1:4003
        </VirtualHost>
        """
    )
    gateway.down = {A, B}
    assert gateway.ask(host="same.example").where == [A, B]
    assert gateway.ask(host="few.example").where == [A]
    assert gateway.ask(host="own.example").where == [C]


@behaviour("BalancerMember")
def test_uploads_go_elsewhere_whole(configured: Configured) -> None:
    """A member that does not take the connection has had nothing of the body."""
    gateway = configured(balancer("", ""))
    gateway.down = {A}
    asked = gateway.ask(method="POST", body=b"data")
    assert (asked.status, asked.where, asked.backends[-1].body) == (200, [A, B], b"data")


@behaviour("BalancerMember", "retry=")
@pytest.mark.parametrize(
    ("answer", "status", "left_out"),
    [
        (answered(status="503 Busy"), 503, False),
        (answered(status="500 Error"), 500, False),
        (b"no head", 502, True),
        (b"", 502, True),
    ],
)
def test_what_counts_against_a_member(
    configured: Configured, answer: bytes, status: int, left_out: bool
) -> None:
    """No proper answer does; what the application answers does not."""
    gateway = configured(balancer("retry=1h", "retry=1h"))
    assert gateway.ask(method="POST", answer=answer).status == status
    assert ("a" not in turns(gateway, 4)) is left_out


@behaviour("BalancerMember")
@pytest.mark.parametrize(("method", "status", "where"), [("GET", 200, "ab"), ("POST", 502, "a")])
def test_no_answer_at_all(configured: Configured, method: str, status: int, where: str) -> None:
    """Another member is asked, if it does no harm to do the same twice."""
    gateway = configured(balancer("", ""))
    asked = gateway.ask(method=method, answer=[b"", answered()])
    assert (asked.status, "".join(NAMES[each] for each in asked.where)) == (status, where)
