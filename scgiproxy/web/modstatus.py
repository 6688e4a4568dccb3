"""``?auto``: the numbers as Apache's mod_status tells them to programs.

Names and order are those of Apache httpd 2.4. A worker is a connection here, as it is a thread
there: a busy one is a connection with a request, an idle one is a connection that there is room
for. Lines about Apache's
own making (MPM, build, generations) are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from scgiproxy.web.gatewaynumbers import GatewayNumbers
from scgiproxy.web.page import shown
from scgiproxy.web.statistics import ConnectionPhase

_MOST_DRAWN = 1024
"""Letters of the scoreboard; more connections than that are counted, and not drawn."""

_LETTERS = {
    ConnectionPhase.READING: "R",
    ConnectionPhase.WAITING: "W",
    ConnectionPhase.SENDING: "W",
    ConnectionPhase.IDLE: "K",
    ConnectionPhase.CLOSING: "C",
}
BUSY = (ConnectionPhase.READING, ConnectionPhase.WAITING, ConnectionPhase.SENDING)
"""The phases of a connection that has a request."""


def machine_readable(numbers: GatewayNumbers, host_name: str) -> str:
    """The text, in lines of a name, a colon and a value; the first is `host_name` alone."""
    lines = [shown(host_name)]
    for pairs in (_times(numbers), _totals(numbers), _workers(numbers), _balancers(numbers)):
        lines += (f"{name}: {value}" for name, value in pairs)
    return "\n".join(lines) + "\n"


def in_words(seconds: int) -> str:
    """A length of time: ``1 day 2 hours 5 seconds``."""
    words = []
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            words.append(f"{count} {unit}" + "s" * (count != 1))
    return " ".join(words) or "0 seconds"


def moment(seconds: float) -> str:
    """A time as Apache shows it: ``Sunday, 06-Nov-1994 08:49:37 GMT``, of this place."""
    return time.strftime("%A, %d-%b-%Y %H:%M:%S %Z", time.localtime(seconds))


Pairs = Iterator[tuple[str, object]]


def _times(numbers: GatewayNumbers) -> Pairs:
    yield "ServerVersion", numbers.software
    yield "CurrentTime", moment(numbers.now)
    yield "RestartTime", moment(numbers.started)
    yield "ServerUptimeSeconds", numbers.uptime
    yield "ServerUptime", in_words(numbers.uptime)
    try:
        loads = os.getloadavg()
    except OSError:
        return
    for minutes, load in zip((1, 5, 15), loads, strict=True):
        yield f"Load{minutes}", f"{load:.2f}"


def _totals(numbers: GatewayNumbers) -> Pairs:
    accesses = sum(mount.requests for mount in numbers.mounts)
    sent = sum(mount.bytes_sent for mount in numbers.mounts)
    milliseconds = 1000 * sum(mount.spent for mount in numbers.mounts)
    yield "Total Accesses", accesses
    yield "Total kBytes", sent // 1024
    yield "Total Duration", round(milliseconds)
    times = numbers.processor
    yield "CPUUser", _number(times.user)
    yield "CPUSystem", _number(times.system)
    yield "CPUChildrenUser", _number(times.children_user)
    yield "CPUChildrenSystem", _number(times.children_system)
    if numbers.uptime:
        yield "CPULoad", _number(times.spent / numbers.uptime * 100)
    yield "Uptime", numbers.uptime
    if numbers.uptime:
        yield "ReqPerSec", _number(accesses / numbers.uptime)
        yield "BytesPerSec", _number(sent / numbers.uptime)
    if accesses:
        yield "BytesPerReq", _number(sent / accesses)
        yield "DurationPerReq", _number(milliseconds / accesses)


def _workers(numbers: GatewayNumbers) -> Pairs:
    yield "BusyWorkers", numbers.connections_in(*BUSY)
    yield "IdleWorkers", numbers.room
    yield "Processes", max(len(numbers.workers), 1)
    # While it stops, no request is taken.
    yield "Stopping", 0
    yield "ConnsTotal", numbers.connections_in(*ConnectionPhase)
    yield "ConnsAsyncWaitIO", numbers.connections_in(ConnectionPhase.WAITING)
    yield "ConnsAsyncWriting", numbers.connections_in(ConnectionPhase.SENDING)
    yield "ConnsAsyncKeepAlive", numbers.connections_in(ConnectionPhase.IDLE)
    yield "ConnsAsyncClosing", numbers.connections_in(ConnectionPhase.CLOSING)
    drawn = "".join(
        letter * min(numbers.connections_in(phase), _MOST_DRAWN)
        for phase, letter in _LETTERS.items()
    )
    free = min(numbers.room, _MOST_DRAWN)
    yield "Scoreboard", (drawn + "_" * free)[:_MOST_DRAWN]


def _balancers(numbers: GatewayNumbers) -> Pairs:
    balancers = [pool for pool in numbers.pools if pool.balanced]
    for place, pool in enumerate(balancers):
        yield f"ProxyBalancer[{place}]Name", shown(pool.name)
        for number, backend in enumerate(pool.backends):
            worker = f"ProxyBalancer[{place}]Worker[{number}]"
            yield worker + "Name", shown(backend.label)
            yield worker + "Status", backend.status_words
            yield worker + "Elected", backend.elected
            yield worker + "Busy", backend.in_flight
            yield worker + "Sent", f"{backend.bytes_sent // 1024}K"
            yield worker + "Rcvd", f"{backend.bytes_received // 1024}K"


def _number(value: float) -> str:
    """Six digits at least, and never an exponent."""
    return f"{value:.0f}" if value >= 100_000 else f"{value:.6f}".rstrip("0").rstrip(".")
