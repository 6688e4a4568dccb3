"""What a member tells when processes share it: the two that are a `pool.backend.Sharing`."""

from __future__ import annotations

from scgiproxy.pool.backend import Backend
from scgiproxy.service.workers.busyness import WorkerBusyness
from scgiproxy.service.workers.conditions import ParentConditions, WorkerConditions
from scgiproxy.service.workers.places import WorkerPlaces


class Original:
    """A member of the parent's. What is found out of it is told to all workers."""

    def __init__(self, backend: Backend, conditions: ParentConditions) -> None:
        self._backend = backend
        self._conditions = conditions

    def taken(self) -> None:
        """No request is served here."""

    given_back = taken

    def judged(self) -> None:
        self._conditions.changed.add(self._backend)


class Copy:
    """A member of a worker's. What happens to it is told to the parent."""

    __slots__ = ("_backend", "_busy", "_judged", "_places")

    def __init__(
        self,
        backend: Backend,
        conditions: WorkerConditions,
        busyness: WorkerBusyness,
        places: WorkerPlaces,
    ) -> None:
        self._backend = backend
        self._busy = busyness.changed
        self._judged = conditions.changed
        self._places = places

    def taken(self) -> None:
        self._busy.add(self._backend)

    def given_back(self) -> None:
        self._busy.add(self._backend)
        if self._backend.places is not None:
            self._places.freed(self._backend)

    def judged(self) -> None:
        self._judged.add(self._backend)
