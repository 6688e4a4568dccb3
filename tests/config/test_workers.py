"""Worker parameters."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.config.health import READERS
from scgiproxy.config.workers import WORKER_PARAMETERS
from scgiproxy.rules.backend import BackendSettings
from tests.config.loading import errors_of, load, notes_of

WORKER_EXAMPLES: dict[str, tuple[str, str, Any, str]] = {
    # key: value, field, what it gives, a wrong value
    "timeout": ("500ms", "timeout", 0.5, "0"),
    "connectiontimeout": ("2min", "connect_timeout", 120.0, "x"),
    "retry": ("0", "retry", 0.0, "-1"),
    "acquire": ("500", "acquire", 0.5, "soon"),
    "max": ("5", "max_connections", 5, "0"),
    "maxheader": ("2000", "max_header", 2000, "100"),
    "sslmode": ("Verify-CA", "", None, "disable"),
    "halfclose": ("On", "half_close", True, "yes"),
    "pathinfo": ("Off", "path_info", False, "1"),
    "keepalive": ("on", "keepalive", True, "maybe"),
    "status": ("+D", "disabled", True, "X"),
    "loadfactor": ("2.5", "load_factor", 2.5, "101"),
    "lbset": ("99", "lbset", 99, "100"),
    "route": ("r1", "route", b"r1", "x" * 64),
    "redirect": ("r2", "redirect", b"r2", "x" * 64),
    "slowstart": ("2min", "slow_start", 120.0, "0"),
    "preconnect": ("4", "preconnect", 4, "-1"),
    "ejectrate": ("25%", "eject_rate", 0.25, "0"),
    "discover": ("SRV", "", None, "mx"),
    "flushpackets": ("on", "", None, "sometimes"),
    "disablereuse": ("on", "", None, "yes"),
    "enablereuse": ("off", "", None, "yes"),
}
INERT_VALUES = {
    "min": ("1", "x"),
    "smax": ("1", "x"),
    "ttl": ("60", "0"),
    "addressttl": ("-1", "-2"),
    "receivebuffersize": ("0", "100"),
    "iobuffersize": ("8192", "100"),
    "responsefieldsize": ("8192", "x"),
    "flushwait": ("10", "x"),
    "ping": ("5", "x"),
}
FOR_MEMBERS = (
    *("retry", "loadfactor", "lbset", "route", "redirect", "slowstart", "ejectrate"),
    "discover",
)


def _member(parameters: str) -> tuple[BackendSettings, list[str]]:
    """Of a member beside another one, whose route is r2."""
    scheme = "scgis" if parameters.lower().startswith("sslmode") else "scgi"
    member = f"BalancerMember balancer://b {scheme}://localhost"
    config = load(f"ProxyPass /b balancer://b\n{member} {parameters}\n{member}:4001 route=r2")
    return config.balancers["b"].members[0].settings, [note.message for note in config.notes]


@pytest.mark.parametrize(("count", "told"), [(5, False), (6, True)])
def test_preconnect_beyond_max(count: int, told: bool) -> None:
    """Wherever each of the two is written."""
    note = f"preconnect={count}: no more than max=5 are kept ready"
    assert _member(f"max=5 preconnect={count}")[1] == [note] * told
    limit = "<Proxy scgi://localhost>\nProxySet max=5\n</Proxy>\n"
    notes = notes_of(f"{limit}ProxyPass /a scgi://localhost preconnect={count}")
    assert notes == [f"f:4: {note}"] * told


def test_every_parameter_is_tested() -> None:
    inert = {name for name, parameter in WORKER_PARAMETERS.items() if parameter.inert}
    assert set(WORKER_PARAMETERS) == set(WORKER_EXAMPLES) | inert | set(READERS)
    assert set(INERT_VALUES) <= inert


@pytest.mark.parametrize("name", WORKER_EXAMPLES)
def test_worker_parameter(name: str) -> None:
    """It sets its field, in any case of its name, and refuses what it does not know."""
    value, field, expected, wrong = WORKER_EXAMPLES[name]
    settings, notes = _member(f"{name.upper()}={value}")
    assert notes == []
    if field:
        assert getattr(settings, field) == expected
        assert getattr(BackendSettings(), field) != expected
    (error,) = errors_of(
        f"ProxyPass /b balancer://b\nBalancerMember balancer://b scgi://localhost {name}={wrong}"
    )
    assert error.startswith(f"f:2: BalancerMember: {name}: expected ")


@pytest.mark.parametrize(
    "name", [name for name, parameter in WORKER_PARAMETERS.items() if parameter.inert]
)
def test_worker_parameter_that_does_nothing(name: str) -> None:
    """It is told, and still checked."""
    value, wrong = INERT_VALUES.get(name, ("x", ""))
    settings, notes = _member(f"{name}={value}")
    assert settings == BackendSettings()
    assert notes == [f"BalancerMember: {name} does nothing here: {WORKER_PARAMETERS[name].inert}"]
    if wrong:
        (error,) = errors_of(f"ProxyPass /a scgi://localhost {name}={wrong}")
        assert error.startswith(f"f:1: ProxyPass: {name}: expected ")


@pytest.mark.parametrize("name", FOR_MEMBERS)
def test_parameters_for_members(name: str) -> None:
    """On a mount of its own they do nothing, which is told."""
    value = WORKER_EXAMPLES[name][0]
    assert notes_of(f"ProxyPass /a scgi://localhost {name}={value}") == [
        f"f:1: ProxyPass: {name} does nothing outside a BalancerMember"
    ]


def test_examples_for_members_are_complete() -> None:
    """Health checks have tests of their own."""
    for_members = {name for name, row in WORKER_PARAMETERS.items() if row.for_members}
    assert for_members - set(READERS) == set(FOR_MEMBERS)


FLAGS = {
    "D": "disabled",
    "S": "stopped",
    "I": "ignore_errors",
    "R": "spare",
    "H": "standby",
    "N": "draining",
}


@pytest.mark.parametrize(
    ("letters", "given"),
    [
        *((letter, letter) for letter in FLAGS),
        *((f"+{letter}", letter) for letter in FLAGS),
        *((f"-{letter}", "") for letter in FLAGS),
        ("d+s", "DS"),
        ("DSIRHN", "DSIRHN"),
        ("D-D", ""),
        ("-H+H", "H"),
        ("r-nH", "RH"),
    ],
)
def test_status(letters: str, given: str) -> None:
    """Each letter is a flag; of two about one flag the last counts."""
    settings, notes = _member(f"status={letters}")
    assert {letter for letter, field in FLAGS.items() if getattr(settings, field)} == set(given)
    assert notes == []


def test_status_of_a_later_line() -> None:
    """It changes the flags that it names, and no others."""
    config = load(
        """
        ProxyPass /b balancer://b
        BalancerMember balancer://b scgi://localhost status=DH
        ProxySet scgi://localhost status=-D+N
        """
    )
    settings = config.balancers["b"].members[0].settings
    assert (settings.disabled, settings.standby, settings.draining) == (False, True, True)


@pytest.mark.parametrize("letter", ["E", "C"])
def test_states_that_the_gateway_sets_itself(letter: str) -> None:
    settings, notes = _member(f"status={letter}+D")
    assert settings == BackendSettings(disabled=True)
    (note,) = notes
    assert note.startswith(f"status={letter}+D: the letter {letter} does nothing: ")


@pytest.mark.parametrize(
    ("letters", "told"), [("D", False), ("S", False), ("+H", True), ("N", True)]
)
def test_flags_of_members(letters: str, told: bool) -> None:
    """A backend that stands alone can be disabled, and that is all."""
    notes = notes_of(f"ProxyPass /a scgi://localhost status={letters}")
    assert (
        notes == ["f:1: ProxyPass: status: R, H and N do nothing outside a BalancerMember"] * told
    )


@pytest.mark.parametrize(("word", "share"), [("1", 0.01), ("50", 0.5), ("50%", 0.5), ("100%", 1.0)])
def test_a_percentage(word: str, share: float) -> None:
    assert _member(f"ejectrate={word}")[0].eject_rate == share


@pytest.mark.parametrize("word", ["0.5", "101", "%", "50%%", "1000"])
def test_what_is_no_percentage(word: str) -> None:
    text = "ProxyPass /b balancer://b\nBalancerMember balancer://b scgi://localhost ejectrate="
    assert "expected a percentage from 1 to 100" in errors_of(text + word)[0]


def test_what_is_always_so_needs_no_note() -> None:
    """The opposite of it is told."""
    assert "goes out at once" in _member("flushpackets=off")[1][0]
    assert "one request for each connection" in _member("enablereuse=on")[1][0]
