"""Run a case against one side, and say in facts what was seen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from select import select
from typing import Self

from tests.e2e.gateway import GatewayProcess
from tests.e2e.http_client import BadAnswerError, Connection, Response
from tests.e2e.processes import wait_until
from tests.e2e.scripted import HELLO, Script, Send, Told
from tests.parity.case import Case, Facts, Held
from tests.parity.differences import STANDING_HEADERS, STANDING_VARIABLES
from tests.parity.sides import Side
from tests.parity.site import Site, host_of

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
"""How long a body is and whether the connection stays is compared as `complete` and `close`:
Apache's choice between a length and chunks depends on timing."""

_SET_ASIDE = "standing "
"""Before the names of facts that `compared` leaves out."""


def compared(facts: Facts) -> Facts:
    """The facts without those that differ in every case, or by chance."""
    return {name: value for name, value in facts.items() if not name.startswith(_SET_ASIDE)}


def shows(facts: Facts, name: str) -> object:
    """A fact that differs in every case, or None."""
    return facts.get(_SET_ASIDE + name)


def observe(side: Side, site: Site, case: Case) -> Facts:
    """Send the case's requests to `side` and collect what the client and the backends saw."""
    facts: dict[str, object] = {}
    cookies: dict[str, str] = {}
    with ExitStack() as held:
        client = held.enter_context(_Client(side))
        for number, step in enumerate(case.before):
            if isinstance(step, Held):
                connection = held.enter_context(Connection(("127.0.0.1", side.port), timeout=20))
                facts[f"before.{number}"] = _hold(connection, site, case, step)
            elif isinstance(step, bytes):
                asked = _Asked(client, site, case, step, cookies)
                told = [name for name, _ in asked.told]
                facts[f"before.{number}"] = " ".join([asked.outcome, *told])
            else:
                time.sleep(step)
        asked = _Asked(client, site, case, case.request, cookies)
    if asked.response is None:
        facts["no response"] = asked.outcome
    else:
        facts.update(_answered(case, asked.response))
    facts["asked"] = len(asked.told)
    for number, (name, record) in enumerate(asked.told):
        facts[f"told.{number}.backend"] = name
        facts.update(_told(number, record, asked.client_port))
    # What cannot be the same: the ports, and the folder from one run to the next.
    words = {str(side.port): "PORT", str(site.folder): "FOLDER"}
    words |= {str(it.port): name for name, it in site.backends.items() if it.port}
    return {
        _SET_ASIDE * (name in case.by_chance) + name: _in_words(value, words)
        for name, value in facts.items()
    }


class _Client:
    """Who asks, one request after the other.

    Each is sent on a connection of its own. Of a server with several workers it is the same one as
    long as that stays open: the turns of a balancer's members are each worker's own.
    """

    def __init__(self, side: Side) -> None:
        self.port = side.port
        self._keeps = isinstance(side, GatewayProcess) and side.workers > 1
        self._kept: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self._kept.close()

    def connect(self) -> Connection:
        kept, self._kept = self._kept, None
        if kept is not None:
            if not select([kept.socket], [], [], 0)[0]:
                return kept
            kept.close()
        return Connection(("127.0.0.1", self.port), timeout=20)

    def give_back(self, connection: Connection, response: Response | None) -> None:
        """Keep it for the next request, or close it."""
        stays = response is not None and response.complete and response.version == b"HTTP/1.1"
        if response is None or "close" in ",".join(response.all("Connection")).lower():
            stays = False
        if self._keeps and stays:
            self._kept = connection
        else:
            connection.close()


class _Asked:
    """One request of a client, and what came of it.

    - `response`: None if there was no whole one; then `outcome` says why, else it is the status.
    - `told`: the backends that were told the request, by name.

    `cookies` are sent, and those that the answer sets are added.
    """

    def __init__(
        self, client: _Client, site: Site, case: Case, request: bytes, cookies: dict[str, str]
    ) -> None:
        for name, backend in site.backends.items():
            scripts = (case.other,) if name == "OTHER" else case.scripts
            backend.play(*[_with_folder(script, site) for script in scripts])
        kept = "; ".join(f"{name}={value}" for name, value in cookies.items())
        for word, text in (
            ("@HOST@", host_of(case)),
            ("@PORT@", str(client.port)),
            ("@COOKIES@", kept),
        ):
            request = request.replace(word.encode(), text.encode())
        self.response: Response | None = None
        connection = client.connect()
        self.client_port = connection.socket.getsockname()[1]
        # A server may close before it has read a bad request to its end.
        with suppress(ConnectionError, BrokenPipeError):
            connection.send(request)
        try:
            self.response = connection.read(request.split(b" ", 1)[0].decode("latin-1"))
            self.outcome = str(self.response.status)
        except (BadAnswerError, ConnectionError, TimeoutError) as error:
            self.outcome = type(error).__name__
        finally:
            client.give_back(connection, self.response)
        for backend in site.backends.values():
            backend.settle()
        self.told = [
            (name, record)
            for name, backend in site.backends.items()
            for record in backend.requests()
        ]
        if self.response is not None:
            for cookie in self.response.all("Set-Cookie"):
                name, _, value = cookie.partition(";")[0].partition("=")
                cookies[name] = value


def _hold(connection: Connection, site: Site, case: Case, step: Held) -> str:
    """Send the request, and tell which backend has it."""
    for backend in site.backends.values():
        backend.play(HELLO)
    connection.send(step.request.replace(b"@HOST@", host_of(case).encode()))
    having: list[str] = []

    def arrived() -> bool:
        having.extend(name for name, backend in site.backends.items() if backend.requests())
        return bool(having)

    wait_until(arrived, "a backend has the request that is held")
    return f"held {having[0]}"


def _with_folder(script: Script, site: Site) -> Script:
    folder = str(site.folder).encode()
    return [
        Send(action.data.replace(b"@FOLDER@", folder), action.times)
        if isinstance(action, Send)
        else action
        for action in script
    ]


def _answered(case: Case, response: Response) -> Facts:
    facts: dict[str, object] = {
        "status": response.status,
        "reason": response.reason.decode("latin-1"),
        "version": response.version.decode(),
        "interim": response.interim,
        "complete": response.complete,
        "close": "close" in ",".join(response.all("Connection")).lower(),
    }
    for given in sorted({name.decode("latin-1").lower() for name, _ in response.headers}):
        if given in case.exact or given not in _FRAMING:
            standing = given in STANDING_HEADERS and given not in case.exact
            facts[_SET_ASIDE * standing + f"header:{given}"] = tuple(response.all(given))
    if "header:allow" in facts:
        # A set of methods: Apache's order changes from one start to the next.
        methods = ",".join(response.all("Allow")).replace(" ", "").split(",")
        facts["header:allow"] = tuple(sorted(methods))
    if case.own_page:
        facts.pop("header:content-type", None)
        facts["page"] = bool(response.body)
    else:
        facts["body"] = response.body
    # A file's tag is made of its size and time, in whichever way.
    if "header:etag" in facts and "etag" not in case.exact:
        facts["header:etag"] = "there"
    return facts


def _told(number: int, record: Told, client_port: int) -> Facts:
    names = [name.decode("latin-1") for name, _ in record.variables]
    facts: dict[str, object] = {
        f"told.{number}.first": tuple(names[:2]),
        f"told.{number}.repeated": tuple(sorted({n for n in names if names.count(n) > 1})),
        f"told.{number}.body": bytes(record.body),
    }
    for raw_name, raw_value in record.variables:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        plain = name
        while plain.startswith("REDIRECT_"):
            plain = plain.removeprefix("REDIRECT_")
        if plain == "REMOTE_PORT":
            value = "the client's" if value == str(client_port) else f"not the client's: {value}"
        facts[_SET_ASIDE * (plain in STANDING_VARIABLES) + f"told.{number}.{name}"] = value
    return facts


def _in_words(value: object, words: Mapping[str, str]) -> object:
    if isinstance(value, tuple):
        return tuple(_in_words(item, words) for item in value)
    for chance, word in words.items():
        if isinstance(value, str):
            value = value.replace(chance, word)
        elif isinstance(value, bytes):
            value = value.replace(chance.encode(), word.encode())
    return value
