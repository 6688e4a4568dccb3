"""Gateways with several workers, and what is seen of them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.gateway import Gateway

Start = Callable[..., Gateway]
"""``start(TEXT, workers=2, environment=None)``: a gateway whose workers all serve."""

MODULES = os.pathsep.join(
    [
        str(Path(__file__).parents[2]),
        *(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))),
    ]
)
"""Where the gateway and what it needs are, but for the standard library."""

BROKEN = """\
import os, sys
if "worker" in sys.orig_argv and os.path.exists({flag!r}):
    print("broken on purpose", file=sys.stderr, flush=True)
    os._exit(7)
"""
"""A module that Python imports at its start, before anything of the gateway."""

Start = Callable[..., Gateway]


def serving(gateway: Gateway) -> int:
    """How many workers have ever begun to serve."""
    return len(re.findall(r"worker \d+ \(pid \d+\) serves", gateway.logged()))
