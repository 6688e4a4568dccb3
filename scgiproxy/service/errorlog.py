"""ErrorLog and LogLevel: which of a gateway's log events are written, and where.

An event that tells of a request counts as its virtual host's, any other as the main server's.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from twisted.logger import LogEvent, LogLevel, formatEvent

from scgiproxy.log.events import gateway_events
from scgiproxy.log.file import LogFile
from scgiproxy.rules.settings import ServerSettings

_GRAVITY: dict[Any, int] = {
    level: gravity
    for gravity, level in enumerate(
        (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error, LogLevel.critical)
    )
}
# Nothing is graver here than critical; what Apache calls a notice is written in any case.
_THRESHOLDS = {
    **dict.fromkeys(("emerg", "alert", "crit"), _GRAVITY[LogLevel.critical]),
    "error": _GRAVITY[LogLevel.error],
    **dict.fromkeys(("warn", "notice"), _GRAVITY[LogLevel.warn]),
    "info": _GRAVITY[LogLevel.info],
}
_NAMES = {LogLevel.critical: "crit"}
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Output:
    """What one server says."""

    threshold: int
    file: LogFile | None


class ErrorLogs:
    """The error logs of one gateway, in force between `open` and `close`.

    `main` and `virtual_hosts` are the settings of its servers. Without ErrorLog an event goes on to
    Twisted's log, if LogLevel lets it; with one it is a line of that file, in Apache's format, and
    nothing else.

    With `before`, those of the configuration before, files that are there still stay open, and what
    is told of its requests goes where it went, until `forget`.
    """

    def __init__(
        self,
        main: ServerSettings,
        virtual_hosts: Iterable[ServerSettings] = (),
        before: ErrorLogs | None = None,
    ) -> None:
        self._files: dict[str, LogFile] = {}
        self._known = {} if before is None else {file.path: file for file in before.files}
        self._main = self._output(main)
        # By identity: the settings of an event's request are these very objects, or not ours.
        self._outputs = {id(server): (server, self._output(server)) for server in virtual_hosts}
        self._outputs[id(main)] = (main, self._main)
        self._older: dict[int, tuple[ServerSettings, _Output]] = {}
        if before is not None:
            self._older = before._outputs | before._older  # noqa: SLF001  of its kind
        self._known = {}

    def _output(self, server: ServerSettings) -> _Output:
        path = server.error_log
        file = None
        if path is not None:
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = self._known.get(path) or LogFile(path, "error log")
        return _Output(_THRESHOLDS.get(server.log_level, 0), file)

    @property
    def files(self) -> Iterable[LogFile]:
        """The files, opened or not; `open` does not open them."""
        return self._files.values()

    def open(self) -> None:
        """Take the gateway's events from now on. Again is harmless."""
        gateway_events.remove(self.takes)
        gateway_events.add(self.takes)

    def leave(self) -> None:
        """Leave them alone. The files stay open."""
        gateway_events.remove(self.takes)

    def close(self) -> None:
        """Leave them alone, and close the files."""
        self.leave()
        for file in self._files.values():
            file.close()

    def forget(self, before: ErrorLogs) -> None:
        """Nothing of that configuration's requests is left; its files are somebody else's to close."""
        for server in before._outputs:
            self._older.pop(server, None)

    def takes(self, event: LogEvent) -> bool:
        """Write `event`, or drop it; True if it is for Twisted's log (a `log.events.EventFilter`)."""
        output = self._main
        host = getattr(event.get("request"), "host_resource", None)
        if host is not None:
            server = id(host.server)
            found = self._outputs.get(server) or self._older.get(server)
            if found is None:
                return False
            output = found[1]
        gravity = _GRAVITY.get(event.get("log_level"), 0)
        if gravity < output.threshold and not event.get("notice"):
            return False
        if output.file is None:
            return True
        output.file.append(format_line(event))
        return False


def format_line(event: LogEvent) -> bytes:
    """One line, with its line end, as Apache writes it: ``[time] [module:level] [pid N] message``.

    A failure's traceback is in it as well; line ends and what else cannot be seen are escaped.
    """
    level = event.get("log_level")
    name = "notice" if event.get("notice") else _NAMES.get(level) or getattr(level, "name", "info")
    text = formatEvent(event)
    failure = event.get("log_failure")
    if failure is not None:
        text = f"{text}: {failure.getErrorMessage()}\n{failure.getTraceback().rstrip()}"
    line = "[{}] [{}:{}] [pid {}] {}".format(
        _time(event["log_time"]),
        event.get("log_namespace", "").removeprefix("scgiproxy."),
        name,
        os.getpid(),
        _INVISIBLE.sub(lambda match: ascii(match[0])[1:-1], text),
    )
    return line.encode() + b"\n"


def _time(seconds: float) -> str:
    """``Sun Nov 06 08:49:37.000000 1994``, in local time (%{u}t)."""
    text = time.asctime(time.localtime(seconds))  # whatever the locale
    day = text[8:10].replace(" ", "0")
    return f"{text[:8]}{day}{text[10:19]}.{int(seconds % 1 * 1_000_000):06}{text[19:]}"
