"""An ASGI application without a framework: the bare protocol, lifespan included."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from tests.e2e.apps.gate import wait_for

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
SendEvent = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: Scope, receive: Receive, send: SendEvent) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    name, _, rest = _path_info(scope).lstrip("/").partition("/")
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    page = PAGES.get(name)
    if page is None:
        await _respond(send, 404, b"no such page")
        return
    await page(scope, receive, send, bytes(body), rest)


def _path_info(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope["root_path"])


async def _lifespan(receive: Receive, send: SendEvent) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _respond(
    send: SendEvent, status: int, body: bytes, *headers: tuple[bytes, bytes]
) -> None:
    given = [(b"Content-Type", b"text/plain"), (b"Content-Length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body})


async def variables(
    scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str
) -> None:
    """What the server made of the request's variables, under their CGI names."""
    shown = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope["root_path"],
        "PATH_INFO": _path_info(scope),
        "QUERY_STRING": scope["query_string"].decode(),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "REMOTE_ADDR": scope["client"][0],
    }
    for name, value in scope["headers"]:
        shown["HTTP_" + name.decode().upper().replace("-", "_")] = value.decode()
    await _respond(send, 200, json.dumps(shown).encode())


async def form(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    fields = sorted(parse_qsl(body.decode(), keep_blank_values=True))
    await _respond(send, 200, " ".join(f"{name}={value}" for name, value in fields).encode())


async def count(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    """How often this session was here."""
    cookies = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
    seen = int(cookies["count"].value) + 1 if "count" in cookies else 1
    await _respond(send, 200, str(seen).encode(), (b"Set-Cookie", b"count=%d; Path=/" % seen))


async def raw(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    """Length and SHA-256 of the body."""
    await _respond(send, 200, f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())


async def stream(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    """A second piece that comes only when the client has the first."""
    gate = dict(parse_qsl(scope["query_string"].decode()))["gate"]
    headers = [(b"Content-Type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
    await asyncio.to_thread(wait_for, gate)
    await send({"type": "http.response.body", "body": b"second\n"})


async def away(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    host = dict(scope["headers"])[b"host"]
    target = b"http://" + host + scope["root_path"].encode() + b"/variables"
    await _respond(send, 302, b"", (b"Location", target))


async def status(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    await _respond(send, int(rest), f"status {rest}".encode())


async def patient(scope: Scope, receive: Receive, send: SendEvent, body: bytes, rest: str) -> None:
    """Whether the server says that the client has left, while it has not."""
    gate = dict(parse_qsl(scope["query_string"].decode()))["gate"]
    leaving = asyncio.ensure_future(receive())
    waiting = asyncio.ensure_future(asyncio.to_thread(wait_for, gate))
    await asyncio.wait({leaving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    answer = b"left" if leaving.done() else b"still there"
    leaving.cancel()
    await waiting
    await _respond(send, 200, answer)


PAGES = {
    "variables": variables,
    "form": form,
    "session": count,
    "raw": raw,
    "stream": stream,
    "redirect": away,
    "status": status,
    "patient": patient,
}
