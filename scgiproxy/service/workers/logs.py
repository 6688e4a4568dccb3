"""Twisted's log in a worker: its events are the parent's to write, with the worker's number."""

from __future__ import annotations

from typing import Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import implementer

from scgiproxy.service.workers.link import JSON, Link

_TOPIC = "log"


def send_events(link: Link) -> None:
    """In a worker: have all that goes to Twisted's log told to the parent, from now on."""

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        link.tell(
            _TOPIC,
            {
                "level": level.name,
                "namespace": event.get("log_namespace", ""),
                "time": event.get("log_time"),
                "text": text,
            },
        )

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=False)


def take_events(link: Link) -> None:
    """In the parent: write what the worker tells. It has been through ErrorLog and LogLevel."""

    def take(event: Any) -> JSON:
        globalLogPublisher(
            {
                "log_level": LogLevel.levelWithName(event["level"]),
                "log_namespace": event["namespace"],
                "log_time": event["time"],
                "log_format": "worker {worker}: {text}",
                "worker": link.number,
                "text": event["text"],
            }
        )
        return None

    link.answer(_TOPIC, take)
