"""Several places to one Settings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgiproxy.config.directives import SETTINGS_RULES
from scgiproxy.config.merge import merge, merge_values
from scgiproxy.config.table import Merge
from scgiproxy.rules.access import RequireAll, RequireLocal
from scgiproxy.rules.hostaccess import AccessOrder, HostAccess
from scgiproxy.rules.settings import BasicAuth, Settings
from tests.config.loading import load, settings_of


def test_nothing_said_is_the_default() -> None:
    assert merge([]) == merge([{}, {}]) == Settings()


@pytest.mark.parametrize(
    ("rule", "earlier", "later", "within", "across"),
    [
        (Merge.REPLACE, 1, 2, 2, 2),
        (Merge.REPLACE, 1, None, None, None),
        (Merge.APPEND, (1,), (2,), (1, 2), (1, 2)),
        (Merge.COLLECT, (1,), (2,), (1, 2), (2,)),
        (Merge.OWN, (1,), (2,), (1, 2), (2,)),
        (Merge.FIRST, (1,), (2,), (1, 2), (2, 1)),
        (Merge.BY_KEY, {1: 1, 2: 2}, {2: 3}, {1: 1, 2: 3}, {1: 1, 2: 3}),
    ],
)
def test_rules(rule: Merge, earlier: Any, later: Any, within: Any, across: Any) -> None:
    """Lines of one place, and two places."""
    assert rule.within(earlier, later) == within
    assert rule.across(earlier, later) == across
    assert rule.within(None, later) == later


_VALUES = st.dictionaries(
    st.sampled_from(["set_env", "require", "error_documents", "handler", "satisfy"]),
    st.integers(),
).map(
    lambda found: {
        name: (
            {number: number}
            if SETTINGS_RULES[name] is Merge.BY_KEY
            else number
            if SETTINGS_RULES[name] is Merge.REPLACE
            else (number,)
        )
        for name, number in found.items()
    }
)


@given(_VALUES, _VALUES, _VALUES)
def test_merging_is_associative(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]
) -> None:
    """What is merged beforehand (main server and virtual host) changes nothing."""
    left = merge_values([merge_values([first, second]), third])
    assert left == merge_values([first, merge_values([second, third])])
    assert left == merge_values([first, second, third])


def test_parts_of_auth_come_from_several_sections() -> None:
    auth = {"auth_type": "basic", "auth_user_file": "/f"}
    assert merge([auth, {"auth_name": b"r"}]).auth == BasicAuth(b"r", "/f")
    assert merge([auth]).auth is None
    assert merge([auth, {"auth_name": b"r"}, {"auth_type": None}]).auth is None


def test_hosts_and_requirements_are_kept_apart() -> None:
    """An inner Require replaces the outer one, and leaves Order, Allow and Deny alone."""
    hosts = {"hosts": (("order", AccessOrder.ALLOW_DENY), ("allow", "all"))}
    access = merge([{**hosts, "require": (1,)}, {"require": (RequireLocal(),)}]).access
    assert isinstance(access, RequireAll)
    first, second = access.children
    assert isinstance(first, HostAccess)
    assert first.order is AccessOrder.ALLOW_DENY
    assert first.allow.everyone
    assert second == RequireLocal()


def test_the_last_order_counts() -> None:
    config = load("<Location />\nOrder allow,deny\nAllow from all\nOrder deny,allow\n</Location>")
    access = settings_of(config).access
    assert isinstance(access, HostAccess)
    assert access.order is AccessOrder.DENY_ALLOW
