"""What `<IfModule>`, `<IfDefine>`, `<IfVersion>` and kin say, while a file is read."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

APACHE_VERSION = (2, 4, 66)
"""The Apache whose language this is, for `<IfVersion>`."""

_MODULES = (
    "mod_proxy mod_proxy_scgi mod_proxy_balancer mod_proxy_hcheck mod_lbmethod_byrequests"
    " mod_slotmem_shm mod_scgi"
    " mod_setenvif mod_env mod_headers mod_alias mod_authz_core mod_authz_host mod_authz_user"
    " mod_authn_core mod_authn_file mod_auth_basic mod_access_compat mod_log_config mod_version"
)
SERVED_MODULES = frozenset(
    {"core.c", "core_module", "http_core.c", "http_module"}
    | {f"{name}.c" for name in _MODULES.split()}
    | {f"{name.removeprefix('mod_')}_module" for name in _MODULES.split()}
)
"""The modules whose work is done here, by source file and by identifier, as `<IfModule>` names
them. Modules whose directives are merely accepted (mod_dir, mod_unixd, mod_so) are not among
them: what a file keeps for them is skipped."""

_COMPARISONS: Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def if_module(words: Collection[str]) -> bool:
    """``<IfModule [!]mod_x.c|x_module>``; names are case-sensitive, as in Apache."""
    negated, name = _one_name(words, "a module such as mod_proxy_scgi.c or proxy_scgi_module")
    return (name in SERVED_MODULES) != negated


def if_define(words: Collection[str], defines: Collection[str]) -> bool:
    """``<IfDefine [!]NAME>``: defined by -D or Define."""
    negated, name = _one_name(words, "a name given to Define or -D")
    return (name in defines) != negated


def if_file(words: Collection[str], resolve: Callable[[str], Path]) -> bool:
    """``<IfFile [!]PATH>``; a relative path is below ServerRoot."""
    negated, name = _one_name(words, "a path")
    # As in Apache, what cannot be looked at is not there.
    return os.path.exists(resolve(name)) != negated  # noqa: PTH110


def if_directive(words: Collection[str], known: Callable[[str], bool]) -> bool:
    """``<IfDirective [!]NAME>``: a directive that is supported here."""
    negated, name = _one_name(words, "the name of a directive")
    return known(name) != negated


def if_version(words: Collection[str]) -> bool:
    """``<IfVersion [!][operator] VERSION>``: =, ==, >, >=, <, <=, ~ or /expression/."""
    sign, version = _operator_and_version(list(words))
    negated = sign.startswith("!")
    sign = sign.removeprefix("!") or "="
    shown = ".".join(map(str, APACHE_VERSION))
    if version.startswith("/") and version.endswith("/") and len(version) > 1:
        sign, version = "~", version[1:-1]
    if sign == "~":
        try:
            return (re.search(version, shown) is not None) != negated
        except re.error as error:
            raise ValueError(f"the expression {version!r} does not compile: {error}") from None
    parts = version.split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"expected a version such as 2.4 or 2.4.10, got {version!r}")
    wanted = tuple(int(part) for part in parts) + (0,) * (3 - len(parts))
    compare = _COMPARISONS.get(sign)
    if compare is None:
        expected = " ".join(_COMPARISONS)
        raise ValueError(f"expected one of {expected} ~ before the version, got {sign!r}")
    return compare(APACHE_VERSION, wanted) != negated


def _operator_and_version(words: list[str]) -> tuple[str, str]:
    if len(words) == 1:
        negated = words[0].startswith("!")
        return "!" if negated else "", words[0].removeprefix("!")
    if len(words) == 2:
        return words[0], words[1]
    raise ValueError("expected an operator and a version, such as >= 2.4")


def _one_name(words: Collection[str], expected: str) -> tuple[bool, str]:
    """The single word of a condition, and whether a ``!`` stands before it."""
    listed = list(words)
    if len(listed) == 2 and listed[0] == "!":
        listed = ["!" + listed[1]]
    if len(listed) != 1 or not listed[0].removeprefix("!"):
        raise ValueError(f"expected {expected}, with ! before it for the opposite")
    return listed[0].startswith("!"), listed[0].removeprefix("!")
