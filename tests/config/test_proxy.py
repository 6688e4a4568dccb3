"""ProxyPass and kin: their words, and what is told of what will not work as it looks."""

from __future__ import annotations

import re

import pytest

from scgiproxy.message.backend_url import UnixAddress
from scgiproxy.rules.mapping import Mount
from tests.config.loading import errors_of, load, notes_of, settings_of


def _mount(line: str) -> Mount:
    return load(line).main.mounts[-1]


def _target(line: str) -> tuple[str, bytes]:
    target = _mount(line).target
    assert target is not None
    return str(target.address), target.path


def test_keywords_and_parameters() -> None:
    mount = _mount("ProxyPass /a scgi://localhost NoCanon timeout=5 noquery Max=2 max=3")
    assert (mount.settings.timeout, mount.settings.max_connections) == (5.0, 3)


def test_what_follows_an_exclamation_mark_is_ignored() -> None:
    assert _mount("ProxyPass /a ! timeout=x").target is None


def test_a_tilde_makes_it_an_expression() -> None:
    assert _mount("ProxyPass ~ ^/a scgi://localhost").pattern == re.compile(b"^/a", re.DOTALL)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ProxyPass /a", "expected a path, and then URL or !"),
        ("ProxyPass ~ /a", "expected an expression, and then URL or !"),
        ("ProxyPass scgi://localhost timeout=5", "expected a path before the URL"),
        ("ProxyPass /a scgi://localhost /b", "expected key=value, got '/b'"),
        ("ProxyPass /a scgi://localhost timeout", "expected timeout=TIME, got 'timeout'"),
        ("ProxyPass /a scgi://localhost timeout=", "expected timeout=TIME, got 'timeout='"),
        ("ProxyPass /a scgi://localhost noqeury", "expected key=value, got 'noqeury'"),
        ("ProxyPass /a localhost", "'localhost' is no URL"),
        ("ProxyPass /a scgi://localhost:99999", "is no number from 1 to 65535"),
        ("ProxyPass /a scgi://localhost lbmethod=byrequests", "lbmethod is a balancer parameter"),
        ("ProxyPass /a balancer://b max=5", "max is a worker parameter"),
        ("ProxyPassMatch ( scgi://localhost", "does not compile"),
    ],
)
def test_wrong_words(line: str, message: str) -> None:
    errors = errors_of(line + "\nBalancerMember balancer://b scgi://localhost")
    assert len(errors) == 1
    assert errors[0].startswith(f"f:1: {line.split()[0]}: ")
    assert message in errors[0]


@pytest.mark.parametrize(
    ("line", "warns"),
    [
        ("ProxyPass /app scgi://localhost", False),
        ("ProxyPass /app/ scgi://localhost/", False),
        ("ProxyPass / scgi://localhost/", False),
        ("ProxyPass /app scgi://localhost/", True),
        ("ProxyPass /app/ scgi://localhost", True),
        ("ProxyPass / scgi://localhost", True),
        ("ProxyPass /app/ scgi://localhost/a", True),
        ("ProxyPass /RPC2/ unix:/run/a|scgi://localhost", True),
        ("ProxyPass / balancer://b", True),
        ("ProxyPassMatch ^/app/ scgi://localhost", False),
    ],
)
def test_paths_that_disagree_about_the_last_slash(line: str, warns: bool) -> None:
    notes = notes_of(line + "\nBalancerMember balancer://b scgi://localhost")
    about = [note for note in notes if "one of" in note and "ends in / and the other" in note]
    assert len(about) == warns


def test_in_a_location_the_slash_counts_too() -> None:
    assert "ends in /" in notes_of("<Location /a/>\nProxyPass scgi://localhost\n</Location>")[0]


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("scgi://localhost:1/$1", "localhost:1", b"/$1"),
        ("scgi://localhost/$1/$2", "localhost:4000", b"/$1/$2"),
        ("scgi://localhost:1$1", "localhost:1", b"$1"),
        ("scgi://[::1]:1$1/x", "[::1]:1", b"$1/x"),
        ("unix:/run/a|scgi://localhost/$1", "unix:/run/a", b"/$1"),
        ("scgi://localhost:1", "localhost:1", b""),
    ],
)
def test_captures_in_the_path(url: str, address: str, path: bytes) -> None:
    """A capture directly after a complete address begins the path."""
    assert _target(f"ProxyPassMatch ^/a(/.*)?$ {url}") == (address, path)


@pytest.mark.parametrize(
    "url",
    [
        "scgi://$1",
        "scgi://localhost$1",
        "scgi://$1:4000/",
        "scgi://localhost:$1/",
        "scgi://a$1.example/",
        "scgi://[$1]:1/",
        "unix:/run/$1.sock|scgi://localhost/",
        "scgi:///run/$1",
        "balancer://$1/",
        "$1",
    ],
)
def test_captures_may_not_choose_the_backend(url: str) -> None:
    """CVE-2011-3368 and its kin: a client would say where its request goes."""
    (error,) = errors_of(f"ProxyPassMatch (.*) {url}")
    assert "$1 may not be part of the backend's address" in error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("^/(.*)$ scgi://localhost/$9", "$9 will be empty: the expression has one group"),
        ("^/x scgi://localhost/$1", "$1 will be empty: the expression has no groups"),
        ("^/(a)(b) scgi://localhost/$3/$2/$4", "$3, $4 will be empty: the expression has 2 groups"),
        ("^/(?:x) scgi://localhost:1$0$1", "$1 will be empty: the expression has no groups"),
        ("^/(.*)$ scgi://localhost/$0$1", None),
        ("^/(.*)$ scgi://localhost/$a", None),
        (r"^/x scgi://localhost/\\$1", None),
    ],
)
def test_captures_of_groups_that_are_not_there(line: str, told: str | None) -> None:
    """They stay empty, as in Apache, with a warning."""
    notes = notes_of(f"ProxyPassMatch {line}")
    assert notes == ([] if told is None else [f"f:1: ProxyPassMatch: {told}"])


def test_captures_of_a_sections_expression() -> None:
    section = "<LocationMatch ^/(.*)>\n{} scgi://localhost/$2\n</LocationMatch>"
    for directive in ("ProxyPass", "ProxyPassMatch", "SetHandler"):
        text = section.format(directive).replace("SetHandler ", "SetHandler proxy:")
        assert notes_of(text) == [
            f"f:2: {directive}: $2 will be empty: the expression has one group"
        ]
    assert notes_of(section.format("ProxyPass").replace("$2", "$1")) == []


def test_in_a_location() -> None:
    """The path is the section's; an expression is used like that of a ProxyPassMatch."""
    config = load("<Location /a>\nProxyPass scgi://localhost:1\n</Location>")
    mount = settings_of(config).proxy
    assert mount is not None
    assert mount.pattern == b"/a"
    assert mount.source == "f:2"
    assert config.main.mounts == ()
    text = "<LocationMatch ^/a/(.*)>\nProxyPass scgi://localhost:1/$1\n</LocationMatch>"
    mount = settings_of(load(text)).proxy
    assert mount is not None
    mapped = mount.match(b"/a/b")
    assert mapped is not None
    assert mapped.backend_path == b"/b"


def test_in_a_location_with_wildcards() -> None:
    mount = settings_of(load("<Location /a*/b>\nProxyPass scgi://localhost:1\n</Location>")).proxy
    assert mount is not None
    mapped = mount.match(b"/axy/b")
    assert mapped is not None
    assert mapped.backend_path == b"/axy/b"
    assert mount.match(b"/a/x/b") is None


def test_the_inner_location_decides() -> None:
    text = """
        <Location /a>
        ProxyPass scgi://localhost:1
        </Location>
        <Location /a/b>
        ProxyPass !
        </Location>
        """
    mount = settings_of(load(text)).proxy
    assert mount is not None
    assert mount.target is None


def test_set_handler() -> None:
    """A proxy: URL is a mount at the section that always tells PATH_INFO; a name is a name."""
    config = load("<Location /sh>\nSetHandler proxy:unix:/run/a|scgi://localhost\n</Location>")
    mount = settings_of(config).handler
    assert isinstance(mount, Mount)
    assert mount.pattern == b"/sh"
    assert mount.target is not None
    assert mount.target.address == UnixAddress("/run/a")
    assert mount.settings.path_info is True
    mapped = mount.match(b"/sh/a b")
    assert mapped is not None
    assert (mapped.script_name, mapped.backend_path) == (b"/sh", b"/a b")


def test_set_handler_none_takes_it_back() -> None:
    text = """
        SetHandler "proxy:scgi://localhost:4000"
        <Location /a>
        SetHandler None
        </Location>
        """
    assert settings_of(load(text)).handler is None


@pytest.mark.parametrize("opener", ["Directory /srv", "Proxy *"])
def test_set_handler_where_it_has_no_meaning(opener: str) -> None:
    name = opener.split()[0]
    (error,) = errors_of(f"<{opener}>\nSetHandler proxy:scgi://localhost\n</{name}>")
    assert error == ("f:2: SetHandler: proxy:URL has no meaning here; expected it in a <Location>")


def test_backends_that_others_can_reach_are_noted_once() -> None:
    notes = notes_of(
        """
        ProxyPass /a scgi://10.0.0.1:1
        ProxyPass /b scgi://10.0.0.1:1/b
        ProxyPass /c scgi://127.9.9.9:1
        ProxyPass /d scgi://localhost:1
        ProxyPass /f scgi://[::1]:1
        ProxyPass /i scgi://[::ffff:127.0.0.1]:1
        ProxyPass /g unix:/nowhere|scgi://app.example
        SCGIMount /h app.example:1
        """
    )
    assert [note.split(": ")[0] for note in notes] == ["f:2", "f:9"]
    assert "ProxyPass: 10.0.0.1 is not a loopback address" in notes[0]


def test_a_service_has_no_port_of_its_own() -> None:
    """What is told of it names none."""
    (note,) = notes_of(
        """
        BalancerMember balancer://b scgi://_app._tcp.example discover=srv
        ProxyPass /b balancer://b
        """
    )
    assert "BalancerMember: _app._tcp.example is not a loopback address" in note


def test_a_path_that_matches_nothing() -> None:
    assert "matches no request" in notes_of("ProxyPass a scgi://localhost")[0]


@pytest.mark.parametrize("keyword", ["interpolate", "NoCanon", "noquery"])
def test_keywords_that_do_nothing(keyword: str) -> None:
    """Told once, however many mounts have it."""
    line = f"ProxyPass /a scgi://localhost {keyword}\n"
    (note,) = notes_of(line * 2)
    assert note.startswith(f"f:1: ProxyPass: {keyword} does nothing: ")


def test_interpolate_of_reversing_does_nothing() -> None:
    assert "interpolate" in notes_of("ProxyPassReverse /a scgi://localhost interpolate")[0]


def test_reverse_in_a_section_with_an_expression() -> None:
    text = "<LocationMatch a>\nProxyPassReverse http://a/\n</LocationMatch>"
    assert "does nothing" in notes_of(text)[0]
    errors = errors_of("<Location /a>\nProxyPassReverse /a http://b/\n</Location>")
    assert "the path is the section's" in errors[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BalancerMember balancer://b", "expected balancer://NAME and a URL"),
        ("BalancerMember scgi://a scgi://b", "expected balancer://NAME first, got 'scgi://a'"),
        ("BalancerMember balancer://b balancer://c", "a balancer cannot be a member"),
        ("<Proxy *>\nBalancerMember scgi://localhost\n</Proxy>", "in a <Proxy balancer://NAME>"),
        ("<Proxy scgi://a>\nBalancerMember scgi://b\n</Proxy>", "in a <Proxy balancer://NAME>"),
        ("<Proxy *>\nProxySet timeout=5\n</Proxy>", "names no single backend"),
        ("ProxySet timeout=5", "expected URL key=value"),
        ("ProxySet scgi://localhost", "expected URL key=value"),
        ("<Proxy *>\nProxyPass scgi://localhost\n</Proxy>", "not allowed in <Proxy>"),
        ("ProxyErrorOverride Off 404", "no status may follow Off"),
    ],
)
def test_wrong_backends(text: str, message: str) -> None:
    assert message in errors_of(text)[0]


def test_a_member_twice() -> None:
    text = """
        ProxyPass /b balancer://b
        BalancerMember balancer://b scgi://localhost:4000 timeout=5
        BalancerMember balancer://B scgi://LOCALHOST timeout=6
        """
    config = load(text)
    (member,) = config.balancers["b"].members
    assert member.settings.timeout == 5
    assert "is a member already, by f:3" in config.notes[0].message


def test_members_with_sockets_of_their_own() -> None:
    """Two sockets with the same name after the bar are two backends."""
    text = """
        ProxyPass /b balancer://b
        <Proxy balancer://b>
        BalancerMember unix:/run/1|scgi://localhost
        BalancerMember unix:/run/2|scgi://localhost
        </Proxy>
        """
    assert len(load(text).balancers["b"].members) == 2


def test_what_sections_bring_is_found_in_their_values() -> None:
    """A ProxyPass under `proxy`; under `handler` a plugin's name, or the mount of a URL."""
    config = load(
        """
        SetHandler proxy:scgi://localhost:1
        <Location /a>
            ProxyPass !
            SetHandler scgi-demo
        </Location>
        """
    )
    handler = config.main.base["handler"]
    assert isinstance(handler, Mount)
    assert handler.source == "f:2"
    values = config.main.sections[0].values
    assert values["handler"] == "scgi-demo"
    assert values["proxy"].target is None


def test_reversing_a_balancer() -> None:
    """A rule for each member; the virtual host's own members before the main server's."""
    config = load(
        """
        BalancerMember balancer://c scgi://h:1/base/
        BalancerMember balancer://c unix:/run/a|scgi://name
        ProxyPass /x/ balancer://c/
        ProxyPassReverse /x/ balancer://C/sub/
        <VirtualHost *>
        BalancerMember balancer://c scgi://h:2
        ProxyPass /y/ balancer://c/
        ProxyPassReverse /y balancer://c
        </VirtualHost>
        """
    )
    rules = [(rule.local, rule.remote) for rule in settings_of(config).reverse]
    assert rules == [
        (b"/x/", b"scgi://h:1/base/sub/"),
        (b"/x/", b"scgi://name/sub/"),
        (b"/y", b"scgi://h:2"),
    ]


def test_reversing_a_balancer_that_is_not_there() -> None:
    (note,) = notes_of("ProxyPassReverse /x balancer://nothing/")
    assert note == "f:1: ProxyPassReverse: balancer://nothing has no BalancerMember"
