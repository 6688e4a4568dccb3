"""What a connection goes by before a virtual host is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scgiproxy.rules.settings import ServerSettings
from scgiproxy.web.limits import ConnectionLimits

ONE = ServerSettings(name=b"one.example", timeout=7.0, max_keep_alive_requests=5)


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        (replace(ONE, name=b"two.example", limit_request_line=100), False),
        (replace(ONE, keep_alive_timeout=1.0), True),
        (replace(ONE, timeout=8.0), True),
        (replace(ONE, max_keep_alive_requests=6), True),
    ],
)
def test_whether_hosts_differ(other: ServerSettings, differ: bool) -> None:
    """It is known once, and not looked for with each name that a client makes up."""
    assert not ConnectionLimits.of([ONE]).differ
    assert ConnectionLimits.of([ONE, ONE, other]).differ is differ
    assert ConnectionLimits.of([other, ONE]).without_keep_alive().differ is differ


def test_without_keep_alive_all_else_is_the_same() -> None:
    limits = ConnectionLimits.of([ONE])
    assert limits.keep_alive
    assert limits.without_keep_alive() == replace(limits, keep_alive=False)
