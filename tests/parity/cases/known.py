"""Differences that show in cases of more than one subject."""

from __future__ import annotations

from tests.parity.case import Differs

KEPT_OPEN = Differs("close-after-error", {"close": True}, {"close": False})
CLOSED = Differs("close-after-error", {"close": False}, {"close": True})
PAGE_CHARSET = Differs(
    "error-page-charset",
    {"header:content-type": ("text/html; charset=iso-8859-1",)},
    {"header:content-type": ("text/html; charset=utf-8",)},
)
STRICT_TARGET = Differs(
    "strict-target",
    {"status": 200, "asked": 1},
    {"status": 400, "asked": 0, "close": True},
    only_these=False,
)


def hop_by_hop(**variables: str) -> Differs:
    """Variables of hop-by-hop request headers: Apache tells them, the gateway does not."""
    told = {f"told.0.HTTP_{name}": value for name, value in variables.items()}
    return Differs("hop-by-hop", told, dict.fromkeys(told))


def as_they_came(name: str, merged: str, *values: str) -> Differs:
    """Repeated response headers: Apache makes one of them."""
    return Differs("repeated-headers", {f"header:{name}": (merged,)}, {f"header:{name}": values})


def reason(apache: str, gateway: str) -> Differs:
    """Two names of one status."""
    return Differs("reason-phrases", {"reason": apache}, {"reason": gateway})
