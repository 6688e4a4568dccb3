"""What the sections of a request say together: by the table's merge rules, as `Settings`.

Besides the fields of `rules.settings.Settings`, the values of a section have these parts of one:

- `require` (requirements), `hosts` (the words of Order, Allow and Deny) and `satisfy` are parts of
  ``access``;
- `auth_type`, `auth_name` and `auth_user_file` are parts of ``auth``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scgiproxy.config.directives import SETTINGS_RULES
from scgiproxy.config.table import merge_fields
from scgiproxy.rules.access import RequireAll, RequireAny, Requirement
from scgiproxy.rules.hostaccess import AccessOrder, HostAccess, parse_host_list
from scgiproxy.rules.settings import BasicAuth, Settings

AUTH_PARTS = {"auth_type": "AuthType", "auth_name": "AuthName", "auth_user_file": "AuthUserFile"}


def merge(values: Sequence[Mapping[str, Any]]) -> Settings:
    """One `Settings` of what several places say, the outermost first."""
    return _settings(merge_values(values))


def merge_values(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`merge` without the last step."""
    merged: dict[str, Any] = {}
    for each in values:
        merged = merge_fields(SETTINGS_RULES, merged, each)
    return merged


def _settings(values: dict[str, Any]) -> Settings:
    fields = dict(values)
    access = _access(
        fields.pop("require", ()), fields.pop("hosts", ()), fields.pop("satisfy", "all")
    )
    auth_type, realm, user_file = (fields.pop(part, None) for part in AUTH_PARTS)
    auth = None
    if auth_type is not None and realm is not None and user_file is not None:
        auth = BasicAuth(realm, user_file)
    return Settings(access=access, auth=auth, **fields)


def _access(
    require: tuple[Requirement, ...], hosts: tuple[tuple[str, Any], ...], satisfy: str
) -> Requirement | None:
    """Both kinds of rules must grant, or one of them with ``Satisfy Any``."""
    rules: list[Requirement] = []
    if hosts:
        orders = [value for kind, value in hosts if kind == "order"]
        rules.append(
            HostAccess(
                orders[-1] if orders else AccessOrder.DENY_ALLOW,
                parse_host_list(value for kind, value in hosts if kind == "allow"),
                parse_host_list(value for kind, value in hosts if kind == "deny"),
            )
        )
    if require:
        rules.append(require[0] if len(require) == 1 else RequireAny(require))
    if len(rules) < 2:
        return rules[0] if rules else None
    return RequireAny(tuple(rules)) if satisfy == "any" else RequireAll(tuple(rules))
