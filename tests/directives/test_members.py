"""What members do one by one: growing slowly, being ejected, failing in the ways that count."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.rules.changes import MemberChange
from tests.directives.balancing import A, B, balancer, members_down, turn, turns
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Configured, answered


@behaviour("failonstatus=", "retry=")
@pytest.mark.parametrize("words", ["failonstatus=503,418", '"failonstatus=503 418"'])
def test_fail_on_status(configured: Configured, words: str) -> None:
    """The answer is delivered; the member is skipped until its retry."""
    gateway = configured(balancer("retry=5", "", parameters=words))
    asked = gateway.ask(answer=answered(status="418 I'm a teapot", body=b"tea"))
    assert (asked.where, asked.status, asked.body) == ([A], 418, b"tea")
    assert turns(gateway, 3) == "bbb"
    gateway.advance(5.5, 0.5)
    assert "a" in turns(gateway, 3)


@behaviour("failonstatus=")
def test_other_statuses_do_not_count(configured: Configured) -> None:
    gateway = configured(balancer("", "", parameters="failonstatus=503"))
    assert gateway.ask(answer=answered(status="500 Error")).status == 500
    assert turns(gateway, 4) == "baba"


@behaviour("failontimeout=", "failonstatus=", "timeout=")
@pytest.mark.parametrize(
    ("word", "following"),
    [
        ("", "baba"),
        ("failontimeout=Off", "baba"),
        ("failontimeout=On", "bbbb"),
        ("failonstatus=504", "bbbb"),
        ("failonstatus=503", "baba"),
    ],
)
def test_fail_on_timeout(configured: Configured, word: str, following: str) -> None:
    """The answer is 504; whether the member is skipped from then on."""
    gateway = configured(balancer("timeout=2", "timeout=2", parameters=word))
    client = gateway.send("/")
    gateway.accept()
    gateway.advance(2.5)
    assert client.answers[0].status == 504
    assert turns(gateway, 4) == following


@behaviour("slowstart=", "retry=")
def test_slow_start(configured: Configured) -> None:
    """A member that is up again gets ever more requests, until it has its whole share."""
    gateway = configured(balancer("retry=1 slowstart=10s", ""))
    gateway.down = members_down("a")
    assert turns(gateway, 2) == "(ab)b"
    gateway.down = set()
    gateway.advance(1.5, 0.5)
    while "a" not in turn(gateway):
        pass
    shares = []
    for _ in range(3):
        gateway.advance(4, 0.5)
        shares.append(turns(gateway, 20).count("a"))
    assert shares[0] < shares[1] < shares[2] == 10


@behaviour("ejectrate=", "retry=")
def test_ejection_by_rate(configured: Configured) -> None:
    """A few faults among good answers do no harm, many do."""
    gateway = configured(balancer("ejectrate=50% retry=1h", "status=H"))
    for _ in range(6):
        assert gateway.ask(answer=HELLO).where == [A]
    for _ in range(5):
        assert gateway.ask(answer=b"no head").where == [A]
    assert gateway.ask(answer=b"no head").where == [A]
    assert turns(gateway, 2) == "bb"


@behaviour("ejectrate=")
def test_who_cannot_be_reached_is_ejected_at_once(configured: Configured) -> None:
    gateway = configured(balancer("ejectrate=50", ""))
    gateway.down = members_down("a")
    assert turns(gateway, 3) == "(ab)bb"


@behaviour("status=")
@pytest.mark.parametrize(("word", "following"), [("", "bbb"), ("status=I", "aba")])
def test_ignored_errors(configured: Configured, word: str, following: str) -> None:
    """With I a member is never put in error."""
    gateway = configured(balancer(word, ""))
    assert gateway.ask(answer=b"no head").where == [A]
    assert turn(gateway) == "b"
    assert turns(gateway, 3) == following


@behaviour("retry=", "status=")
@pytest.mark.parametrize("size", [8, 64, 2048, 4096])
def test_uploads_to_a_standby(configured: Configured, size: int) -> None:
    """The first member is down: nothing of the body has been lost on the way to the second."""
    gateway = configured(balancer("retry=1ms", "status=H"))
    gateway.down = members_down("a")
    for _ in range(2):
        asked = gateway.ask(method="POST", body=b"x" * size)
        assert (asked.status, asked.where[-1], asked.backends[-1].body) == (200, B, b"x" * size)


@behaviour("growth=")
def test_a_balancer_without_members(configured: Configured) -> None:
    gateway = configured("ProxyPass / balancer://cluster/ growth=10")
    assert gateway.ask().status == 503
    assert gateway.notes == ["f:1: growth does nothing without a SetHandler balancer-manager"]


@behaviour("retry=", "forcerecovery=")
def test_no_connection_before_the_retry(configured: Configured) -> None:
    """The first request tries both members, the following ones none until their time has come."""
    gateway = configured(balancer("retry=2", "retry=2", parameters="forcerecovery=Off"))
    gateway.down = {A, B}
    first = gateway.ask()
    assert (first.status, first.where) == (503, [A, B])
    gateway.advance(1.5)
    second = gateway.ask()
    assert (second.status, second.where) == (503, [])
    gateway.advance(1)
    third = gateway.ask()
    assert third.status == 503
    assert set(third.where) == {A, B}


@behaviour("status=")
@pytest.mark.parametrize("third", ["status=D", "status=S"])
def test_a_disabled_member_does_not_prevent_the_recovery(
    configured: Configured, third: str
) -> None:
    gateway = configured(balancer("", "", third))
    gateway.down = {A, B}
    assert gateway.ask().status == 503
    gateway.down = set()
    assert gateway.ask().status == 200


@behaviour("nonce=")
@pytest.mark.parametrize(("word", "nonce"), [("nonce=None", ""), ("nonce=abc", "abc"), ("", None)])
def test_nonce(configured: Configured, word: str, nonce: str | None) -> None:
    """What the balancer-manager is to ask for; by default nothing that anybody knows."""
    gateway = configured(balancer("", parameters=word))
    assert gateway.parts.pools[0].settings.nonce == nonce


@behaviour("preconnect=")
@pytest.mark.parametrize("alone", [True, False])
def test_preconnect(configured: Configured, alone: bool) -> None:
    """So many connections are there before a request; it goes over one of them."""
    text = f"ProxyPass / scgi://{A} preconnect=2" if alone else balancer("preconnect=2", "status=H")
    gateway = configured(text)
    gateway.settle()
    assert gateway.attempts == []
    gateway.parts.readiness.start()
    gateway.settle()
    assert [attempt.where for attempt in gateway.attempts] == [A, A]
    first, _ = [attempt.accept() for attempt in gateway.attempts]
    client = gateway.send("/")
    first.answer(HELLO)
    assert client.answers[0].body == b"hello"
    assert [attempt.where for attempt in gateway.attempts] == [A, A, A]
    gateway.parts.readiness.stop()


@behaviour("BalancerInherit")
def test_whose_balancers_a_virtual_host_changes(configured: Configured) -> None:
    """The main server's are before its own, or none of its."""
    host = """
        <VirtualHost *>
          {}
          ProxyPass /own/ balancer://own/
          BalancerMember balancer://own scgi://127.0.0.1:4002
        </VirtualHost>
    """
    gateway = configured(balancer("", "") + host.format("BalancerInherit Off") + host.format(""))
    managed = gateway.parts.managed
    first, second = gateway.config.virtual_hosts
    assert [one.name for one in managed(gateway.config.main)] == ["cluster"]
    assert [one.name for one in managed(first)] == ["own"]
    assert [one.name for one in managed(second)] == ["cluster", "own"]
    assert managed(first)[0] is not managed(second)[1]


@behaviour("BalancerInherit")
def test_a_balancer_of_a_name_that_the_main_server_has_too(configured: Configured) -> None:
    """On a virtual host's page a name means what it does in its mounts."""
    text = balancer("")
    gateway = configured(f"BalancerInherit On\n{text}\n<VirtualHost *>\n{text}\n</VirtualHost>")
    (of_main,) = gateway.parts.managed(gateway.config.main)
    (of_host,) = gateway.parts.managed(gateway.config.virtual_hosts[0])
    assert (of_main.name, of_host.name) == ("cluster", "cluster")
    assert of_main is not of_host


@behaviour("BalancerGrowth")
def test_balancers_cannot_be_added(configured: Configured) -> None:
    """Apache's page has no way to do it either."""
    (note,) = configured("BalancerGrowth 3\nBalancerGrowth 4").notes
    assert "BalancerGrowth does nothing here: a balancer cannot be added while it runs" in note


@behaviour("BalancerPersist", "DefaultRuntimeDir")
def test_where_changes_are_kept(configured: Configured, tmp_path: Path) -> None:
    """A file in that folder has what was changed, and the next gateway has it from there."""
    text = f"DefaultRuntimeDir {tmp_path}\nBalancerPersist On\n" + balancer("", "", "status=D")
    gateway = configured(text)
    gateway.parts.persistence.start()
    (managed,) = gateway.parts.managed(gateway.config.main)
    managed.change_member(managed.member("scgi://127.0.0.1:4001"), MemberChange(load_factor=5.0))
    gateway.advance(2)
    gateway.parts.persistence.release()
    gateway = configured(text)
    gateway.parts.persistence.start()
    (managed,) = gateway.parts.managed(gateway.config.main)
    assert [one.full_factor for one in managed.pool.backends] == [500, 100, 100]
    gateway.parts.persistence.release()
