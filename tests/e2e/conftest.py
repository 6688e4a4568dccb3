"""What the tests with real servers share: the output of servers is shown with a failed test, and
a traceback in a gateway's log fails it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

# No test here needs it; but its pytest plugin imports it at the end of a run, and that warns, which
# is an error there, about what trio registers with it.
import hypothesis  # noqa: F401
import pytest

from tests.e2e.gateway import Gateway, GatewayProcess
from tests.e2e.processes import ended, running, wait_until
from tests.e2e.scripted import ScriptedBackend
from tests.e2e.workers import Start, serving

pytest.register_assert_rewrite("tests.e2e.contract")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in running + ended:
            report.sections.append((f"output of {process.name}", process.said()))
    return report


@pytest.fixture(autouse=True)
def no_traceback() -> Iterator[None]:
    """Look into the log of every running gateway after each test."""
    ended.clear()
    yield
    for process in running:
        if isinstance(process, GatewayProcess):
            process.check_log()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[[str], Gateway]]:
    """A function that starts a gateway with a configuration; it is stopped after the test."""
    with ExitStack() as stack:
        count = 0

        def start(text: str) -> Gateway:
            nonlocal count
            count += 1
            return stack.enter_context(Gateway(tmp_path, text, f"gateway{count}"))

        yield start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A function that starts a gateway with two workers, or more, and waits for all of them."""
    with ExitStack() as stack:

        def start(
            text: str, workers: int = 2, environment: Mapping[str, str] | None = None
        ) -> Gateway:
            gateway = Gateway(tmp_path, f"LogLevel info\n{text}", "gateway", environment, workers)
            stack.enter_context(gateway)
            # They do; the log has to say so, too.
            wait_until(lambda: serving(gateway) >= workers, "every worker serves")
            return gateway

        yield start


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    """A scripted SCGI backend on a free port."""
    with ScriptedBackend() as scripted:
        yield scripted
