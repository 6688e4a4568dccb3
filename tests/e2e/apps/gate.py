"""How a streaming application knows that its first piece has reached the client."""

import time
from pathlib import Path


def wait_for(gate: Path | str, seconds: float = 10.0) -> None:
    """Return when the test has made the file, or after `seconds`."""
    end = time.monotonic() + seconds
    while not Path(gate).exists() and time.monotonic() < end:
        time.sleep(0.01)
