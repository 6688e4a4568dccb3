"""Balancer parameters, and what they need of members."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.config.balancers import BALANCER_PARAMETERS
from scgiproxy.config.model import Member, Position
from scgiproxy.rules.balancer import BalancerSettings, Sticky
from scgiproxy.rules.discovery import MAX_ROUTE_PREFIX, DiscoverySettings, RecordKind
from tests.config.loading import errors_of, load, notes_of

EXAMPLES: dict[str, tuple[str, str, Any, str]] = {
    # key: value, field, what it gives, a wrong value
    "lbmethod": ("bybusyness", "method", "bybusyness", ""),
    "stickysession": ("S", "sticky", Sticky(b"S", b"S"), "a;b"),
    "stickysessionsep": ("!", "sticky", Sticky(b"R", b"R", b"!"), "--"),
    "scolonpathdelim": ("On", "sticky", Sticky(b"R", b"R", semicolon=True), "x"),
    "nofailover": ("On", "no_failover", True, "x"),
    "timeout": ("2", "wait", 2.0, "x"),
    "maxattempts": ("0", "max_attempts", 0, "x"),
    "failonstatus": ("500,503", "fail_on_status", frozenset({500, 503}), "600"),
    "failontimeout": ("on", "fail_on_timeout", True, "x"),
    "forcerecovery": ("Off", "force_recovery", False, "x"),
    "growth": ("10", "growth", 10, "101"),
    "nonce": ("abc", "nonce", "abc", "x" * 37),
}
MEMBER = "\nBalancerMember balancer://b scgi://localhost route=r"
UNUSED = ["growth does nothing without a SetHandler balancer-manager"]
STICKY = "ProxySet balancer://b stickysession=R\n"


def settings(text: str) -> BalancerSettings:
    return load(text).balancers["b"].settings


def test_every_parameter_is_tested() -> None:
    assert set(BALANCER_PARAMETERS) == {*EXAMPLES, "pathinfo"}
    assert not [name for name, parameter in BALANCER_PARAMETERS.items() if parameter.inert]


@pytest.mark.parametrize("name", EXAMPLES)
def test_parameter(name: str) -> None:
    """It sets its field, in any case of its name and in each place, and refuses what it does not
    know."""
    value, field, expected, wrong = EXAMPLES[name]
    word = f"{name.title()}={value}"
    for text in (
        f"ProxyPass /b balancer://b {word}",
        f"ProxyPass /b balancer://b\n<Proxy balancer://B {word}>\n</Proxy>",
        f"ProxyPass /b balancer://b\n<Proxy balancer://b>\nProxySet {word}\n</Proxy>",
        f"ProxySet balancer://b {word}\nProxyPass /b balancer://b",
    ):
        found = load(STICKY + text + MEMBER)
        assert getattr(found.balancers["b"].settings, field) == expected
        assert [note.message for note in found.notes] == UNUSED * (name == "growth")
    assert getattr(BalancerSettings(), field) != expected
    if wrong:
        (error,) = errors_of(f"ProxyPass /b balancer://b {name}={wrong}{MEMBER}")
        assert error.startswith(f"f:1: ProxyPass: {name}: expected ")


def test_without_any() -> None:
    assert settings("ProxyPass /b balancer://b" + MEMBER) == BalancerSettings()


@pytest.mark.parametrize("name", EXAMPLES)
def test_merging(name: str) -> None:
    """What a virtual host says is added to what the main server says, key by key."""
    value, field, expected, _ = EXAMPLES[name]
    text = f"ProxySet balancer://b stickysession=R {name}={value}{MEMBER}\n" + "".join(
        f"<VirtualHost *>\nProxyPass /b balancer://b maxattempts={number}\n</VirtualHost>\n"
        for number in (4, 5)
    )
    if name == "maxattempts":
        text = text.replace("maxattempts=4", "timeout=4").replace("maxattempts=5", "timeout=5")
    balancers = load(text).balancers.values()
    assert [getattr(balancer.settings, field) for balancer in balancers] == [expected] * 2
    other = "wait" if name == "maxattempts" else "max_attempts"
    assert [getattr(balancer.settings, other) for balancer in balancers] == [4, 5]


@pytest.mark.parametrize(
    ("word", "cookie", "parameter"),
    [
        ("JSESSIONID", b"JSESSIONID", b"JSESSIONID"),
        ("JSESSIONID|jsessionid", b"JSESSIONID", b"jsessionid"),
        ("|sid", b"", b"sid"),
        ("sid|", b"sid", b""),
        ("x" * 63, b"x" * 63, b"x" * 63),
    ],
)
def test_sticky_session(word: str, cookie: bytes, parameter: bytes) -> None:
    assert settings(f"ProxyPass /b balancer://b stickysession={word}{MEMBER}").sticky == Sticky(
        cookie, parameter
    )


@pytest.mark.parametrize("word", ["|", "a|b|c", '"a b"', "a=b", "x" * 64])
def test_what_is_no_name_of_a_session(word: str) -> None:
    quoted = f'"stickysession={word[1:]}' if word.startswith('"') else f"stickysession={word}"
    (error,) = errors_of(f"ProxyPass /b balancer://b {quoted}{MEMBER}")
    assert "f:1: ProxyPass: stickysession: expected " in error


@pytest.mark.parametrize(
    ("word", "separator"), [(".", b"."), ("!", b"!"), ("off", b""), ("OFF", b"")]
)
def test_separator(word: str, separator: bytes) -> None:
    text = f"ProxyPass /b balancer://b stickysession=R stickysessionsep={word}{MEMBER}"
    assert settings(text).sticky == Sticky(b"R", b"R", separator)


@pytest.mark.parametrize(
    "word", ["failonstatus=500,503", '"failonstatus=500 503"', '"failonstatus=500, 503"']
)
def test_statuses(word: str) -> None:
    assert settings(f"ProxyPass /b balancer://b {word}{MEMBER}").fail_on_status == {500, 503}


@pytest.mark.parametrize("word", ["500,", "99", "5xx", ",500", "500;503"])
def test_what_is_no_list_of_statuses(word: str) -> None:
    (error,) = errors_of(f"ProxyPass /b balancer://b failonstatus={word}{MEMBER}")
    assert "failonstatus: expected " in error


@pytest.mark.parametrize(("word", "nonce"), [("None", ""), ("none", ""), ("x" * 36, "x" * 36)])
def test_nonce(word: str, nonce: str) -> None:
    assert settings(f"ProxyPass /b balancer://b nonce={word}{MEMBER}").nonce == nonce


def test_where_methods_are_named() -> None:
    """The model has every line, used or not; whether there is such a method is not known here."""
    config = load(
        f"ProxyPass /b balancer://b lbmethod=mine{MEMBER}\nProxySet balancer://b lbmethod=byrequests\n"
        "ProxySet balancer://other lbmethod=mine"
    )
    assert config.balancing_methods == {
        "mine": (Position("f", 1), Position("f", 4)),
        "byrequests": (Position("f", 3),),
    }
    assert config.balancers["b"].settings.method == "byrequests"


def test_a_heartbeat_that_nobody_hears() -> None:
    text = f"ProxyPass /b balancer://b lbmethod=heartbeat{MEMBER}"
    assert notes_of(text) == ["f:1: lbmethod=heartbeat chooses nobody without HeartbeatStorage"]
    assert notes_of(text + "\nHeartbeatStorage hb.dat") == []


@pytest.mark.parametrize("word", ["stickysessionsep=!", "scolonpathdelim=on", "nofailover=on"])
def test_what_means_nothing_without_sessions(word: str) -> None:
    text = f"ProxyPass /b balancer://b {word}{MEMBER}"
    name = word.partition("=")[0]
    assert notes_of(text) == [f"f:1: {name} does nothing without stickysession"]
    assert notes_of(f"{text}\nProxySet balancer://b stickysession=R") == []


def test_sessions_without_routes() -> None:
    text = f"ProxyPass /b balancer://b stickysession=R{MEMBER}"
    assert notes_of(text.replace("route=r", "")) == [
        "f:1: stickysession: no member of balancer://b has a route"
    ]
    assert notes_of(text) == []
    assert notes_of(text.replace("route=r", "discover=a")) == []
    growing = notes_of(text.replace("route=r", "") + "\nProxySet balancer://b growth=1")
    assert growing == [f"f:3: {told}" for told in UNUSED]


def test_a_balancer_that_may_grow_needs_no_member() -> None:
    text = "ProxyPass /b balancer://b growth=10"
    assert load(text).balancers["b"].members == ()
    host = f"<VirtualHost *>\n{text}\n</VirtualHost>\n"
    assert load(host).balancers["b"].settings.growth == 10
    assert "expected at least one, or growth=NUMBER" in errors_of("ProxyPass /b balancer://b")[0]


def test_path_info_of_a_balanced_mount() -> None:
    """It is the mount's own: another mount of the balancer has none; a ProxySet is for all."""
    text = f"ProxyPass /a balancer://b pathinfo=on\nProxyPass /b balancer://b{MEMBER}"
    mounts = load(text).main.mounts
    assert [mount.settings.path_info for mount in mounts] == [True, None]
    mounts = load(text + "\nProxySet balancer://b pathinfo=off").main.mounts
    assert [mount.settings.path_info for mount in mounts] == [True, False]


def _member(words: str, url: str = "scgi://app.example:4001/x", more: str = "") -> Member:
    text = f"ProxyPass /b balancer://b\nBalancerMember balancer://b {url} {words}\n{more}"
    return load(text).balancers["b"].members[0]


class TestDiscovery:
    def test_by_default_there_is_none(self) -> None:
        assert _member("").discovery is None

    @pytest.mark.parametrize(
        ("word", "kind"),
        [("a", RecordKind.ADDRESS), ("A", RecordKind.ADDRESS), ("srv", RecordKind.SERVICE)],
    )
    def test_kinds(self, word: str, kind: RecordKind) -> None:
        member = _member(f"discover={word} max=3")
        assert member.discovery == DiscoverySettings(kind, "app.example", 4001)
        assert member.settings.max_connections == 3

    def test_by_proxy_set(self) -> None:
        member = _member("", more="ProxySet scgi://app.example:4001 discover=a")
        assert member.discovery == DiscoverySettings(RecordKind.ADDRESS, "app.example", 4001)

    @pytest.mark.parametrize("url", ["scgi://127.0.0.1:4000", "unix:/run/app|scgi://app.example"])
    def test_of_what_has_no_name(self, url: str) -> None:
        for line in (f"BalancerMember balancer://b {url}", f"ProxySet {url}"):
            (error,) = errors_of(f"{line} discover=a\nProxyPass /b balancer://b{MEMBER}")
            assert error.startswith(f"f:1: {line.split()[0]}: discover=a needs a host name, and ")

    def test_srv_records_say_some_things_themselves(self) -> None:
        line = "BalancerMember balancer://b scgi://_app._tcp.example lbset=1 loadfactor=2"
        text = f"ProxyPass /b balancer://b\n{line} discover="
        told = [note for note in notes_of(text + "srv") if "does nothing" in note]
        assert told == [
            f"f:2: BalancerMember: {name} does nothing with discover=srv: the records say it"
            for name in ("lbset", "loadfactor")
        ]
        assert not [note for note in notes_of(text + "a") if "does nothing" in note]

    def test_a_route_is_what_those_of_members_begin_with(self) -> None:
        route = "x" * MAX_ROUTE_PREFIX
        assert _member(f"discover=a route={route}").settings.route == route.encode()
        text = (
            "ProxyPass /b balancer://b\nBalancerMember balancer://b scgi://app.example discover=a"
        )
        (error,) = errors_of(f"{text} route={route}x")
        assert error == (
            f"f:2: BalancerMember: route: expected at most {MAX_ROUTE_PREFIX} bytes with discover=a:"
            " each member's own route begins with it"
        )


class TestWhoseTheyAre:
    TEXT = """\
        BalancerPersist {}
        ProxyPass /a balancer://a
        BalancerMember balancer://a scgi://localhost
        BalancerMember balancer://late scgi://localhost
        ProxyHCExpr ok {{%{{REQUEST_STATUS}} == 200}}
        <VirtualHost *>
          BalancerPersist {}
          ProxyPass /late balancer://late
          ProxyPass /a balancer://a
          ProxyPass /own balancer://own
          BalancerMember balancer://own scgi://localhost
          ProxyHCExpr OK {{%{{REQUEST_STATUS}} == 204}}
        </VirtualHost>
        <VirtualHost *>
          ProxyPass /a balancer://a nofailover=On
        </VirtualHost>
        """

    def test_of_which_server(self) -> None:
        """A virtual host's are those that it says something of; it may be the only one that uses
        one of the main server's."""
        config = load(self.TEXT.format("Off", "Off"))
        assert [host.balancers for host in (config.main, *config.virtual_hosts)] == [
            ("a", "late"),
            ("own",),
            ("a@f:15",),
        ]

    @pytest.mark.parametrize(
        ("main", "host", "persistent"),
        [
            ("Off", "Off", {}),
            ("On", "On", {"a": 1, "late": 1, "own": 7, "a@f:15": 1}),
            ("On", "Off", {"a": 1, "late": 1, "a@f:15": 1}),
            ("Off", "On", {"own": 7}),
        ],
    )
    def test_which_survive_a_restart(
        self, main: str, host: str, persistent: dict[str, int]
    ) -> None:
        """Those of the servers that say so; a virtual host says what the main server does."""
        found = load(self.TEXT.format(main, host)).persistent
        assert found == {key: Position("f", line) for key, line in persistent.items()}

    def test_conditions(self) -> None:
        """Those that a change may name: the server's own, then the main server's."""
        balancers = load(self.TEXT.format("Off", "Off")).balancers
        names = {
            key: [one.name for one in balancer.conditions.values()]
            for key, balancer in balancers.items()
        }
        assert names == {"a": ["ok"], "late": ["ok"], "own": ["OK"], "a@f:15": ["ok"]}


@pytest.mark.parametrize("name", ["route", "redirect"])
def test_a_route_goes_into_headers(name: str) -> None:
    (error,) = errors_of(
        f'BalancerMember balancer://b scgi://h "{name}=a\tb"\nProxyPass / balancer://b{MEMBER}'
    )
    assert error == f"f:1: BalancerMember: {name}: expected no control characters, got 'a\\tb'"
