"""What both servers tell of themselves to programs: ``server-status?auto``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest

from tests.e2e.http_client import ask
from tests.parity.sides import Apache, gateway
from tests.parity.site import Site
from tests.web.test_modstatus import NOT_OURS

pytestmark = pytest.mark.parity

Lines = list[tuple[str, str]]

SAME = {"Total Accesses", "BusyWorkers", "Stopping", "ConnsAsyncWriting", "ConnsAsyncClosing"}
"""With these numbers too; those of balancers as well."""


@pytest.fixture(scope="module")
def told(written_site: Site) -> Iterator[tuple[Lines, Lines]]:
    """What each says after the same requests: three for the balancer, one for a file."""
    config = written_site.configs["status"]
    with ExitStack() as stack:
        sides = [stack.enter_context(Apache(config)), stack.enter_context(gateway(config))]
        # In the first second neither tells of rates.
        time.sleep(1.1)
        for path, side in product(("/app/1", "/app/2", "/app/3", "/nowhere"), sides):
            _get(side.port, path)
        for _ in range(100):
            apache, ours = (_lines(side.port) for side in sides)
            if _counted(apache) == _counted(ours):
                break
            # Apache counts a request as over some time after its answer.
            time.sleep(0.2)
        yield apache, ours


def _get(port: int, path: str) -> str:
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    return ask(("127.0.0.1", port), head.encode()).text


def _lines(port: int) -> Lines:
    host, *lines = _get(port, "/server-status?auto").splitlines()
    assert host == "a"
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def _counted(lines: Lines) -> dict[str, str]:
    """Of the lines, those with the same numbers."""
    return {
        name: value for name, value in lines if name in SAME or name.startswith("ProxyBalancer")
    }


def test_names_and_their_order(told: tuple[Lines, Lines]) -> None:
    # Apache tells of its load once it has spent as much time as can be counted.
    apache, ours = ([name for name, _ in lines if name != "CPULoad"] for lines in told)
    assert ours == [name for name in apache if name not in NOT_OURS]


def test_what_both_count_alike(told: tuple[Lines, Lines]) -> None:
    apache, ours = map(_counted, told)
    assert ours == apache
    assert ours["ProxyBalancer[0]Worker[0]Elected"] == "2"
