"""Whole configurations: what runs, and what is told when one cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from scgiproxy.config.load import load_file, load_options, load_text
from scgiproxy.config.model import Config, Listener, Position
from scgiproxy.errors import ConfigError, Problem
from tests.config.generated import TEXTS
from tests.config.loading import errors_of, load, notes_of, problems_of, write


def test_a_file_that_cannot_be_read_is_all_there_is_to_tell(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_file(tmp_path / "gone.conf")
    (problem,) = caught.value.problems
    assert problem.message == f"cannot read {tmp_path}/gone.conf: No such file or directory"
    assert str(problem) == f"{tmp_path}/gone.conf: {problem.message}"


def test_all_errors_at_once() -> None:
    """In the order of their lines; none hides the next ones."""
    text = """
        ProxyPas /a scgi://localhost
        ProxyPass /a scgi://localhost timeoutt=3 max=none
        <Location /a>
            Timeout 5
            ProxyPass /b scgi://localhost
            SetEnv
        </Location>
        <Locations /a>
        </Locations>
        Timeout \\
            5 \\
            6
        RewriteRule . -
        <VirtualHost *:80>
            Listen 81
            <Location /x>
        </VirtualHost>
        ProxyPass / balancer://nobody/
        """
    assert errors_of(text) == [
        "f:2: unknown directive ProxyPas; did you mean ProxyPass?",
        "f:3: ProxyPass: unknown worker parameter 'timeoutt'; did you mean timeout?",
        "f:3: ProxyPass: max: expected a number of 1 or more, got 'none'",
        "f:5: Timeout: not allowed in <Location>; expected in server config, <VirtualHost>",
        (
            "f:6: ProxyPass: the path is the section's; expected URL or !, and then key=value,"
            " nocanon or noquery, got '/b'"
        ),
        "f:7: SetEnv: takes 1 or 2 arguments (NAME [VALUE]); 0 given",
        "f:9: unknown directive <Locations>; did you mean Location?",
        "f:13: Timeout: takes one argument (SECONDS[ms|s|min|h]); 2 given",
        "f:14: RewriteRule: a directive of mod_rewrite that is not supported here",
        "f:16: Listen: not allowed in <VirtualHost>; expected in server config",
        "f:17: <Location> was not closed; expected </Location> before </VirtualHost> at line 18",
        (
            "f:19: ProxyPass: balancer://nobody has no BalancerMember; expected at least one, or"
            " growth=NUMBER"
        ),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Rubbish", "unknown directive Rubbish"),
        ("<Rubbish>\n</Rubbish>", "unknown directive <Rubbish>"),
        ("Location /a", "Location: it is a section, <Location ...>"),
        ("<Timeout 5>\n</Timeout>", "Timeout: it is a directive and no section"),
        (
            "RewriteEngine On",
            "RewriteEngine: a directive of mod_rewrite that is not supported here",
        ),
        (
            "SSLCertificateFile x",
            (
                "SSLCertificateFile: a directive of mod_ssl that is not supported here; TLS is spoken"
                ' by an endpoint string: Listen "ssl:443:privateKey=KEY:certKey=CERTIFICATE"'
            ),
        ),
        (
            "<LimitExcept GET>\n</LimitExcept>",
            (
                "<LimitExcept>: a directive of core that is not supported here; rules for some methods"
                " only are not supported"
            ),
        ),
        ("Header", "Header: takes 2 to 5 arguments"),
        ("ServerName", "ServerName: takes one argument ([SCHEME://]NAME[:PORT]); 0 given"),
        ("<VirtualHost>\n</VirtualHost>", "<VirtualHost>: takes at least one argument"),
        ("<RequireAll>\n</RequireAll>", "<RequireAll>: not allowed in server config; expected in"),
    ],
)
def test_what_is_not_in_the_table(line: str, message: str) -> None:
    """Unknown, misspelled, or of a module whose work is not done here: never silence."""
    (error,) = errors_of(line)
    assert error.startswith(f"f:1: {message}")


INSIDE = """
    ServerNam x
    <Location /in>
        Requir all
    </Location>
"""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Listen 81\n<VirtualHost *:81>{}# \\", [2, 3, 5]),
        ("<VirtualHost *:8080>{0}<VirtualHost *:8080>{0}</VirtualHost>", [1, 2, 4, 7, 9]),
        ("Listen 81\n<VirtualHost *:81>{}</VirtualHosts>\n# \\", [2, 3, 5, 7]),
        ("<VirtualHost>{}</VirtualHost>", [1, 2, 4]),
        ("<VirtualHots *>{}</VirtualHots>", [1, 2, 4]),
        ("<Location /x>\n<VirtualHost *>{}</VirtualHost>\n</Location>", [2, 3, 5]),
        ("<Unheard of>{}</Unheard>", [1]),
    ],
)
def test_what_is_in_a_section_that_cannot_be_used(text: str, lines: list[int]) -> None:
    """Without an end, misspelled, misplaced or without an address: its contents are checked too."""
    errors = errors_of(text.format(INSIDE))
    assert [int(error.split(":")[1]) for error in errors] == lines


@pytest.mark.parametrize(
    "text",
    [
        "<Locaton /x>\n{}\n</Locaton>",
        "<LocationMatch (>\n{}\n</LocationMatch>",
        "<Location>\n{}\n</Location>",
        "<Location /a /b>\n{}\n</Location>",
        "<Limit GET>\n{}\n</Limit>",
        "<Location /a>\n<LimitExcept GET>\n{}\n</LimitExcept>\n</Location>",
        "<Directory a>\n{}\n</Directory>",
        "<Proxy fcgi://localhost>\n{}\n</Proxy>",
        "<Location /a>\n<RequireAl>\nRequire all granted\n</RequireAl>\n{}\n</Location>",
    ],
)
def test_what_only_follows_is_not_told(text: str) -> None:
    """Notes wait until the section is mended."""
    inside = "SetEnv A b\nProxyErrorOverride Off\nSetEnv no-proxy 1"
    (error,) = errors_of(text.format(inside))
    assert "SetEnv" not in error


def test_a_proxy_section_that_cannot_be_used() -> None:
    """Members of nobody knows which balancer are not missing elsewhere."""
    errors = errors_of(
        """
        <Proxy fcgi://b>
            BalancerMember scgi://localhost max=none
            ProxySet lbmethod=byrequests
        </Proxy>
        ProxyPass /a balancer://b
        """
    )
    assert [error.partition(": ")[0] for error in errors] == ["f:2", "f:3"]


def test_what_a_condition_without_an_end_has_skipped() -> None:
    """Such as the Listen line: it is not told as missing."""
    with pytest.raises(ConfigError) as caught:
        load_text("<IfModule mod_ssl.c>\nListen 443\n</IfModul>\nListen 80", file_name="f")
    assert [problem.line for problem in caught.value.problems if problem.is_error] == [1, 3]


def test_errors_and_warnings_come_together() -> None:
    problems = problems_of("ProxyPass /a/ scgi://localhost\nTimeout x")
    assert [(each.line, each.is_error) for each in problems] == [(1, False), (2, True)]


def test_a_check_of_what_is_left() -> None:
    """It gets what could be made; what it finds is told with the rest, in the order of lines."""
    seen: list[Config] = []

    def check(config: Config) -> None:
        seen.append(config)
        raise ConfigError([Problem("f", 2, "of the check"), Problem("f", 9, "of the check")])

    text = """
        SetHandler a
        Timeout x
        ProxyPass /b balancer://b
        <Location /l>
            SetHandler b
            Requir x
        </Location>
        SetHandler a
        """
    problems = problems_of(text, check=check)
    assert [problem.line for problem in problems] == [2, 3, 4, 7, 9]
    (config,) = seen
    assert config.main.handlers == {
        "a": (Position("f", 2), Position("f", 9)),
        "b": (Position("f", 6),),
    }
    assert config.main.server.timeout == 60
    (mount,) = config.main.mounts
    assert (mount.pattern, mount.target) == (b"/b", None)


def test_a_check_of_a_good_configuration() -> None:
    """It sees the very model that is returned, with its notes; what it finds is an error."""
    seen: list[Config] = []
    config = load("Options All", check=seen.append)
    assert seen == [config]
    assert len(config.notes) == 1

    def check(_: Config) -> None:
        raise ConfigError([Problem("f", 1, "of the check")])

    told = [(each.is_error, each.line) for each in problems_of("Options All", check=check)]
    assert told == [(False, 1), (True, 1)]


def test_no_listen() -> None:
    """An error in a file."""
    with pytest.raises(ConfigError, match=r"^f:1: no Listen: expected at least one"):
        load_text("ProxyPass /a scgi://localhost", file_name="f")


def test_what_follows_from_an_error_is_not_told() -> None:
    """A line that could not be used is not missing as well."""
    with pytest.raises(ConfigError) as caught:
        load_text("Listen x\nProxyPass /a balancer://b\nBalancerMember balancer://b scgi://:1")
    assert [problem.line for problem in caught.value.problems] == [1, 3]
    with pytest.raises(ConfigError) as caught:
        load_text("Timeout x", file_name="f")
    assert len(caught.value.problems) == 2


def test_the_same_listen_twice() -> None:
    assert errors_of("Listen 80\nListen *:80") == [
        "f:2: Listen: the same address is listened to at f:1 already"
    ]


def test_listen_forms() -> None:
    """An endpoint string in quotes is one word, and left to Twisted."""
    config = load('Listen "unix:/run/gw.sock:mode=660"\nListen 81 http')
    assert config.listeners[:2] == (
        Listener(Position("f", 1), endpoint="unix:/run/gw.sock:mode=660"),
        Listener(Position("f", 2), "", 81),
    )
    assert "TLS is spoken by an endpoint string" in errors_of("Listen 443 https")[0]
    assert "expected http" in errors_of("Listen 443 ftp")[0]


def test_a_missing_closing_quote() -> None:
    """Accepted, as in Apache, with a warning."""
    assert notes_of('ServerName "a') == ["f:1: ServerName: the closing quote is missing"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing.conf: No such file or directory"):
        load_file(tmp_path / "nothing.conf")


@pytest.mark.parametrize(
    "line",
    [
        "ErrorLog {path}",
        "ErrorLog {path}/x",
        "CustomLog {path} combined",
        "HeartbeatStorage {path}",
        "DocumentRoot {path}",
        "SpoolDirectory {path}",
        "SSLProxyCACertificatePath {folder}",
    ],
)
def test_a_file_that_cannot_be_looked_at(tmp_path: Path, line: str) -> None:
    """A name that is too long stands for a folder that may not be entered, which is none for root."""
    path = tmp_path / ("x" * 300)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(path)
    (error,) = errors_of(line.format(path=path, folder=folder))
    assert error.startswith(f"f:1: {line.split()[0]}: ")
    assert "link" in error or str(folder) in error or str(path) in error


def test_files_are_shown_in_the_order_they_are_read(tmp_path: Path) -> None:
    """With paths relative to the folder of the first file."""
    write(tmp_path, "a.conf", "Timeout x\n")
    main = write(tmp_path, "z.conf", "Timeout y\nInclude a.conf\nTimeout z\nListen 80\n")
    with pytest.raises(ConfigError) as caught:
        load_file(main)
    assert [str(each) for each in caught.value.problems] == [
        f"{main}:1: Timeout: expected a time such as 60, 500ms, 5s, 2min or 1h, got 'y'",
        f"{main}:3: Timeout: expected a time such as 60, 500ms, 5s, 2min or 1h, got 'z'",
        f"{tmp_path}/a.conf:1: Timeout: expected a time such as 60, 500ms, 5s, 2min or 1h, got 'x'",
    ]


def test_defines_and_environment() -> None:
    config = load(
        "ServerName ${NAME}\nServerAdmin ${WHO}", defines={"NAME": "a"}, environment={"WHO": "b"}
    )
    assert config.main.server.name == b"a"
    assert config.main.server.admin == b"b"


def test_options() -> None:
    """The command line goes through the same table; positions name the option."""
    config = load_options(["/a/ scgi://localhost:1/ timeout=500ms", "/b !"], ["8081", "[::1]:1"])
    first, second = config.main.mounts
    assert first.settings.timeout == 0.5
    assert first.source == "--proxypass:1"
    assert second.target is None
    assert config.listeners == (
        Listener(Position("--listen", 1), "", 8081),
        Listener(Position("--listen", 2), "::1", 1),
    )


def test_options_default() -> None:
    config = load_options(["/a scgi://localhost"])
    assert config.listeners == (Listener(Position("--listen", 1), "127.0.0.1", 8080),)


def test_options_endpoint_with_a_blank() -> None:
    config = load_options(["/a scgi://localhost"], ["unix:/run/a b"])
    assert config.listeners[0].endpoint == "unix:/run/a b"


def test_wrong_options() -> None:
    with pytest.raises(ConfigError) as caught:
        load_options(["/a", "/b scgi://localhost tiemout=5"], ["x"])
    assert [str(each) for each in caught.value.problems] == [
        (
            "--proxypass:1: ProxyPass: expected a path, and then URL or !, and then key=value,"
            " nocanon or noquery"
        ),
        "--proxypass:2: ProxyPass: unknown worker parameter 'tiemout'; did you mean timeout?",
        (
            "--listen:1: Listen: no port in 'x'; expected PORT, ADDRESS:PORT, [IPv6-ADDRESS]:PORT, or"
            ' an endpoint string in quotes such as "unix:/run/gateway.sock:mode=660"'
        ),
    ]
    with pytest.raises(ConfigError, match="expected at least one: '/path/ scgi://host:port/'"):
        load_options([])


@settings(max_examples=300)
@given(TEXTS)
def test_any_directives_load_or_are_told(text: str) -> None:
    """Nothing but ConfigError, whatever is written where."""
    try:
        load(text)
    except ConfigError as error:
        lines = text.count("\n") + 2  # A backslash at the end takes the Listen line too.
        for problem in error.problems:
            assert 1 <= problem.line <= lines
            assert problem.message
