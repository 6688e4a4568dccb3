"""How a benchmark ends: what it started is stopped with it, and what went wrong is said in a line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_TERMINATING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
SIGNALS = (signal.SIGINT, *_TERMINATING)
"""Those by which somebody stops a program, and leaves it the time to clear up."""
_INTERRUPTED = 128 + signal.SIGINT


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit("stopped")


def stop_by_signals() -> None:
    """Leave all contexts when a signal says so, one that is ignored (`nohup`) excepted."""
    for number in _TERMINATING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ended(name: str, main: Callable[[], int]) -> NoReturn:
    """Run `main` as the program `name`, and exit with what it returns; with 1 where it cannot go on
    or is told to stop, with 130 where that is done by the keyboard."""
    stop_by_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"{name}: {error}")
