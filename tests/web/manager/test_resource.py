"""What the manager answers to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.web.manager.asking import FORM, HERE, HOST, MEMBER, Manager, problems
from tests.web.manager.stage import NONCE, Stage, full_stage


@pytest.fixture
def manager() -> Manager:
    return Manager(full_stage)


def test_a_change(manager: Manager) -> None:
    """303 back to the page, to the place of the member; and it is changed."""
    answer = manager.edit(w_lf="7", w_wr="z")
    assert answer.status == 303
    location = answer["location"] or ""
    assert location.startswith("./bm#m")
    assert location.removeprefix("./bm#") in manager.get().body.decode()
    assert (manager.member.full_factor, manager.member.route) == (700, b"z")


def test_a_change_by_a_program(manager: Manager) -> None:
    """The new state comes back."""
    headers = {**HERE, "Accept": "application/json"}
    answer = manager.edit(headers, w_status_N="1")
    assert answer.status == 200
    assert answer["content-type"] == "application/json"
    first = json.loads(answer.body)["balancers"][0]["members"][0]
    assert (first["name"], first["state"], first["draining"]) == (MEMBER, "draining", True)


def test_the_balancer_is_changed(manager: Manager) -> None:
    """All of its fields, and a member that is added in the same form."""
    answer = manager.edit(
        w="-none-",
        b_lbm="bytraffic",
        b_tmo="5",
        b_max="1",
        b_sforce="1",
        b_ss="SID|sid",
        b_nwrkr="scgi://10.0.0.99:4000",
        b_wyes="1",
    )
    assert answer.status == 303
    shop = manager.state[0]
    assert (shop["method"], shop["timeout_seconds"], shop["max_attempts"]) == ("bytraffic", 5, 1)
    assert shop["no_failover"] is True
    assert (shop["sticky"]["cookie"], shop["sticky"]["parameter"]) == ("SID", "sid")
    assert shop["members"][-1]["name"] == "scgi://10.0.0.99:4000"
    assert shop["members"][-1]["state"] == "disabled"
    assert (shop["growth"], shop["growth_left"]) == (3, 2)


def test_b_wyes_must_be_given(manager: Manager) -> None:
    """As in Apache: a URL alone adds nothing."""
    assert manager.edit(w="-none-", b_nwrkr="scgi://10.0.0.99:4000").status == 303
    assert len(manager.state[0]["members"]) == 7


@pytest.mark.parametrize("name", ["shop", "SHOP", "balancer://shop"])
def test_names_of_balancers(manager: Manager, name: str) -> None:
    assert manager.edit(b=name, w_ls="3").status == 303


@pytest.mark.parametrize("label", ["unix:/run/shop/blue.sock|scgi://blue", "scgi://blue"])
def test_names_of_members(manager: Manager, label: str) -> None:
    """Of a UNIX socket's the end will do, as Apache's own forms send it."""
    assert manager.edit(w=label, w_ls="3").status == 303
    assert manager.state[0]["members"][3]["set"] == 3


FROM_HERE = {"Host": HOST}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": f"http://{HOST}"},
        {"Origin": f"https://{HOST}"},
        {"Referer": f"http://{HOST}/bm?b=shop"},
        {"Referer": f"http://{HOST.upper()}"},
        {"Host": "localhost", "Origin": "http://localhost"},
        {"Host": "localhost:80", "Origin": "http://localhost"},
        {"Host": "localhost", "Referer": "https://localhost:443/x"},
        {"Host": "[::1]:8080", "Origin": "http://[::1]:8080"},
        {"Host": "example.com", "Origin": "http://example.com"},
    ],
)
def test_it_comes_from_here(manager: Manager, headers: dict[str, str]) -> None:
    assert manager.edit({**FROM_HERE, **headers}, w_ls="5").status == 303


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "does not say where it comes from"),
        ({"Sec-Fetch-Site": "cross-site"}, "page of another site"),
        ({"Sec-Fetch-Site": "same-site"}, "page of another site"),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"}, "page of another site"),
        ({"Origin": "null"}, "Origin is not this server"),
        ({"Origin": "http://evil.example"}, "Origin is not this server"),
        ({"Origin": "http://localhost:8081"}, "Origin is not this server"),
        ({"Origin": "http://localhost"}, "Origin is not this server"),
        ({"Origin": f"ftp://{HOST}"}, "Origin is not this server"),
        ({"Origin": f"http://{HOST}@evil.example"}, "Origin is not this server"),
        ({"Origin": f"http://evil@{HOST}"}, "Origin is not this server"),
        ({"Origin": f"http://{HOST}.evil.example"}, "Origin is not this server"),
        ({"Origin": "http://[::1"}, "Origin is not this server"),
        ({"Origin": "http://\xe9"}, "Origin is not this server"),
        ({"Origin": "null", "Referer": f"http://{HOST}/bm"}, "Origin is not this server"),
        ({"Referer": "http://evil.example/" + HOST}, "Referer is not this server"),
        ({"Referer": f"//{HOST}/"}, "Referer is not this server"),
    ],
)
def test_it_comes_from_elsewhere(manager: Manager, headers: dict[str, str], told: str) -> None:
    before = manager.state
    answer = manager.edit({**FROM_HERE, **headers}, w_ls="5")
    assert answer.status == 403
    (problem,) = problems(answer)
    assert told in problem
    assert "Nothing has been changed" in answer.body.decode()
    assert manager.state == before


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"nonce": "-none-"}, 403, ["nonce: it is missing; it is on the page"]),
        ({"nonce": ""}, 403, ["nonce: it is missing"]),
        ({"nonce": "wrong"}, 403, ["nonce: it is not that of this balancer"]),
        ({"nonce": NONCE + "0"}, 403, ["nonce: it is not"]),
        ({"nonce": "\u20ac"}, 403, ["nonce: it is not"]),
        ({"b": "-none-"}, 400, ["b: expected the name"]),
        ({"b": "shup"}, 404, ["There is no balancer shup here"]),
        ({"b": "<script>"}, 404, ["There is no balancer <script> here"]),
        ({"w": "scgi://10.0.0.77:4000"}, 404, ["has no member"]),
        ({"w": "-none-"}, 400, ["w: expected the URL of a member"]),
        ({"w_lf": "0"}, 400, ["w_lf: "]),
        ({"w_lf": "nan"}, 400, ["w_lf: "]),
        ({"w_lf": "0", "w_ls": "x", "w_status_N": "2"}, 400, ["w_ls: ", "w_lf: ", "w_status_N: "]),
        ({"w_zz": "1"}, 400, ["there is no such field"]),
        ({"lf": "1"}, 400, ["lf: there is no such field"]),
        ({"b_lbm": "bytraffic"}, 400, ["expected fields with w_ or with b_, got both"]),
        ({"w_ls": "-none-"}, 400, ["expected a field that says what is to be changed"]),
        ({"w_he": "nobody"}, 400, [""]),
        ({"w_wr": "a\r\nSet-Cookie: x=y"}, 400, ["w_wr: "]),
    ],
)
def test_it_is_refused(
    manager: Manager, fields: dict[str, str], status: int, told: list[str]
) -> None:
    """Every problem is told, and nothing is changed."""
    before = manager.state
    answer = manager.edit(**{"w_ls": "9", **fields})
    assert answer.status == status
    found = problems(answer)
    assert len(found) == len(told), found
    for problem, part in zip(found, told, strict=True):
        assert part in problem
    assert "set-cookie" not in answer.headers
    assert manager.state == before


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"b_lbm": "byluck", "b_tmo": "9999"}, ["b_tmo: ", "b_lbm: expected one of byrequests"]),
        ({"b_nwrkr": "http://x/", "b_wyes": "1", "b_lbm": "bytraffic"}, [""]),
        ({"b_nwrkr": "", "b_wyes": "1"}, [""]),
        ({"b_nwrkr": MEMBER, "b_wyes": "1"}, ["is a member already"]),
        ({"b_nwrkr": "scgi://10.0.0.99:1", "b_wyes": "yes"}, ["b_wyes: expected 0 or 1"]),
    ],
)
def test_the_balancer_is_not_changed(
    manager: Manager, fields: dict[str, str], told: list[str]
) -> None:
    before = manager.state
    answer = manager.edit(w="-none-", **fields)
    assert answer.status == 400
    for problem, part in zip(problems(answer), told, strict=True):
        assert part in problem
    assert manager.state == before


def test_no_place_for_another(manager: Manager) -> None:
    answer = manager.edit(b="admin", w="-none-", b_nwrkr="scgi://10.0.0.99:4000", b_wyes="1")
    assert answer.status == 400
    assert "growth=0" in problems(answer)[0]


def test_a_refusal_for_a_program(manager: Manager) -> None:
    answer = manager.edit({**HERE, "Accept": "application/json"}, w_lf="0", w_ls="x")
    assert (answer.status, answer["content-type"]) == (400, "application/json")
    found = json.loads(answer.body)
    assert found["status"] == 400
    assert [problem.split(":")[0] for problem in found["problems"]] == ["w_lf", "w_ls"]


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The lines that the log has of the page."""
    lines: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        line = event["log_format"].format(**event)
        if line.startswith("balancer-manager"):
            lines.append(line)

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def test_a_refusal_is_logged(manager: Manager, told: list[str]) -> None:
    """In one line, whatever was sent."""
    manager.edit(b="x\nforged: line\x1b[2J")
    (line,) = told
    assert "a change by 127.0.0.1 is refused, 404: There is no balancer" in line
    assert line.isprintable()


def test_by_ipv4_to_a_socket_for_both(manager: Manager, told: list[str]) -> None:
    """The address is the client's own, as in every other line of the log."""
    manager.peer = IPv6Address("TCP", "::ffff:192.0.2.7", 4711)
    manager.edit(w_lf="0")
    (line,) = told
    assert "a change by 192.0.2.7 is refused, 400" in line


def test_a_change_by_get_is_logged(manager: Manager, told: list[str]) -> None:
    manager.get("?w_lf=3")
    manager.get("?format=yaml")
    (line,) = told
    assert "a change by 127.0.0.1 is refused, 405: w_lf" in line


def test_no_nonce_is_asked_for() -> None:
    """With ``nonce=None`` in the file; where it comes from is."""

    def make(clock: Any) -> Stage:
        stage = Stage(clock)
        stage.balancer("shop", [(MEMBER, {})], nonce="")
        return stage

    manager = Manager(make)
    assert manager.edit({"Host": HOST}, nonce="-none-", w_ls="4").status == 403
    assert manager.edit(nonce="-none-", w_ls="4").status == 303


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"b=shop", "text/plain", 415),
        (b"b=shop", "multipart/form-data; boundary=x", 415),
        (b"b=shop", "application/json", 415),
        (b"b=shop", "APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8", 403),
        (b"b=" + b"x" * 16383, "application/x-www-form-urlencoded", 413),
        (b"&".join(b"a%d=" % n for n in range(101)), "application/x-www-form-urlencoded", 400),
        (b"b", "application/x-www-form-urlencoded", 400),
        (b"\xff=\xfe", "application/x-www-form-urlencoded", 400),
    ],
)
def test_the_form(manager: Manager, body: bytes, kind: str, status: int) -> None:
    assert manager.post(body, headers={**HERE, "Content-Type": kind}).status == status


def test_a_long_form_is_refused_before_it_is_sent(manager: Manager) -> None:
    client = manager.gateway.client().send(
        f"POST /bm HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 16385\r\n\r\n".encode()
    )
    manager.gateway.settle()
    (answer,) = client.answers
    assert answer.status == 413
    client.leave()


@pytest.mark.parametrize(
    "query",
    [
        *(
            "w_lf=3",
            "b=shop&w_status_D=1",
            "b_lbm=bytraffic",
            "b_wyes=1",
            "W=1&w_lf",
            "format=json&w_x",
        ),
        *("events&w_lf=1", "%77_lf=3", "xml=1&b_nwrkr=scgi://x"),
    ],
)
def test_a_get_changes_nothing(manager: Manager, query: str) -> None:
    before = manager.state
    answer = manager.get(f"?{query}&w={MEMBER}&nonce={NONCE}")
    assert (answer.status, answer["allow"]) == (405, "POST")
    assert manager.state == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(manager: Manager, method: str) -> None:
    answer = manager.ask(method, "/bm")
    assert (answer.status, answer["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("query", ["", "?b=shop", "?format=json", "?xml=1", "?events"])
def test_head(manager: Manager, query: str) -> None:
    client = manager.gateway.client().send(
        f"HEAD /bm{query} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    )
    manager.gateway.settle()
    assert client.received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.received.endswith(b"\r\n\r\n")
    client.leave()


@pytest.mark.parametrize("query", ["?format=yaml", "?format="])
def test_other_formats(manager: Manager, query: str) -> None:
    assert manager.get(query).status == 400


@pytest.mark.parametrize("query", ["?b=nobody", "?b=shop&w=scgi://nobody", "?b=%ff%00<x>"])
def test_there_is_no_such_thing(manager: Manager, query: str) -> None:
    answer = manager.get(query)
    assert answer.status == 404
    assert len(problems(answer)) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("app.localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]", 200),
        ("EXAMPLE.com:8080", 200),
        ("alias.test", 200),
        ("rebound.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
def test_a_name_that_leads_here(host: str, status: int) -> None:
    """A page by a name that is not this server's shows nothing, and changes nothing."""
    server = {"name": b"example.com", "aliases": (b"alias.test",)}
    manager = Manager(full_stage, server=server)
    assert manager.get(Host=host).status == status
    headers = {"Host": host, "Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}"}
    assert manager.edit(headers, w_ls="3").status == (303 if status == 200 else 403)


def test_names_are_not_for_clients_of_other_machines(manager: Manager) -> None:
    """Who may come from there says Require, and by what name is their affair."""
    peer = IPv4Address("TCP", "192.0.2.7", 4711)
    client = manager.gateway.client(peer=peer).send(b"GET /bm HTTP/1.1\r\nHost: x.test\r\n\r\n")
    manager.gateway.settle()
    assert client.answer.status == 200
    client.leave()


@pytest.mark.parametrize(
    "target", ["//evil.example/bm", "/x%2520%22/b%20m", "/bm;a=b/https:evil", "/"]
)
def test_the_way_back_leads_here(manager: Manager, target: str) -> None:
    body = f"b=shop&w={MEMBER}&nonce={NONCE}&w_ls=4".encode()
    answer = manager.ask("POST", target, None, body)
    assert answer.status == 303
    assert (answer["location"] or "").startswith("./" + target.rpartition("/")[2] + "#m")


@pytest.mark.parametrize("query", ["", "?b=shop", "?b=nobody", "?w_lf=1"])
def test_what_a_page_is_allowed(manager: Manager, query: str) -> None:
    """It cannot be framed, and runs nothing but its own script."""
    answer = manager.get(query)
    policy = dict(
        part.split(" ", 1) for part in (answer["content-security-policy"] or "").split("; ")
    )
    script, style = policy.pop("script-src"), policy.pop("style-src")
    assert script.startswith("'sha256-")
    assert style.startswith("'sha256-")
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "require-trusted-types-for": "'script'",
        "frame-ancestors": "'none'",
    }
    assert answer["x-content-type-options"] == "nosniff"
    assert answer["referrer-policy"] == "same-origin"
    assert answer["cache-control"] == "no-store"
    text = answer.body.decode()
    assert NONCE not in "".join(part.split('"')[0] for part in text.split('href="')[1:])
    assert " on" + "click" not in text
    assert " style=" not in text


def test_programs_get_no_nonce_across_origins(manager: Manager) -> None:
    """What has the nonce in it cannot be read by a page of another origin."""
    for query in ("?format=json", "?xml=1"):
        answer = manager.get(query)
        assert NONCE in answer.body.decode()
        assert answer["cross-origin-resource-policy"] == "same-origin"
        assert answer["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest_twisted.ensureDeferred
async def test_in_a_tree_of_another_program() -> None:
    """It is a Resource as any other."""
    manager = Manager(full_stage)
    root = Resource()
    root.putChild(b"balancers", manager.resource)
    port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
    here = f"http://127.0.0.1:{port.getHost().port}"

    def send(method: str, headers: dict[str, str], body: str = "") -> tuple[int, str, str]:
        connection = HTTPConnection("127.0.0.1", port.getHost().port, timeout=10)
        with closing(connection):
            connection.request(method, "/balancers", body, {"Connection": "close", **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()

    async def ask(*request: Any) -> tuple[int, str, str]:
        found: tuple[int, str, str] = await deferToThread(send, *request)
        return found

    try:
        form = {"Content-Type": FORM}
        body = f"b=shop&w={MEMBER}&nonce={NONCE}&w_ls=4"
        status, location, _ = await ask("POST", {"Origin": here, **form}, body)
        assert status == 303
        assert location.startswith("./balancers#m")
        assert manager.member.lbset == 4
        status, _, text = await ask("GET", {})
        assert (status, text.count("<article")) == (200, 8)
        status, _, _ = await ask("POST", form, body)
        assert status == 403
    finally:
        await port.stopListening()
