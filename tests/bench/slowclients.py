"""Clients that hold connections: a byte now and then, until they are cut::

    python -m tests.bench.slowclients PORT COUNT KIND [RAMP [EVERY]]

They connect to 127.0.0.1 within RAMP seconds and send the beginning of a request (KIND ``header``), of
a body (``body``), or a whole request (``read``) whose answer they read a byte at a time; then a byte
EVERY seconds. Prints "connected" when all are, and one line of JSON when all are gone.
"""

from __future__ import annotations

import heapq
import json
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

_HEAD = b"%b HTTP/1.1\r\nHost: localhost\r\n"
BEGINNINGS = {
    "header": _HEAD % b"GET /1024" + b"X-Slow: ",
    "body": _HEAD % b"POST /1024" + b"Content-Length: 1000000\r\n\r\n",
    "read": _HEAD % b"GET /20000000" + b"\r\n",
}
GIVE_UP = 300.0
"""Seconds after which those that are still there go by themselves."""


@dataclass
class SlowClient:
    """One of them; `ended` is how long after its beginning it was cut."""

    socket: socket.socket
    begun: float
    ended: float = 0.0
    status: bytes = b""


@dataclass
class SlowClients:
    port: int
    count: int
    kind: str
    every: float
    clients: dict[int, SlowClient] = field(default_factory=dict)
    gone: list[SlowClient] = field(default_factory=list)

    def run(self, ramp: float) -> None:
        """Until all are gone."""
        poller = select.epoll()
        due: list[tuple[float, int]] = []
        begun = time.monotonic()
        number = 0
        while self.clients or number < self.count:
            now = time.monotonic()
            if now - begun > GIVE_UP:
                break
            while number < self.count and now - begun >= ramp * number / self.count:
                fd = self._connect()
                poller.register(fd, 0 if self.kind == "read" else select.EPOLLIN)
                heapq.heappush(due, (now + self.every, fd))
                number += 1
                if number == self.count:
                    print("connected", flush=True)
            while due and due[0][0] <= now:
                at, fd = heapq.heappop(due)
                if fd in self.clients:
                    self._act(self.clients[fd])
                    heapq.heappush(due, (at + self.every, fd))
            # They come one by one, not all that are due after a sleep.
            for fd, _ in poller.poll(0.001 if number < self.count else 0.005, 512):
                if self._is_over(self.clients[fd]):
                    self._leave(self.clients.pop(fd))

    def _connect(self) -> int:
        skt = socket.socket()
        if self.kind == "read":
            skt.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        skt.connect(("127.0.0.1", self.port))
        skt.sendall(BEGINNINGS[self.kind])
        skt.setblocking(False)
        self.clients[skt.fileno()] = SlowClient(skt, time.monotonic())
        return skt.fileno()

    def _act(self, client: SlowClient) -> None:
        with suppress(OSError):
            if self.kind == "read":
                client.socket.recv(1)
            else:
                client.socket.send(b"x")

    def _is_over(self, client: SlowClient) -> bool:
        """Whether the server has closed; an answer is read before."""
        if self.kind == "read":
            return True  # nothing but a reset is waited for
        try:
            data = client.socket.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if data:
            client.status = client.status or data[9:12]
        return not data

    def _leave(self, client: SlowClient) -> None:
        client.ended = time.monotonic() - client.begun
        client.socket.close()
        self.gone.append(client)

    def told(self) -> dict[str, object]:
        """What became of them; times in seconds."""
        times = sorted(client.ended for client in self.gone)
        statuses = {client.status.decode() for client in self.gone}
        return {
            "count": self.count,
            "cut": len(times),
            "first": times[0] if times else 0.0,
            "median": times[len(times) // 2] if times else 0.0,
            "last": times[-1] if times else 0.0,
            "statuses": sorted(statuses),
        }


def main(port: str, count: str, kind: str, ramp: str = "5", every: str = "10") -> None:
    clients = SlowClients(int(port), int(count), kind, float(every))
    clients.run(float(ramp))
    print(json.dumps(clients.told()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
