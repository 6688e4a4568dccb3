"""Health checks: who is asked what, and what a bad answer does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from scgiproxy.pool.health import HealthChecks
from tests.directives.behaviours import behaviour
from tests.directives.gateway import HELLO, Attempt, Configured, ConfiguredGateway, answered
from tests.web.harness import BackendEnd

A, B = "127.0.0.1:4001", "127.0.0.1:4002"
BUSY = answered(status="503 Busy")
Checked = Callable[..., "Checking"]


def balancer(*members: str, before: str = "", parameters: str = "") -> str:
    """Members on ports 4001 and up, each with the parameters that are given."""
    lines = [
        f"BalancerMember scgi://127.0.0.1:{4000 + number} {words}"
        for number, words in enumerate(members, 1)
    ]
    inside = "\n".join(lines)
    mount = f"ProxyPass / balancer://app/ {parameters}"
    return f"{before}\n{mount}\n<Proxy balancer://app>\n{inside}\n</Proxy>"


class Checking:
    """A gateway whose members are checked."""

    def __init__(self, gateway: ConfiguredGateway) -> None:
        self.gateway = gateway
        parts = gateway.parts
        self.checks = HealthChecks(
            parts.pools,
            dialer=parts.dialer,
            at_once=gateway.config.probes_at_once,
            server_software=parts.server_software,
            random=lambda: 0.5,
        )
        self.checks.start()

    @property
    def open(self) -> list[Attempt]:
        return [attempt for attempt in self.gateway.attempts if attempt.open]

    def until_probe(self) -> Attempt:
        """Let time pass until a member is connected to."""
        for _ in range(1000):
            if self.open:
                return self.open[0]
            self.gateway.reactor.advance(0.125)
        raise AssertionError("nobody is checked")

    def waits(self) -> float:
        """How long until the next check."""
        start = self.gateway.reactor.seconds()
        self.until_probe()
        return float(self.gateway.reactor.seconds()) - start

    def connect(self) -> None:
        """The next check by connecting; it is good."""
        attempt = self.until_probe()
        attempt._settle()
        assert attempt._factory.buildProtocol(None) is None
        attempt.given_up = True

    def refuse(self) -> None:
        self.until_probe().refuse()

    def asked(self, answer: bytes = HELLO) -> BackendEnd:
        """The next check by asking, and its answer."""
        end = self.until_probe().accept()
        end.answer(answer)
        if end.closed is None:
            end.close()
        self.gateway.settle()
        return end

    def served_by(self) -> list[str]:
        """Where two requests go."""
        return sorted({where for _ in range(2) for where in self.gateway.ask().where})


@pytest.fixture
def checked(configured: Configured) -> Iterator[Checked]:
    """``checked(TEXT)`` is a gateway whose members are checked."""
    running: list[Checking] = []

    def make(text: str) -> Checking:
        running.append(Checking(configured(text)))
        return running[-1]

    yield make
    for one in running:
        one.checks.stop()
        one.gateway.advance(6)


@behaviour("hcmethod=")
def test_by_connecting(checked: Checked) -> None:
    """Nothing is sent; who cannot be connected to is left out, until it can."""
    checking = checked(balancer("hcmethod=TCP", ""))
    checking.connect()
    assert checking.served_by() == [A, B]
    checking.refuse()
    assert checking.served_by() == [B]
    checking.connect()
    assert checking.served_by() == [A, B]


@behaviour("hcmethod=")
@pytest.mark.parametrize(
    ("word", "method", "protocol"),
    [
        ("OPTIONS", "OPTIONS", "HTTP/1.0"),
        ("head", "HEAD", "HTTP/1.0"),
        ("Get", "GET", "HTTP/1.0"),
        ("OPTIONS11", "OPTIONS", "HTTP/1.1"),
        ("HEAD11", "HEAD", "HTTP/1.1"),
        ("get11", "GET", "HTTP/1.1"),
    ],
)
def test_by_asking(checked: Checked, word: str, method: str, protocol: str) -> None:
    checking = checked(balancer(f"hcmethod={word}", ""))
    variables = checking.asked().variables
    assert (variables["REQUEST_METHOD"], variables["SERVER_PROTOCOL"]) == (method, protocol)
    assert variables["HTTP_USER_AGENT"] == "scgiproxy (health check)"
    assert checking.served_by() == [A, B]
    checking.asked(BUSY)
    assert checking.served_by() == [B]


@behaviour("hcmethod=")
@pytest.mark.parametrize("word", ["", "hcmethod=NONE"])
def test_without_checks(checked: Checked, word: str) -> None:
    checking = checked(balancer(word))
    checking.gateway.advance(120, 0.5)
    assert not checking.gateway.attempts


@behaviour("hcmethod=")
def test_only_members_are_checked(checked: Checked) -> None:
    checking = checked("ProxyPass / scgi://127.0.0.1/ hcmethod=TCP")
    checking.gateway.advance(120, 0.5)
    assert not checking.gateway.attempts


@behaviour("hcinterval=", "hcmethod=")
@pytest.mark.parametrize(
    ("word", "seconds"), [("", 30), ("hcinterval=5", 5), ("hcinterval=2min", 120)]
)
def test_interval(checked: Checked, word: str, seconds: float) -> None:
    checking = checked(balancer(f"hcmethod=TCP {word}"))
    checking.connect()
    checking.connect()
    assert checking.waits() == pytest.approx(seconds, abs=0.3)


@behaviour("hcinterval=", "timeout=")
@pytest.mark.parametrize(
    ("words", "seconds"), [("hcinterval=5", 5), ("hcinterval=20 timeout=3", 3)]
)
def test_how_long_a_check_may_take(checked: Checked, words: str, seconds: float) -> None:
    checking = checked(balancer(f"hcmethod=GET {words}", ""))
    checking.until_probe().accept()
    checking.gateway.advance(seconds - 0.5, 0.125)
    assert checking.served_by() == [A, B]
    checking.gateway.advance(1, 0.125)
    assert checking.served_by() == [B]


@behaviour("hcfails=", "hcpasses=")
def test_how_many_in_a_row(checked: Checked) -> None:
    checking = checked(balancer("hcmethod=TCP hcfails=2 hcpasses=3", ""))
    for probe in (checking.refuse, checking.connect, checking.refuse):
        probe()
    assert checking.served_by() == [A, B]
    checking.refuse()
    assert checking.served_by() == [B]
    for probe in (checking.connect, checking.connect, checking.refuse) * 2:
        probe()
    assert checking.served_by() == [B]
    for _ in range(3):
        checking.connect()
    assert checking.served_by() == [A, B]


@behaviour("hcuri=")
@pytest.mark.parametrize(
    ("words", "uri", "script_name", "path_info"),
    [
        ("", "/", "/", None),
        ("hcuri=/health?full=1", "/health?full=1", "/health", None),
        ("hcuri=/a%20b pathinfo=on", "/a%20b", "", "/a b"),
    ],
)
def test_path(
    checked: Checked, words: str, uri: str, script_name: str, path_info: str | None
) -> None:
    checking = checked(balancer(f"hcmethod=GET {words}"))
    variables = checking.asked().variables
    assert variables["REQUEST_URI"] == uri
    assert (variables["SCRIPT_NAME"], variables.get("PATH_INFO")) == (script_name, path_info)


@behaviour("ProxyHCExpr", "hcexpr=")
@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("{%{REQUEST_STATUS} =~ /^[2345]/}", True),
        ("{%{REQUEST_STATUS} =~ /^[234]/}", False),
        ("{hc('body') =~ /hello/}", True),
        ("{hc('body') !~ /hello/}", False),
        ("\"resp('X-Ready') == 'yes'\"", True),
    ],
)
def test_conditions(checked: Checked, expression: str, good: bool) -> None:
    """They alone decide."""
    text = balancer("hcmethod=GET hcexpr=good", "", before=f"ProxyHCExpr good {expression}")
    checking = checked(text)
    checking.asked(answered("X-Ready: yes", status="503 Busy"))
    assert checking.served_by() == ([A, B] if good else [B])


@behaviour("ProxyHCTemplate", "hctemplate=", "hcinterval=")
def test_templates(checked: Checked) -> None:
    """What they say, and TCP if they do not; what follows them counts."""
    template = "ProxyHCTemplate slow hcinterval=2min hcfails=2"
    for words, seconds in (("hctemplate=slow", 120), ("hctemplate=slow hcinterval=7", 7)):
        checking = checked(balancer(words, "", before=template))
        checking.refuse()
        assert checking.served_by() == [A, B]
        checking.connect()
        assert checking.waits() == pytest.approx(seconds, abs=0.3)
        checking.checks.stop()


@behaviour("ProxyHCTPsize")
@pytest.mark.parametrize(
    ("line", "number"), [("", 16), ("ProxyHCTPsize 3", 3), ("ProxyHCTPsize 0", 1)]
)
def test_how_many_at_once(checked: Checked, line: str, number: int) -> None:
    checking = checked(balancer(*["hcmethod=TCP"] * 20, before=line))
    checking.gateway.advance(2, 0.125)
    assert len(checking.open) == number


@behaviour("retry=", "BalancerMember")
def test_one_that_is_back_is_found_early(checked: Checked) -> None:
    """Although it is not checked, and its retry time is far."""
    checking = checked(balancer("retry=1h", ""))
    checking.gateway.down = {A}
    assert checking.served_by() == [A, B]
    checking.gateway.down = set()
    assert checking.served_by() == [B]
    assert checking.waits() == pytest.approx(1, abs=0.2)
    checking.refuse()
    assert checking.waits() == pytest.approx(2, abs=0.2)
    checking.connect()
    assert checking.served_by() == [A, B]
    checking.gateway.advance(60, 0.5)
    assert not checking.open
