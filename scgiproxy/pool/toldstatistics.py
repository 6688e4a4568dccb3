"""Statistics of another process, to be shown: they are read when somebody looks, and not before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scgiproxy.pool.histogram import Histogram
from scgiproxy.pool.statistics import BackendStatistics
from scgiproxy.pool.timeline import Chart, Timeline, mean_latencies, unpacked


def tell_timeline(timeline: Timeline, now: float, *, overall: bool, lately: bool) -> dict[str, Any]:
    """What JSON has of it: all that there were, the last minutes, or both."""
    told: dict[str, Any] = {"spent": timeline.spent}
    if overall and (histogram := timeline.overall().as_list()):
        told["overall"] = histogram
    if lately and (last := timeline.lately(now)):
        told["lately"] = last
    return told


def tell_backend(
    statistics: BackendStatistics, now: float, *, overall: bool, lately: bool
) -> dict[str, Any]:
    """The same of a backend, with its errors."""
    told = tell_timeline(statistics, now, overall=overall, lately=lately)
    if statistics.errors:
        told["errors"] = statistics.errors
    if overall:
        told["connect"] = statistics.connect.as_list()
        told["first_byte"] = statistics.first_byte.as_list()
    return told


class ToldTimeline:
    """What `tell_timeline` has told. It is of one moment, whatever `now` is."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self.spent: float = told["spent"]

    def overall(self) -> Histogram:
        """All that there were."""
        return self._histogram(self._told.get("overall", ()))

    def recent(self, now: float) -> Histogram:  # noqa: ARG002  it is of the moment it was told
        """Those of the last minute."""
        lately = self._told.get("lately")
        return self._histogram(lately[0] if lately else ())

    def chart(self, now: float) -> Chart:  # noqa: ARG002
        """The last two minutes."""
        _, requests, errors, time = self._told.get("lately") or ((), "", "", "")
        counts = unpacked("I", requests)
        return Chart(counts, unpacked("I", errors), mean_latencies(unpacked("d", time), counts))

    @staticmethod
    def _histogram(told: Sequence[Any]) -> Histogram:
        made = Histogram()
        made.add_list(told)
        return made


class ToldBackendStatistics(ToldTimeline):
    """What `tell_backend` has told."""

    @property
    def connect(self) -> Histogram:
        """Seconds until a connection was made."""
        return self._histogram(self._told.get("connect", ()))

    @property
    def first_byte(self) -> Histogram:
        """Seconds from the connection to the response head."""
        return self._histogram(self._told.get("first_byte", ()))

    @property
    def errors(self) -> Mapping[str, int]:
        """How often, by the `log_key` of the error."""
        errors: Mapping[str, int] = self._told.get("errors", {})
        return errors
