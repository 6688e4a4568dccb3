"""Worker and balancer parameters."""

from __future__ import annotations

from typing import Any

import pytest

from scgiproxy.config.health import READERS
from scgiproxy.config.workers import BALANCER_PARAMETERS, WORKER_PARAMETERS
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
    "halfclose": ("On", "half_close", True, "yes"),
    "pathinfo": ("Off", "path_info", False, "1"),
    "keepalive": ("on", "keepalive", True, "maybe"),
    "status": ("+D", "disabled", True, "X"),
    "loadfactor": ("2.5", "load_factor", 2.5, "101"),
    "lbset": ("99", "lbset", 99, "100"),
    "route": ("r1", "route", b"r1", "x" * 64),
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
    "redirect": ("r2", "x" * 64),
}


def _member(parameters: str) -> tuple[BackendSettings, list[str]]:
    text = f"ProxyPass /b balancer://b\nBalancerMember balancer://b scgi://localhost {parameters}"
    config = load(text)
    return config.balancers["b"].members[0].settings, [note.message for note in config.notes]


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


@pytest.mark.parametrize("name", ["retry", "loadfactor", "lbset", "route"])
def test_parameters_for_members(name: str) -> None:
    """On a mount of its own they do nothing, which is told."""
    value = WORKER_EXAMPLES[name][0]
    assert notes_of(f"ProxyPass /a scgi://localhost {name}={value}") == [
        f"f:1: ProxyPass: {name} does nothing outside a BalancerMember"
    ]


@pytest.mark.parametrize(
    ("letters", "disabled", "standby", "notes"),
    [
        ("D", True, False, 0),
        ("+S", True, False, 0),
        ("-D", False, False, 0),
        ("+H", False, True, 0),
        ("D+H", True, True, 0),
        ("DH", True, True, 0),
        ("+I", False, False, 1),
        ("s-e", True, False, 1),
    ],
)
def test_status(letters: str, disabled: bool, standby: bool, notes: int) -> None:
    settings, found = _member(f"status={letters}")
    assert (settings.disabled, settings.standby, len(found)) == (disabled, standby, notes)


def test_what_is_always_so_needs_no_note() -> None:
    """The opposite of it is told."""
    assert "goes out at once" in _member("flushpackets=off")[1][0]
    assert "one request for each connection" in _member("enablereuse=on")[1][0]


BALANCER_EXAMPLES: dict[str, tuple[str, str, Any, str]] = {
    "lbmethod": ("byrequests", "method", "byrequests", "byrequest"),
    "timeout": ("2", "timeout", 2.0, "x"),
    "maxattempts": ("0", "max_attempts", 0, "x"),
    "forcerecovery": ("Off", "force_recovery", False, "x"),
}


def test_every_balancer_parameter_is_tested() -> None:
    inert = {name for name, parameter in BALANCER_PARAMETERS.items() if parameter.inert}
    assert set(BALANCER_PARAMETERS) == set(BALANCER_EXAMPLES) | inert | {"pathinfo"}


_MEMBER = "\nBalancerMember balancer://b scgi://localhost"


@pytest.mark.parametrize("name", BALANCER_EXAMPLES)
def test_balancer_parameter(name: str) -> None:
    value, field, expected, wrong = BALANCER_EXAMPLES[name]
    balancer = load(f"ProxyPass /b balancer://b {name}={value}{_MEMBER}").balancers["b"]
    assert getattr(balancer, field) == expected
    (error,) = errors_of(f"ProxyPass /b balancer://b {name}={wrong}{_MEMBER}")
    assert error.startswith(f"f:1: ProxyPass: {name}: expected ")


@pytest.mark.parametrize(
    "name", [name for name, parameter in BALANCER_PARAMETERS.items() if parameter.inert]
)
def test_balancer_parameter_that_does_nothing(name: str) -> None:
    """It is kept among the options, and told."""
    config = load(f"ProxyPass /b balancer://b {name}=x stickysession=s{_MEMBER}")
    options = config.balancers["b"].options
    assert options == {name: "x", "stickysession": "s"}
    assert any(f"{name} does nothing here" in note.message for note in config.notes)


def test_methods() -> None:
    """Those that the service offers; the other ones of Apache are replaced, which is told."""
    text = f"ProxyPass /b balancer://b lbmethod={{}}{_MEMBER}"
    offered = load(text.format("mine"), balancing_methods=("byrequests", "mine"))
    assert offered.balancers["b"].method == "mine"
    config = load(text.format("bybusyness"))
    assert config.balancers["b"].method == "byrequests"
    assert "byrequests is used instead" in config.notes[0].message
    assert "expected byrequests, got 'mine'" in errors_of(text.format("mine"))[0]


def test_path_info_of_a_balanced_mount() -> None:
    """It is the mount's own: another mount of the balancer has none; a ProxySet is for all."""
    text = f"ProxyPass /a balancer://b pathinfo=on\nProxyPass /b balancer://b{_MEMBER}"
    mounts = load(text).main.mounts
    assert [mount.settings.path_info for mount in mounts] == [True, None]
    mounts = load(text + "\nProxySet balancer://b pathinfo=off").main.mounts
    assert [mount.settings.path_info for mount in mounts] == [True, False]
