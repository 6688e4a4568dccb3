"""One site and one pair of servers for each configuration, for the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.conftest import no_traceback, pytest_runtest_makereport
from tests.parity.case import Case, Facts
from tests.parity.cases import CASES
from tests.parity.observation import observe
from tests.parity.sides import Apache, Side, gateway
from tests.parity.site import SERVERS, Site, site

__all__ = ["no_traceback", "pytest_runtest_makereport"]

Observe = Callable[[Case], Facts]


@pytest.fixture(scope="session")
def written_site() -> Iterator[Site]:
    with site(CASES) as made:
        yield made


def _observer(made: Site, start: Callable[[str], Side]) -> Observe:
    """Each configuration is started when its first case comes, each case is run once."""
    sides: dict[str, Side] = {}
    seen: dict[str, Facts] = {}
    failed: set[str] = set()

    def run(case: Case) -> Facts:
        if case.server in failed:
            pytest.fail(f"there is no server with the configuration {case.server!r}, see above")
        if case.server not in sides:
            failed.add(case.server)
            sides[case.server] = start(case.server)
            failed.remove(case.server)
        if case.name not in seen:
            seen[case.name] = observe(sides[case.server], made, case)
        return seen[case.name]

    return run


@pytest.fixture(scope="session")
def apache(written_site: Site) -> Iterator[Observe]:
    """What Apache gives for a case."""
    with ExitStack() as stack:
        yield _observer(
            written_site, lambda name: stack.enter_context(Apache(written_site.configs[name]))
        )


@pytest.fixture(scope="session")
def second_apache(written_site: Site) -> Iterator[Observe]:
    """What another Apache gives for it."""
    with ExitStack() as stack:
        yield _observer(
            written_site,
            lambda name: stack.enter_context(Apache(written_site.configs[name], "second")),
        )


@pytest.fixture(scope="session")
def ours(written_site: Site) -> Iterator[Observe]:
    """What the gateway gives for it."""
    with ExitStack() as stack:
        yield _observer(
            written_site, lambda name: stack.enter_context(gateway(written_site.configs[name]))
        )


def pytest_sessionstart() -> None:
    unknown = {case.server for case in CASES} - set(SERVERS)
    assert not unknown, f"no such configuration: {unknown}"
