"""Load: GET requests on some connections until told to stop, and what became of each of them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Self

_LONGEST = 120.0
"""Seconds after which the load ends whatever happens."""
_PATIENCE = 60.0
"""Seconds for one answer."""
_LINE = 1 << 16


@dataclass
class Report:
    """What became of the requests.

    - `answered`: 200 with a whole body that is right.
    - `cut_off`: 200, and the body broke off in a way that the client notices.
    - `seconds`: how long each of those took that were answered, from the request to its last byte.
    - `failures`: everything else, by what it was: another status, no answer at all, a body that
      looks whole and is not right.
    """

    answered: int = 0
    cut_off: int = 0
    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class _CutOffError(Exception):
    """The answer had begun."""


class Load:
    """Load on ``http://127.0.0.1:PORT/PATH``, one request after the other on each connection.

    A connection that the server closes after an answer is made anew. `is_right` looks at a whole
    body, and `report` is what became of them so far. Leaving the context stops it; `stop` does, and
    tells. A request under way is brought to its end then, and counts.
    """

    def __init__(
        self, port: int, connections: int, is_right: Callable[[bytes], bool], path: str = "/"
    ) -> None:
        self._port = port
        self._connections = connections
        self._is_right = is_right
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self.report = Report()
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> Report:
        self._stopping = True
        self._thread.join(_PATIENCE + 1)
        if self._thread.is_alive():
            self.report.failures["still under way"] += 1
        return self.report

    async def _run(self) -> None:
        asking = [asyncio.create_task(self._ask_again()) for _ in range(self._connections)]
        _, late = await asyncio.wait(asking, timeout=_LONGEST)
        for task in late:
            task.cancel()

    async def _ask_again(self) -> None:
        while not self._stopping:
            writer: asyncio.StreamWriter | None = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=_LINE)
                stays = True
                while stays and not self._stopping:
                    async with asyncio.timeout(_PATIENCE):
                        stays = await self._ask(reader, writer)
            except _CutOffError:
                self.report.cut_off += 1
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self.report.failures[repr(error)] += 1
            finally:
                if writer is not None:
                    writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        begun = monotonic()
        writer.write(self._request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (b.partition(b":") for b in lines)
        }
        size = int(fields.get(b"content-length", b"none was told"))
        try:
            body = await reader.readexactly(size)
        except (ConnectionError, EOFError) as error:
            raise _CutOffError from error
        if not first.startswith(b"HTTP/1.1 200 "):
            self.report.failures[first.decode("latin-1")] += 1
        elif self._is_right(body):
            self.report.answered += 1
            self.report.seconds.append(monotonic() - begun)
        else:
            self.report.failures[f"body {body[:40]!r}"] += 1
        return fields.get(b"connection") != b"close"
