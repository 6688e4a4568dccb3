"""Virtual hosts merged, ProxySet applied, balancers resolved."""

from __future__ import annotations

import pytest

from scgiproxy.config.model import HostAddress, SectionKind
from scgiproxy.rules.environment import SetVariable
from tests.config.loading import errors_of, load, notes_of, settings_of


def test_order_of_main_server_and_virtual_host() -> None:
    """The main server's mounts, sections and variables come first; its aliases last."""
    config = load(
        """
        <VirtualHost 127.0.0.1:8080 *:*>
            ProxyPass /v scgi://localhost
            SetEnvIf Host . V
            SetEnv A v
            Alias /v /
            <Location /v>
                SetEnv L v
            </Location>
        </VirtualHost>
        ProxyPass /m scgi://localhost
        SetEnvIf Host . M
        SetEnv A m
        Alias /m /
        <Location /m>
            SetEnv L m
        </Location>
        """
    )
    (host,) = config.virtual_hosts
    assert host.addresses == (HostAddress("127.0.0.1", 8080), HostAddress(None, None))
    assert [mount.pattern for mount in host.mounts] == [b"/m", b"/v"]
    assert [section.pattern for section in host.sections] == [b"/m", b"/v"]
    assert [rule.assignments[0].name for rule in host.server.environment] == [b"M", b"V"]  # type: ignore[attr-defined]
    assert host.base["set_env"] == (SetVariable(b"A", b"m"), SetVariable(b"A", b"v"))
    assert [alias.prefix for alias in host.aliases] == [b"/v", b"/m"]
    assert [mount.pattern for mount in config.main.mounts] == [b"/m"]
    assert [alias.prefix for alias in config.main.aliases] == [b"/m"]


def test_where_handlers_are_named() -> None:
    """A virtual host has the main server's as well; proxy:URL is a mount, and None is none."""
    config = load(
        """
        SetHandler a
        <VirtualHost *>
            SetHandler None
            <Location /v>
                SetHandler a
            </Location>
        </VirtualHost>
        <Location /m>
            SetHandler proxy:scgi://localhost
        </Location>
        """
    )
    (host,) = config.virtual_hosts
    assert {name: [at.line for at in where] for name, where in host.handlers.items()} == {
        "a": [2, 6]
    }
    assert [at.line for at in config.main.handlers["a"]] == [2]


def test_what_a_virtual_host_inherits() -> None:
    """Its server's name, not the aliases; a name of its own leaves the port behind."""
    config = load(
        """
        ServerName https://main:8443
        Timeout 5
        <VirtualHost *>
        </VirtualHost>
        <VirtualHost *>
            ServerName own
            ServerAlias other
        </VirtualHost>
        """
    )
    first, second = (host.server for host in config.virtual_hosts)
    assert (first.name, first.port, first.scheme, first.aliases) == (b"main", 8443, b"https", ())
    assert (second.name, second.port, second.scheme) == (b"own", None, b"http")
    assert second.aliases == (b"other",)
    assert first.timeout == second.timeout == 5


def test_a_name_as_the_address_of_a_virtual_host() -> None:
    assert (
        "names are not looked up, www.example is taken as *"
        in (notes_of("<VirtualHost www.example:8080>\n</VirtualHost>")[0])
    )


def test_a_virtual_host_that_nobody_can_reach() -> None:
    """Told, unless an endpoint string hides the port."""
    text = "<VirtualHost *:81>\n</VirtualHost>"
    assert notes_of(text) == ["f:1: <VirtualHost>: there is no Listen for port 81"]
    assert notes_of(text + '\nListen "tcp:81"') == []


@pytest.mark.parametrize(
    ("line", "applies"),
    [
        ("ProxySet scgi://localhost timeout=5", True),
        ("ProxySet scgi://LOCALHOST:4000/app timeout=5", True),
        ("ProxySet scgi://localhost/app/ timeout=5", True),
        ("<Proxy scgi://localhost/app>\nProxySet timeout=5\n</Proxy>", True),
        ("<Proxy scgi://localhost/app timeout=5>\n</Proxy>", True),
        ("ProxySet scgi://localhost:4001 timeout=5", False),
        ("ProxySet scgi://localhost/ap timeout=5", False),
        ("ProxySet scgi://localhost/app/x timeout=5", False),
        ("ProxySet unix:/a|scgi://localhost timeout=5", False),
    ],
)
def test_proxy_set(line: str, applies: bool) -> None:
    """It is for a backend's URL and what is below it; one for nothing is told."""
    config = load(f"ProxyPass /app scgi://localhost/app\n{line}")
    assert config.main.mounts[0].settings.timeout == (5 if applies else None)
    told = [note.message for note in config.notes]
    assert len(told) == (not applies)
    assert all("no ProxyPass and no BalancerMember goes to" in message for message in told)


def test_proxy_set_is_for_members_and_sections_too() -> None:
    config = load(
        """
        ProxySet unix:/a|scgi://x max=2
        ProxyPass /b balancer://b
        BalancerMember balancer://b unix:/a|scgi://y
        <Location /l>
            ProxyPass unix:/a|scgi://z
        </Location>
        """
    )
    assert config.balancers["b"].members[0].settings.max_connections == 2
    mount = settings_of(config).proxy
    assert mount is not None
    assert mount.settings.max_connections == 2
    assert config.notes == ()


def test_the_later_line_counts() -> None:
    """Between the parameters of a mount and those of a ProxySet, key by key."""
    mount = "ProxyPass /a scgi://localhost timeout=1 max=1"
    other = "ProxySet scgi://localhost timeout=2 acquire=3s"
    settings = load(f"{mount}\n{other}").main.mounts[0].settings
    assert (settings.timeout, settings.max_connections, settings.acquire) == (2, 1, 3)
    settings = load(f"{other}\n{mount}").main.mounts[0].settings
    assert (settings.timeout, settings.max_connections, settings.acquire) == (1, 1, 3)


def test_parameters_belong_to_their_own_rule() -> None:
    """A mount below another one's URL keeps its own; Apache would drop them."""
    config = load("ProxyPass /a scgi://localhost\nProxyPass /b scgi://localhost/x timeout=1")
    assert [mount.settings.timeout for mount in config.main.mounts] == [None, 1]


def test_a_virtual_hosts_proxy_set_is_its_own() -> None:
    config = load(
        """
        <VirtualHost *>
            ProxyPass /a scgi://localhost
            ProxySet scgi://localhost timeout=5
        </VirtualHost>
        <VirtualHost *>
            ProxyPass /a scgi://localhost
        </VirtualHost>
        ProxySet scgi://localhost max=2
        """
    )
    found = [host.mounts[0].settings for host in config.virtual_hosts]
    assert [(each.timeout, each.max_connections) for each in found] == [(5, 2), (None, 2)]


BALANCER = """
    <Proxy balancer://b>
        BalancerMember scgi://localhost:{}
    </Proxy>
"""


def _members(text: str) -> list[tuple[str, list[str]]]:
    """For each virtual host the key of its balancer, and its members."""
    config = load(text)
    result = []
    for host in config.virtual_hosts:
        target = host.mounts[-1].target
        assert target is not None
        balancer = config.balancers[target.balancer]
        assert balancer.name == "b"
        result.append((target.balancer, [member.url.label for member in balancer.members]))
    return result


def _host(text: str) -> str:
    return f"<VirtualHost *>\nProxyPass / balancer://b/\n{text}\n</VirtualHost>\n"


def test_balancers_of_virtual_hosts_with_one_name() -> None:
    """Each keeps its own members: the name belongs to the virtual host."""
    text = _host(BALANCER.format(1)) + _host(BALANCER.format(2))
    (first, members), (second, others) = _members(text)
    assert first == "b"
    assert second == "b@f:10"
    assert members == ["scgi://localhost:1"]
    assert others == ["scgi://localhost:2"]


def test_the_main_servers_balancer_is_inherited() -> None:
    assert _members(BALANCER.format(1) + _host("")) == [("b", ["scgi://localhost:1"])]


def test_own_members_replace_the_inherited_ones() -> None:
    text = BALANCER.format(1) + "ProxyPass /m balancer://b\n" + _host(BALANCER.format(2))
    assert _members(text) == [("b@f:7", ["scgi://localhost:2"])]


def test_own_parameters_are_added_to_the_inherited_ones() -> None:
    text = (
        BALANCER.format(1)
        + "ProxySet balancer://b maxattempts=1 timeout=2\n"
        + "ProxyPass /m balancer://b/\n"
        + _host("ProxySet balancer://b timeout=5")
    )
    config = load(text)
    assert {
        key: (each.settings.max_attempts, each.settings.wait)
        for key, each in config.balancers.items()
    } == {
        "b": (1, 2.0),
        "b@f:8": (1, 5.0),
    }


def test_names_without_regard_to_case() -> None:
    text = "ProxyPass /a balancer://B\nBalancerMember balancer://b scgi://localhost"
    assert list(load(text).balancers) == ["b"]


def test_a_balancer_without_members() -> None:
    """An error where it is used; in a section too."""
    assert errors_of("ProxyPass /a balancer://b") == [
        (
            "f:1: ProxyPass: balancer://b has no BalancerMember; expected at least one, or"
            " growth=NUMBER"
        )
    ]
    text = "<Location /a>\nProxyPass balancer://b\n</Location>"
    assert errors_of(text)[0].startswith("f:2: ")


def test_a_balancer_that_is_not_used() -> None:
    assert notes_of(BALANCER.format(1)) == ["f:2: no ProxyPass goes to balancer://b"]


def test_sections_keep_their_kind_and_place() -> None:
    config = load(
        """
        <Location /a>
        </Location>
        <LocationMatch a>
        </LocationMatch>
        <Proxy *>
        </Proxy>
        <Directory /a/>
        </Directory>
        <Location ~ b>
        </Location>
        <Directory /a/>
            <Files *.txt>
            </Files>
            <FilesMatch txt$>
            </FilesMatch>
        </Directory>
        <Files a>
        </Files>
        """
    )
    assert [(section.kind, section.position.line) for section in config.main.sections] == [
        (SectionKind.LOCATION, 2),
        (SectionKind.LOCATION_MATCH, 4),
        (SectionKind.PROXY, 6),
        (SectionKind.DIRECTORY, 8),
        (SectionKind.LOCATION, 10),
        (SectionKind.FILES, 13),
        (SectionKind.FILES, 15),
        (SectionKind.DIRECTORY, 12),
        (SectionKind.FILES, 18),
    ]
    within = [section.within for section in config.main.sections if section.within is not None]
    assert within == [b"/a", b"/a"]
    assert config.main.sections[3].pattern == b"/a"
