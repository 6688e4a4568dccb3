"""The tests of <IfModule> and kin."""

from __future__ import annotations

import pytest

from scgiproxy.config.conditions import if_define, if_module, if_version


@pytest.mark.parametrize(
    "name",
    [
        "core.c",
        "mod_proxy.c",
        "proxy_module",
        "mod_proxy_scgi.c",
        "proxy_scgi_module",
        "mod_proxy_balancer.c",
        "mod_lbmethod_byrequests.c",
        "mod_setenvif.c",
        "env_module",
        "headers_module",
        "alias_module",
        "mod_authz_core.c",
        "mod_authz_host.c",
        "mod_authz_user.c",
        "mod_auth_basic.c",
        "mod_authn_core.c",
        "mod_authn_file.c",
        "mod_access_compat.c",
        "mod_log_config.c",
    ],
)
def test_modules_whose_work_is_done(name: str) -> None:
    assert if_module([name])
    assert not if_module(["!" + name])


@pytest.mark.parametrize("name", ["mod_rewrite.c", "ssl_module", "mod_dir.c", "MOD_PROXY.C", "x"])
def test_modules_whose_work_is_not_done(name: str) -> None:
    """Names are case-sensitive."""
    assert not if_module([name])
    assert if_module(["!" + name])


def test_define() -> None:
    assert if_define(["A"], {"A"})
    assert not if_define(["!A"], {"A"})
    assert if_define(["!", "B"], {"A"})
    with pytest.raises(ValueError, match="expected a name"):
        if_define(["A", "B"], {"A"})


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["2.4.66"], True),
        (["2.4"], False),
        ([">=", "2.4"], True),
        ([">", "2.4"], True),
        (["<", "2.4"], False),
        (["<=", "2.4.66"], True),
        (["==", "2"], False),
        (["!<", "2.4"], True),
        (["~", r"^2\.4\."], True),
        (["/^2.2/"], False),
        (["!/^2.2/"], True),
    ],
)
def test_version(words: list[str], holds: bool) -> None:
    assert if_version(words) is holds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected an operator and a version"),
        ([">=", "two"], "expected a version such as 2.4"),
        (["=>", "2.4"], "expected one of = == > >= < <= ~"),
        (["~", "("], "does not compile"),
        (["1.2.3.4"], "expected a version"),
    ],
)
def test_wrong_version(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        if_version(words)
