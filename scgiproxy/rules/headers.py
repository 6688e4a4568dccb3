"""Header and RequestHeader: edits of a header list (mod_headers)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from scgiproxy.rules.facts import Facts

HeaderList = list[tuple[bytes, bytes]]
"""Names and values in order, names in any case."""


class HeaderAction(Enum):
    SET = "set"
    SET_IF_EMPTY = "setifempty"
    APPEND = "append"
    ADD = "add"
    MERGE = "merge"
    UNSET = "unset"


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One line. `value` is the text as written, ``%{VAR}e``, ``%t``, ``%D``, ``%%`` unreplaced.

    `condition` is ``env=VAR`` (name, True) or ``env=!VAR`` (name, False). `always` matters for
    answers only: the edit also acts on the error pages that the gateway makes itself.
    """

    action: HeaderAction
    name: bytes
    value: bytes = b""
    condition: tuple[bytes, bool] | None = None
    always: bool = False


def check_value(value: bytes) -> None:
    """Raise ValueError with a sentence if `value` has a ``%`` form that is not known."""


def apply_edits(edits: Sequence[HeaderEdit], headers: HeaderList, facts: Facts) -> None:
    """Change `headers` in place, edit by edit."""
