"""Twisted's server endpoint strings, as Listen takes them: which keys each type has, and values.

They are checked here so that what is wrong is told in the words of a configuration, with its line.
A type that is not in the table is a plugin's, and is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from scgiproxy.config.arguments import is_directory
from scgiproxy.rules.parameters import parse_integer, suggest

_COLON = r" (a colon inside of a value is written \:)"
_OCTAL = re.compile(r"[0-7]{3,4}")
_INTERFACE = re.compile(r"[0-9A-Za-z_.:%-]*")

Check = Callable[[str], None]
"""Raises ValueError with what was expected of a value."""


def _port(value: str) -> None:
    parse_integer(value, 0, 65535)


def _number(value: str) -> None:
    parse_integer(value)


def _backlog(value: str) -> None:
    parse_integer(value, 0, (1 << 31) - 1)


def _mode(value: str) -> None:
    if not _OCTAL.fullmatch(value):
        raise ValueError(f"expected an octal number such as 660, got {value!r}")


def _interface(value: str) -> None:
    if not _INTERFACE.fullmatch(value):
        raise ValueError(f"expected an address such as 127.0.0.1, got {value!r}")


def _path(value: str) -> None:
    if not value:
        raise ValueError("expected a path")


def _folder(value: str) -> None:
    if not is_directory(Path(value)):
        raise ValueError(f"expected an existing directory, got {value!r}")


def _name(value: str) -> None:
    if not value:
        raise ValueError("expected a name")


def _one_of(*words: str) -> Check:
    def check(value: str) -> None:
        if value not in words:
            raise ValueError(f"expected {_or(words)}, got {value!r}")

    return check


_TYPES: Mapping[str, Mapping[str, Check]] = {
    "tcp": {"port": _port, "interface": _interface, "backlog": _backlog},
    "tcp6": {"port": _port, "backlog": _backlog, "interface": _interface},
    "unix": {
        "address": _path,
        "mode": _mode,
        "backlog": _backlog,
        "lockfile": _one_of("0", "1"),
    },
    "ssl": {
        "port": _port,
        "privateKey": _path,
        "certKey": _path,
        "sslmethod": _one_of("TLS_METHOD", "TLS_SERVER_METHOD", "SSLv23_METHOD", "TLSv1_2_METHOD"),
        "interface": _interface,
        "backlog": _backlog,
        "extraCertChain": _path,
        "dhParameters": _path,
    },
    "tls": {"path": _folder, "port": _port, "backlog": _backlog, "interface": _interface},
    "systemd": {"domain": _one_of("INET", "INET6", "UNIX"), "index": _number, "name": _name},
}
"""The keys of each type in the order in which they may stand without their names; the first one
must be there."""

_IN_LOWER_CASE = frozenset({"tcp", "unix", "ssl"})
"""Twisted reads the names of the others in any case."""

_WRAPPERS = frozenset({"haproxy"})
"""Types that take another whole endpoint string."""

ENDPOINT_TYPES = frozenset(_TYPES) | _WRAPPERS
"""The types that Twisted has, without `stdio`, which is no place to listen on."""


def check_endpoint(text: str) -> None:
    """Raise ValueError for a string that is no endpoint, or no place to listen on.

    Types of plugins are not known here, and files are not looked into.
    """
    kind, words = _kind_and_words(text)
    lower = kind.lower()
    if lower in _IN_LOWER_CASE and kind != lower:
        raise ValueError(f"{kind!r} is no kind of endpoint; did you mean {lower}?")
    if lower == "stdio":
        raise ValueError("standard input and output are no place to listen on")
    keys = _TYPES.get(lower)
    if keys is None:
        return
    wrong: list[str] = []
    given = _by_key(kind, keys, words, wrong)
    for key, value in given.items():
        try:
            keys[key](value)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    first = next(iter(keys))
    if first not in given:
        wrong.append(f"{kind} needs {first}; expected {kind}:{first.upper()}")
    if lower == "systemd" and ("index" in given) == ("name" in given):
        wrong.append("systemd needs one of index and name")
    if wrong:
        raise ValueError("; ".join(wrong))


def endpoint_type(text: str) -> str:
    """The type that an endpoint string names, in lower case; inside of another one if that is how
    it is written (``haproxy:tcp:80`` is ``tcp``). Raises ValueError."""
    return _kind_and_words(text)[0].lower()


_FILES: Mapping[str, Sequence[str]] = {
    "ssl": ("privateKey", "certKey", "extraCertChain", "dhParameters"),
}
"""Keys whose values are files that are read when the string is."""

_DEFAULT_FILES = {"privateKey": "server.pem"}


def endpoint_values(text: str) -> dict[str, str]:
    """What an endpoint string says, by the keys of its type; nothing of a plugin's. Raises
    ValueError."""
    kind, words = _kind_and_words(text)
    keys = _TYPES.get(kind.lower())
    return _by_key(kind, keys, words, []) if keys else {}


_EVERY_ADDRESS = {"tcp": "0.0.0.0", "tcp6": "::", "ssl": "0.0.0.0"}  # noqa: S104  Twisted's


def bound_address(text: str) -> tuple[str, int] | None:
    """The address and the port that an endpoint string binds by TCP, whatever is spoken there; None if
    it cannot be told. Raises ValueError."""
    every = _EVERY_ADDRESS.get(endpoint_type(text))
    values = endpoint_values(text)
    port = int(values.get("port", 0))
    return (values.get("interface") or every, port) if every and port else None


def endpoint_files(text: str) -> dict[str, str]:
    """The files that an endpoint string names, by their keys. Raises ValueError."""
    keys = _FILES.get(endpoint_type(text), ())
    given = _DEFAULT_FILES | endpoint_values(text) if keys else {}
    return {key: given[key] for key in keys if key in given}


def with_files(text: str, files: Mapping[str, str]) -> str:
    """The same endpoint, with these `files` by their keys. Raises ValueError."""
    if not files:
        return text
    kind, words = _kind_and_words(text)
    given = _by_key(kind, _TYPES[kind.lower()], words, []) | dict(files)
    around = "haproxy:" * (len(_split(text)) - len(words) - 1)
    return f"{around}{kind}:" + ":".join(f"{key}={_quoted(value)}" for key, value in given.items())


def with_backlog(text: str, backlog: int) -> str:
    """The same endpoint, with that backlog if it can have one and says none."""
    keys = _TYPES.get(endpoint_type(text), {})
    if "backlog" not in keys or "backlog" in endpoint_values(text):
        return text
    return f"{text}:backlog={backlog}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace(":", "\\:")


def _kind_and_words(text: str) -> tuple[str, list[list[str]]]:
    """The type of an endpoint, of the inner one if there is one around it, and what follows."""
    kind, *words = _split(text)
    while kind[0].lower() in _WRAPPERS:
        if not words or len(words[0]) > 1 or not words[0][0]:
            raise ValueError(f"{kind[0]} needs another endpoint; expected {kind[0]}:tcp:PORT")
        kind, *words = words
    return kind[0], words


def _by_key(
    kind: str, keys: Mapping[str, Check], words: list[list[str]], wrong: list[str]
) -> dict[str, str]:
    """The values by their keys; those without one have the next of `keys`.

    What cannot be understood goes to `wrong`.
    """
    given: dict[str, str] = {}
    order = iter(keys)
    for word in words:
        key = word[0] if len(word) == 2 else next(order, None)
        if key is None:
            wrong.append(f"{word[0]!r} is left over{_COLON}")
        elif key not in keys:
            wrong.append(f"{key!r} is no key of {kind}; expected {_or(keys)}{suggest(key, keys)}")
        elif key in given:
            wrong.append(f"{key} is given twice{_COLON}")
        else:
            given[key] = word[-1]
    return given


def _split(text: str) -> list[list[str]]:
    """The parts between colons, each one word, or a key and its value.

    A backslash takes the next character literally; only the first ``=`` of a part is a sign.
    """
    parts: list[list[str]] = [[""]]
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
            if at == len(text):
                raise ValueError("nothing follows the backslash at its end")
            parts[-1][-1] += text[at]
        elif character == ":":
            parts.append([""])
        elif character == "=" and len(parts[-1]) == 1:
            parts[-1].append("")
        else:
            parts[-1][-1] += character
        at += 1
    return parts


def _or(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
