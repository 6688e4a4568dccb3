"""``?auto``, beside what Apache httpd 2.4.71 prints."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from scgiproxy.web.gatewaynumbers import ProcessorTime
from scgiproxy.web.modstatus import in_words, machine_readable, moment
from scgiproxy.web.statistics import ConnectionPhase
from tests.web.gateway_numbers import (
    HOSTILE,
    NOW,
    Backend,
    Pool,
    everything,
    mount,
    numbers,
    several,
)

APACHE = """\
127.0.0.1
ServerVersion: Apache/2.4.71 (Debian)
ServerMPM: event
Server Built: 2026-11-12T08:58:41
CurrentTime: Sunday, 22-Nov-2026 04:37:54 UTC
RestartTime: Sunday, 22-Nov-2026 04:37:50 UTC
ParentServerConfigGeneration: 1
ParentServerMPMGeneration: 0
ServerUptimeSeconds: 4
ServerUptime: 4 seconds
Load1: 5.23
Load5: 4.11
Load15: 2.74
Total Accesses: 37133
Total kBytes: 15889
Total Duration: 1005
CPUUser: .86
CPUSystem: 2.03
CPUChildrenUser: 0
CPUChildrenSystem: 0
CPULoad: 72.25
Uptime: 4
ReqPerSec: 9283.25
BytesPerSec: 4067580
BytesPerReq: 438.164
DurationPerReq: .0270649
BusyWorkers: 1
GracefulWorkers: 0
IdleWorkers: 99
Processes: 4
Stopping: 0
ConnsTotal: 0
ConnsAsyncWaitIO: 0
ConnsAsyncWriting: 0
ConnsAsyncKeepAlive: 0
ConnsAsyncClosing: 0
Scoreboard: ___________W___...
ProxyBalancer[0]Name: balancer://c
ProxyBalancer[0]Worker[0]Name: scgi://127.0.0.1:4999
ProxyBalancer[0]Worker[0]Status: Init Ok\x20
ProxyBalancer[0]Worker[0]Elected: 0
ProxyBalancer[0]Worker[0]Busy: 0
ProxyBalancer[0]Worker[0]Sent: 0K
ProxyBalancer[0]Worker[0]Rcvd: 0K
"""

NOT_OURS = {
    "ServerMPM",
    "Server Built",
    "ParentServerConfigGeneration",
    "ParentServerMPMGeneration",
    "GracefulWorkers",
}


def names(text: str) -> list[str]:
    return [line.partition(": ")[0] for line in text.splitlines()[1:]]


def values(made: Any, host: str = "a") -> dict[str, str]:
    lines = machine_readable(made, host).splitlines()[1:]
    return dict(line.split(": ", 1) for line in lines)


def test_names_and_order_are_apaches() -> None:
    balancer = Pool("balancer://c", [Backend("scgi://127.0.0.1:4999")])
    text = machine_readable(numbers(mounts=[mount(requests=1)], pools=[balancer]), "127.0.0.1")
    assert text.startswith("127.0.0.1\n")
    assert names(text) == [name for name in names(APACHE) if name not in NOT_OURS]


def test_totals() -> None:
    """Of all mounts, since the start; none of them with an exponent, which some parsers refuse."""
    now = NOW + 1000
    made = replace(everything(), started=NOW - 1000, now=now)
    made.mounts[0].record(NOW, 10.0, b"GET", 200, 0, 10**12)
    found = values(made)
    assert found["Total Accesses"] == "22"
    assert found["Total kBytes"] == str((10**12 + 20_000) // 1024)
    assert found["Total Duration"] == "14500"
    assert found["Uptime"] == found["ServerUptimeSeconds"] == "2000"
    assert found["ReqPerSec"] == "0.011"
    assert found["BytesPerSec"] == "500000010"
    assert float(found["BytesPerReq"]) == pytest.approx((10**12 + 20_000) / 22, abs=1)
    assert float(found["DurationPerReq"]) == pytest.approx(14_500 / 22, abs=1e-3)
    for name in ("CPUUser", "CPUSystem", "CPUChildrenUser", "CPULoad", "Load1", "Load15"):
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", found[name]), name


def test_nothing_is_divided_by_nothing() -> None:
    """At the very start, as Apache does: the line is not there."""
    found = values(numbers(started=NOW))
    assert found["Uptime"] == "0"
    assert {"ReqPerSec", "BytesPerReq", "DurationPerReq", "CPULoad"}.isdisjoint(found)


def test_workers_are_connections() -> None:
    found = values(everything())
    assert found["BusyWorkers"] == "6"
    assert found["IdleWorkers"] == "20"
    assert found["ConnsTotal"] == "15"
    assert found["ConnsAsyncWaitIO"] == "2"
    assert found["ConnsAsyncWriting"] == "3"
    assert found["ConnsAsyncKeepAlive"] == "4"
    assert found["ConnsAsyncClosing"] == "5"
    assert found["Scoreboard"] == "R" + "W" * 5 + "K" * 4 + "C" * 5 + "_" * 20
    assert found["Stopping"] == "0"


def test_several_processes() -> None:
    """As Apache's: how many there are, and the processor time of all of them."""
    found = values(several(processor=ProcessorTime(1.5, 2.5, 0.25, 0.5)))
    assert found["Processes"] == "2"
    assert [
        found[f"CPU{name}"] for name in ("User", "System", "ChildrenUser", "ChildrenSystem")
    ] == [
        *("1.5", "2.5", "0.25", "0.5"),
    ]
    assert found["CPULoad"] == f"{4.75 / 93_784 * 100:.6f}".rstrip("0")
    assert values(numbers())["Processes"] == "1"


def test_the_scoreboard_is_bounded() -> None:
    """Where a million files may be open, and where a million connections are."""
    found = values(numbers(room=10**6, connections={ConnectionPhase.IDLE: 10}))
    assert found["Scoreboard"] == "K" * 10 + "_" * 1014
    found = values(numbers(room=10, connections={ConnectionPhase.IDLE: 10**6}))
    assert found["Scoreboard"] == "K" * 1024
    assert found["ConnsAsyncKeepAlive"] == "1000000"


def test_balancers_and_their_members() -> None:
    """Backends that stand alone are none."""
    found = values(everything())
    assert {name: value for name, value in found.items() if name.startswith("Proxy")} == {
        "ProxyBalancer[0]Name": "balancer://app",
        "ProxyBalancer[0]Worker[0]Name": "scgi://app:4000",
        "ProxyBalancer[0]Worker[0]Status": "Init Ok ",
        "ProxyBalancer[0]Worker[0]Elected": "12",
        "ProxyBalancer[0]Worker[0]Busy": "2",
        "ProxyBalancer[0]Worker[0]Sent": "4K",
        "ProxyBalancer[0]Worker[0]Rcvd": "0K",
        "ProxyBalancer[0]Worker[1]Name": "scgi://app:4001",
        "ProxyBalancer[0]Worker[1]Status": "Init Err ",
        "ProxyBalancer[0]Worker[1]Elected": "0",
        "ProxyBalancer[0]Worker[1]Busy": "0",
        "ProxyBalancer[0]Worker[1]Sent": "0K",
        "ProxyBalancer[0]Worker[1]Rcvd": "4K",
    }


def test_no_text_makes_a_line_of_its_own() -> None:
    hostile = HOSTILE + "\r\nTotal Accesses: 9\n"
    text = machine_readable(everything(hostile), hostile)
    assert len(text.splitlines()) == len(machine_readable(everything(), "a").splitlines())
    assert text.isascii()


def test_a_system_without_load_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise OSError("not here")

    monkeypatch.setattr(os, "getloadavg", none)
    assert "Load1" not in values(numbers())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (3600, "1 hour"),
        (93_784, "1 day 2 hours 3 minutes 4 seconds"),
        (172_860, "2 days 1 minute"),
    ],
)
def test_lengths_of_time(seconds: int, words: str) -> None:
    assert in_words(seconds) == words


def test_times_are_of_this_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        assert moment(1_795_322_274) == "Sunday, 22-Nov-2026 05:37:54 CET"
    finally:
        monkeypatch.undo()
        time.tzset()
