"""The way of the gateway's own log events: by its ErrorLog and LogLevel, then to Twisted's log.

What a gateway is made of logs with the `Logger` of this module. It is Twisted's, but for what its
events pass first: the filters of the gateways that run in this process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.logger import Logger as TwistedLogger
from zope.interface import implementer

EventFilter = Callable[[LogEvent], bool]
"""Takes an event that is its own affair; True lets it go on to Twisted's log."""


@implementer(ILogObserver)
class GatewayEvents:
    """Hands each event to every filter, and to the global publisher once if one of them says so.

    Without a filter, as outside a gateway, everything goes to the global publisher.
    """

    def __init__(self) -> None:
        self._filters: list[EventFilter] = []

    def add(self, event_filter: EventFilter) -> None:
        """Ask `event_filter` from now on."""
        self._filters.append(event_filter)

    def remove(self, event_filter: EventFilter) -> None:
        """Ask it no more; one that is not asked is no error."""
        if event_filter in self._filters:
            self._filters.remove(event_filter)

    def __call__(self, event: LogEvent) -> None:
        filters = self._filters
        # All of them, not any(): each may write the event to a file.
        if not filters or True in [takes(event) for takes in filters]:
            globalLogPublisher(event)


gateway_events = GatewayEvents()
"""What every `Logger` logs to."""


class Logger(TwistedLogger):
    """A Logger whose events go by `gateway_events`.

    Two keys of an event mean something there: `request`, which tells the virtual host, and
    `notice=True`, which says that no LogLevel holds it back (Apache's level of that name).
    """

    def __init__(
        self,
        namespace: str | None = None,
        source: object | None = None,
        observer: ILogObserver | None = None,
    ) -> None:
        if namespace is None:
            frame = inspect.currentframe()
            caller = frame.f_back if frame else None
            namespace = caller.f_globals.get("__name__", "scgiproxy") if caller else "scgiproxy"
        super().__init__(namespace, source, observer or gateway_events)
