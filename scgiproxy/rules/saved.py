"""What survives a restart of balancers that are changed while they run: its values, and its text.

The text is JSON. All that is changed stands there in the form fields of `rules.changes`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FORMAT = "scgiproxy balancers"
VERSION = 1

COUNTERS = frozenset({"elected", "errors", "bytes_sent", "bytes_received", "load"})
"""By the names of `pool.backend.Backend`; but for `load`, none is below 0."""

_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class SavedMember:
    """One member: what the file said of it, what was changed, and what it had counted."""

    configured: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    """By name, of `COUNTERS`."""


@dataclass(frozen=True, slots=True)
class SavedBalancer:
    """One balancer: likewise, with the labels of the members that were added, and all members by
    label."""

    configured: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    members: Mapping[str, SavedMember] = field(default_factory=dict)


def encode_saved(owner: str, balancers: Mapping[str, SavedBalancer]) -> bytes:
    """The text; `owner` is the configuration that it belongs to."""
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "configuration": owner,
        "balancers": {
            name: {
                "configured": dict(one.configured),
                "changed": dict(one.changed),
                "added": list(one.added),
                "members": {
                    label: {
                        "configured": dict(member.configured),
                        "changed": dict(member.changed),
                        "counters": dict(member.counters),
                    }
                    for label, member in one.members.items()
                },
            }
            for name, one in balancers.items()
        },
    }
    return json.dumps(whole, indent=1).encode("ascii") + b"\n"


def decode_saved(text: bytes, owner: str) -> dict[str, SavedBalancer]:
    """The balancers by name. Raises ValueError with what is wrong: with the text, or since it is
    not that of `owner`."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ValueError("it is another kind of file")
    if whole.get("version") != VERSION:
        raise ValueError(f"it is of version {whole.get('version')!a}; expected {VERSION}")
    if whole.get("configuration") != owner:
        raise ValueError(
            f"it belongs to the configuration {whole.get('configuration')!a}; expected {owner!a}"
        )
    return {
        name: SavedBalancer(
            _words(one, "configured"),
            _words(one, "changed"),
            _labels(one),
            {label: _member(each) for label, each in _objects(one, "members").items()},
        )
        for name, one in _objects(whole, "balancers").items()
    }


def _member(one: Mapping[str, Any]) -> SavedMember:
    return SavedMember(_words(one, "configured"), _words(one, "changed"), _counters(one))


def _objects(one: Mapping[str, Any], key: str) -> dict[str, dict[str, Any]]:
    found = one.get(key)
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise ValueError(f"{key!r} is no object of objects")
    return found


def _words(one: Mapping[str, Any], key: str) -> dict[str, str]:
    found = one.get(key)
    if not isinstance(found, dict) or not all(isinstance(word, str) for word in found.values()):
        raise ValueError(f"{key!r} is no object of strings")
    return found


def _labels(one: Mapping[str, Any]) -> tuple[str, ...]:
    found = one.get("added")
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError("'added' is no list of strings")
    return tuple(found)


def _counters(one: Mapping[str, Any]) -> dict[str, int]:
    found = one.get("counters")
    if not isinstance(found, dict) or not all(
        name in COUNTERS
        and type(number) is int
        and (-_MOST if name == "load" else 0) <= number <= _MOST
        for name, number in found.items()
    ):
        raise ValueError("'counters' is no object of numbers")
    return found
