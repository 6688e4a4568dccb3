"""What a worker gets from its parent at its start."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from scgiproxy.config.model import Config
from scgiproxy.service.workers.link import JSON

LINK_FD = 3
"""The worker's end of the link; the descriptors that are handed over follow it."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The configuration as the parent has read it, and what the parent has opened for it.

    - `sockets`: a descriptor for each of ``config.listeners``.
    - `files`: what is in the files that each of them names (`HeldListeners.files`).
    - `logs`: a descriptor for each log file, by its path.
    - `generation`: which configuration of the parent's it is, counted from 1.

    Descriptors are numbered as in the worker.
    """

    config: Config
    sockets: Sequence[int]
    files: Sequence[Mapping[str, bytes]]
    logs: Mapping[str, int]
    generation: int = 1

    def at(self, descriptors: Sequence[int]) -> Handover:
        """The same, where the descriptors have these numbers: of the sockets, then of the logs."""
        count = len(self.sockets)
        logs = dict(zip(self.logs, descriptors[count:], strict=True))
        return replace(self, sockets=descriptors[:count], logs=logs)

    def packed(self) -> JSON:
        """As a value for the link, which nobody else can read. Pickled: it comes from the same
        program, and goes to it."""
        return base64.b64encode(pickle.dumps(self, pickle.HIGHEST_PROTOCOL)).decode("ascii")

    @classmethod
    def unpacked(cls, value: JSON) -> Self:
        """The inverse of `packed`."""
        assert isinstance(value, str)
        found: Self = pickle.loads(base64.b64decode(value))  # noqa: S301  it is the parent's
        return found
