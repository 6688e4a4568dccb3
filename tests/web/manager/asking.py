"""Requests to the manager, in memory."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from twisted.internet.address import IPv4Address, IPv6Address

from scgiproxy.web.manager.resource import BalancerManagerResource
from tests.web.answers import Answer
from tests.web.harness import Gateway
from tests.web.manager.stage import NONCE, Stage
from tests.web.resources import plugin

HOST = "localhost:8080"
HERE = {"Host": HOST, "Origin": f"http://{HOST}"}
FORM = "application/x-www-form-urlencoded"
MEMBER = "scgi://10.0.0.11:4000"


class Manager:
    """A gateway in memory with the manager at every path."""

    def __init__(self, make: Any, **gateway: Any) -> None:
        gateway.setdefault("server", {"name": b"example.com"})
        self.gateway: Gateway = plugin(None, **gateway)
        self.stage: Stage = make(self.gateway.clock)
        self.resource = BalancerManagerResource(
            lambda: self.stage.balancers, self.stage.numbers, self.gateway.clock
        )
        self.gateway.host._plugins["test"] = self.resource
        self.peer: IPv4Address | IPv6Address = IPv4Address("TCP", "127.0.0.1", 4711)

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        fields = dict(HERE if headers is None else headers)
        if body:
            fields.setdefault("Content-Type", FORM)
            fields["Content-Length"] = str(len(body))
        lines = [
            f"{method} {target} HTTP/1.1",
            *(f"{n}: {v}" for n, v in fields.items() if v),
            "",
            "",
        ]
        client = self.gateway.client(peer=self.peer)
        client.send("\r\n".join(lines).encode("latin-1") + body)
        self.gateway.settle()
        (answer,) = client.answers
        client.leave()
        return answer

    def get(self, query: str = "", **headers: str) -> Answer:
        return self.ask("GET", "/bm" + query, {**HERE, **headers})

    def post(
        self, fields: dict[str, str] | bytes, query: str = "", headers: dict[str, str] | None = None
    ) -> Answer:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self.ask("POST", "/bm" + query, headers, body)

    def edit(self, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """A change of the first member; ``b=""`` leaves that field out."""
        given = {"b": "shop", "w": MEMBER, "nonce": NONCE, **fields}
        return self.post({n: v for n, v in given.items() if v != "-none-"}, headers=headers)

    @property
    def member(self) -> Any:
        return self.stage.balancers[0].pool.backends[0]

    @property
    def state(self) -> Any:
        """What programs are told, without what time changes."""
        found = json.loads(self.get("?format=json").body)
        return found["balancers"]


def problems(answer: Answer) -> list[str]:
    """What a page of refusal says."""
    return [unescape(text) for text in re.findall(r"<li>(.*?)</li>", answer.body.decode())]
