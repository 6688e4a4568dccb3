"""How a benchmark ends, without one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.bench import stopping


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those that there were are there again afterwards."""
    found = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    for number, handler in found.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_leaves_all_contexts(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    with pytest.raises(SystemExit, match=r"^stopped$"):
        stopping.ended("bench", lambda: os.kill(os.getpid(), number) or signal.pause() or 0)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As `nohup` wants it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopping.stop_by_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_an_interruption_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match=r"^130$"):
        stopping.ended("bench", interrupted)
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), OSError("no"), subprocess.CalledProcessError(1, ["nginx", "-v"])],
)
def test_what_went_wrong_is_one_line(error: Exception) -> None:
    def wrong() -> int:
        raise error

    with pytest.raises(
        SystemExit, match=rf"^bench: .*{'no' if error.args == ('no',) else 'nginx'}"
    ):
        stopping.ended("bench", wrong)
