"""What a configuration becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource

from scgiproxy import __version__
from scgiproxy.config.load import load_text
from scgiproxy.errors import ConfigError
from scgiproxy.rules.settings import Settings
from scgiproxy.service.build import GatewayParts, server_software


def parts(text: str) -> GatewayParts:
    config = load_text("Listen 127.0.0.1:81\n" + text, file_name="f", environment={})
    return GatewayParts(config, MemoryReactorClock())


@pytest.mark.parametrize(
    ("tokens", "field"),
    [
        ("Prod", b"scgiproxy"),
        ("ProductOnly", b"scgiproxy"),
        ("Full", b"scgiproxy/" + __version__.encode()),
        ("Minimal", b"scgiproxy/" + __version__.encode()),
    ],
)
def test_server_tokens(tokens: str, field: bytes) -> None:
    assert server_software(tokens) == field
    site = parts(f"ServerTokens {tokens}").make_site(secure=False)
    assert site.server_line == b"Server: %b\r\n" % field


def test_a_site_for_each_listener() -> None:
    """They share the virtual hosts, and differ in what they say of the connection."""
    made = parts("")
    plain, secure = made.make_site(False), made.make_site(True)
    assert (plain.secure, secure.secure) == (False, True)
    assert plain.hosts is secure.hosts is made.hosts


class TestPools:
    def test_a_mount_of_the_main_server_is_one_of_every_host(self) -> None:
        """With the same pool, or ``max`` would count for each host anew."""
        made = parts(
            "ProxyPass /a/ scgi://127.0.0.1:4000/ max=3\n"
            + "<VirtualHost *>\nProxyPass /b/ scgi://127.0.0.1:4001/\n</VirtualHost>\n" * 2
        )
        assert sorted(pool.name for pool in made.pools) == [
            "scgi://127.0.0.1:4000/",
            *["scgi://127.0.0.1:4001/"] * 2,
        ]

    def test_but_not_with_another_timeout(self) -> None:
        made = parts(
            "ProxyPass /a/ scgi://127.0.0.1:4000/\nProxyTimeout 5\n"
            "<VirtualHost *>\nProxyTimeout 9\n</VirtualHost>\n"
        )
        assert len(made.pools) == 2

    def test_a_balancer_is_one(self) -> None:
        made = parts(
            "<Proxy balancer://b>\nBalancerMember scgi://127.0.0.1:4000\n"
            "BalancerMember scgi://127.0.0.1:4001 loadfactor=2\n</Proxy>\n"
            "ProxyPass /a/ balancer://b/\nProxyPass /b/ balancer://b/\n"
        )
        (pool,) = made.pools
        assert [backend.factor for backend in pool.backends] == [100, 200]
        assert all(backend.member for backend in pool.backends)


def test_an_access_log_is_opened_once(tmp_path: Any) -> None:
    log = f"CustomLog {tmp_path}/a common\n"
    made = parts(log + f"<VirtualHost *>\n{log}</VirtualHost>\n<VirtualHost *>\n</VirtualHost>\n")
    assert len(list(made.access_logs)) == 1


class Plugin:
    """A plugin that remembers what it was asked for."""

    def __init__(self, name: str, refusal: str = "") -> None:
        self.name = name
        self.refusal = refusal
        self.asked: list[Settings] = []

    def resource(self, settings: Settings) -> Resource:
        self.asked.append(settings)
        if self.refusal:
            raise ValueError(self.refusal)
        return Resource()


Install = Callable[..., list[Plugin]]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Let these be the plugins that are installed."""

    def put(*plugins: Plugin) -> list[Plugin]:
        monkeypatch.setattr(
            "scgiproxy.service.build.getPlugins", lambda interface, package: iter(plugins)
        )
        return list(plugins)

    return put


HANDLER = "<Location /x>\nSetHandler greeting\n</Location>\n"


class TestPlugins:
    def test_nobody_looks_for_them_without_need(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It imports every plugin file there is."""
        monkeypatch.setattr("scgiproxy.service.build.getPlugins", None)
        parts("<Location /x>\nSetEnv A b\n</Location>\n")

    def test_a_plugin_is_asked_once_for_each_server(self, install: Install) -> None:
        (plugin,) = install(Plugin("greeting"))
        parts(
            "LimitRequestBody 5\n" + HANDLER * 2 + "<VirtualHost *>\nLimitRequestBody 7\n"
            "</VirtualHost>\n"
        )
        assert sorted(settings.limit_request_body for settings in plugin.asked) == [5, 7]

    def test_one_that_is_not_installed(self, install: Install) -> None:
        """Is told once, though a virtual host has the section as well, with the nearest name."""
        install(Plugin("greetings"), Plugin("other"))
        with pytest.raises(ConfigError) as raised:
            parts(HANDLER + "<VirtualHost *>\n</VirtualHost>\n")
        names = "balancer-manager, greetings, metrics, other, server-status"
        known = f"no such Resource plugin ({names}); did you mean greetings?"
        assert str(raised.value) == f"f:3: SetHandler greeting: {known}"

    def test_none_is_installed(self, install: Install) -> None:
        install()
        with pytest.raises(ConfigError, match=r"\(balancer-manager, metrics, server-status\)"):
            parts(HANDLER)

    def test_settings_that_do_not_suit_it(self, install: Install) -> None:
        install(Plugin("greeting", "it wants a DocumentRoot"))
        with pytest.raises(ConfigError, match="f:3: SetHandler greeting: it wants a DocumentRoot"):
            parts(HANDLER)
