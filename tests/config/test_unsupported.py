"""What is said of the rest of Apache."""

from __future__ import annotations

import pytest

from scgiproxy.config import unsupported
from scgiproxy.config.directives import DIRECTIVES
from scgiproxy.config.unsupported import explain_unsupported
from tests.config.loading import errors_of


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("rewriteRULE", "mod_rewrite"),
        ("Redirect", "mod_alias"),
        ("SSLProtocol", "mod_ssl"),
        ("WSGIScriptAlias", "mod_wsgi"),
        ("ProxyHTMLEnable", "mod_proxy_html"),
        ("AuthLDAPURL", "mod_authnz_ldap"),
        ("CacheFile", "mod_file_cache"),
        ("CacheRoot", "mod_cache"),
        ("DAV", "mod_dav"),
    ],
)
def test_a_directive_names_its_module(name: str, module: str) -> None:
    (error,) = errors_of(f"{name} x")
    assert error.startswith(f"f:1: {name}: a directive of {module} that is not supported here")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("VirtualHostt", "VirtualHost"),
        ("SetEnvIff", "SetEnvIf"),
        ("ProxyPas", "ProxyPass"),
        ("Timeot", "Timeout"),
        ("ErrorDocumnt", "ErrorDocument"),
        ("LimitRequestFeilds", "LimitRequestFields"),
    ],
)
def test_a_misspelling_goes_before_a_module(name: str, near: str) -> None:
    assert errors_of(f"{name} x") == [f"f:1: unknown directive {name}; did you mean {near}?"]


def test_nothing_is_both_supported_and_not() -> None:
    assert not set(unsupported._MODULES) & set(DIRECTIVES)
    assert set(unsupported._HINT_OF) <= set(unsupported._MODULES)


def test_a_stranger() -> None:
    assert explain_unsupported("Rubbish", by_prefix=True) == ""
