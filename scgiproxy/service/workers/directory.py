"""What members are called between processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.service.workers.link import JSON

Name = tuple[int, str]
"""The number of its pool, which is the same in every process of one configuration, and its label."""


class Directory:
    """The members of `pools` by `Name`. Only those count that have something to be shared: members
    of balancers, and backends with a `max`."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools
        self._known: dict[Name, tuple[Pool, Backend]] = {}
        self._names: dict[Backend, Name] = {}
        self.update()

    def update(self) -> None:
        """Pools have other members."""
        self._known = {
            (number, backend.label): (pool, backend)
            for number, pool in enumerate(self._pools)
            for backend in pool.backends
            if pool.balanced or backend.settings.max_connections is not None
        }
        self._names = {backend: name for name, (_, backend) in self._known.items()}

    def __iter__(self) -> Iterator[tuple[Pool, Backend]]:
        return iter(self._known.values())

    def name(self, backend: Backend) -> Name | None:
        """None if it is not there any more."""
        return self._names.get(backend)

    def find(self, number: JSON, label: JSON) -> tuple[Pool, Backend] | None:
        """The same for one that may be known elsewhere only."""
        return self._known.get((number, label))  # type: ignore[arg-type]
