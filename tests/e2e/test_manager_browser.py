"""The balancer-manager in a real browser, over real members."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.gateway import WORKERS, Gateway
from tests.e2e.processes import Address, Process, free_port, wait_until
from tests.e2e.scripted import ReadBody, ReadHead, ScriptedBackend, Send, Wait
from tests.e2e.test_demo_browser import PATIENCE, browser

pytestmark = pytest.mark.e2e

T = TypeVar("T")
MEMBER = Path(__file__).parent / "apps" / "member.py"
QUICK = "ab"
"""Members that are processes; a third one, ``c``, answers when a test lets it."""
SECONDS = 0.005
"""How long each of these takes for an answer."""

CONFIG = """
LogLevel info
<Proxy balancer://app>
    {members}
    ProxySet stickysession=SID growth=2
</Proxy>
ProxyPass /app/ balancer://app/
<Location "/balancer-manager">
    SetHandler balancer-manager
    Require local
</Location>
"""


class Watched:
    """A gateway, its members, and a browser that looks at its balancers."""

    def __init__(self, folder: Path, driver: Chrome, workers: int) -> None:
        self.driver = driver
        self.slow = ScriptedBackend()
        self.released = threading.Event()
        head = Send(b"Content-Type: text/plain\r\n\r\n")
        self.slow.play((ReadHead(), ReadBody(), Wait(self.released), head, Send(b"c\n")))
        self.addresses = {name: ("127.0.0.1", free_port()) for name in QUICK}
        self.addresses["c"] = ("127.0.0.1", self.slow.port)
        self.members = {name: self._member(name, folder) for name in QUICK}
        self.names = {"c": "c"}
        """By what they answer: those of processes their id."""
        lines = [
            f"BalancerMember {self.url(name)} route={name} retry=1"
            + (" status=+H" if name == "c" else "")
            for name in self.addresses
        ]
        config = CONFIG.format(members="\n".join(lines))
        self.gateway = Gateway(folder, config, workers=workers)
        self.base = f"http://localhost:{self.gateway.port}"
        self.page = f"{self.base}/balancer-manager"

    def _member(self, name: str, folder: Path) -> Process:
        address: Address = self.addresses[name]
        where = f"127.0.0.1:{self.addresses[name][1]}"
        command = [sys.executable, MEMBER, where, str(SECONDS)]
        return Process(name, command, folder, address)

    def start(self, name: str) -> None:
        self.members[name].__enter__()
        self.names[str(self.members[name].pid)] = name

    def url(self, name: str) -> str:
        return f"scgi://127.0.0.1:{self.addresses[name][1]}"

    def get(self, count: int = 1, query: str = "") -> Counter[str]:
        """Which members have answered, by name."""
        answers: Counter[str] = Counter()
        for _ in range(count):
            with urlopen(f"{self.base}/app/{query}", timeout=60) as answer:
                answers[self.names[answer.read().decode().strip()]] += 1
        return answers

    @property
    def state(self) -> dict[str, dict[str, Any]]:
        """The members by route, as programs are told."""
        with urlopen(f"{self.page}?format=json", timeout=60) as answer:
            (balancer,) = json.load(answer)["balancers"]
        return {member["route"]: member for member in balancer["members"]}

    # -- the page ------------------------------------------------------------------------------

    def open(self, query: str = "") -> None:
        self.driver.get(self.page + query)
        if not query:
            self.wait(lambda: self.live == "live", "the page is live")
        # It would be gone after a reload.
        self.driver.execute_script("window.loaded = 'once'")

    @property
    def live(self) -> str | None:
        return self.driver.find_element(By.CSS_SELECTOR, ".live").get_attribute("data-state")

    def row(self, name: str) -> WebElement:
        for row in self.driver.find_elements(By.CSS_SELECTOR, ".member"):
            if row.find_element(By.TAG_NAME, "h3").text == self.url(name):
                return row
        raise LookupError(name)

    def cell(self, name: str, cell: str) -> str:
        return self.row(name).find_element(By.CSS_SELECTOR, f'[data-cell="{cell}"]').text

    def click(self, name: str, text: str) -> None:
        for button in self.row(name).find_elements(By.CSS_SELECTOR, "button, a.button"):
            if button.text == text:
                button.click()
                return
        raise LookupError(text)

    def wait(self, condition: Callable[[], T], what: str) -> T:
        ignored = (StaleElementReferenceException, LookupError)
        waiting = WebDriverWait(self.driver, PATIENCE, 0.05, ignored)
        return waiting.until(lambda _: condition(), what)

    def shows(self, name: str, cell: str, text: str) -> None:
        self.wait(lambda: text in self.cell(name, cell), f"{cell} of {name}: {text}")

    def assert_not_reloaded(self) -> None:
        assert self.driver.execute_script("return window.loaded") == "once"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("browser"), "normal") as chrome:
        yield chrome


@pytest.fixture
def watched(tmp_path: Path, driver: Chrome, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Everything runs. At the end nothing may be left on the browser's console."""
    made = Watched(tmp_path, driver, getattr(request, "param", WORKERS))
    driver.get("data:,")
    driver.get_log("browser")
    try:
        for name in QUICK:
            made.start(name)
        with made.slow, made.gateway:
            yield made
            assert driver.get_log("browser") == []
            driver.get("data:,")
    finally:
        for member in made.members.values():
            member.stop()


by_one_and_two_workers = pytest.mark.parametrize(
    "watched", [1, 2], indirect=True, ids=["one process", "two workers"]
)
"""The page has one connection, and what it tells of happens in any worker."""


@by_one_and_two_workers
def test_a_member_fails_and_recovers(watched: Watched) -> None:
    """Both are seen without a reload, with why, and in words."""
    watched.open()
    watched.shows("b", "state", "Up")
    watched.get(4)
    watched.wait(
        lambda: int(watched.cell("a", "elected")) + int(watched.cell("b", "elected")) == 4,
        "four requests",
    )
    killed = watched.members["b"]
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: killed.has_ended, "it is dead")
    killed.stop()
    watched.get(4)
    watched.shows("b", "state", "In error")
    watched.shows("b", "failure", "refused")
    assert watched.row("b").get_attribute("data-state") == "down"
    watched.start("b")

    def asked() -> bool:
        watched.get(2)
        return watched.cell("b", "state") == "Up"

    watched.wait(asked, "it is up again")
    assert "ago" in watched.cell("b", "failure")
    watched.wait(lambda: watched.cell("b", "errors") != "0", "its errors")
    watched.assert_not_reloaded()


@by_one_and_two_workers
def test_a_member_is_drained(watched: Watched) -> None:
    """What it has left is told until there is nothing left; then it takes part again."""
    watched.open()
    slow = threading.Thread(target=watched.get, args=(1, "?SID=x.c"))
    slow.start()
    watched.wait(lambda: watched.cell("c", "in-flight") == "1", "a request in flight")
    watched.click("c", "Drain")
    watched.shows("c", "note", "1 request left")
    watched.shows("c", "state", "Draining")
    watched.released.set()
    watched.shows("c", "note", "no requests left")
    slow.join()
    assert watched.state["c"]["draining"] is True
    watched.click("c", "Undrain")
    watched.shows("c", "state", "Up")
    watched.click("a", "Disable")
    watched.shows("a", "state", "Disabled")
    assert watched.get(5) == {"b": 5}
    watched.click("a", "Enable")
    watched.shows("a", "state", "Up")
    watched.assert_not_reloaded()


def test_a_weight_is_changed(watched: Watched) -> None:
    """Requests are spread by it; what is typed stays while numbers change."""
    assert watched.get(10) == {"a": 5, "b": 5}
    watched.open()
    watched.click("a", "Edit")
    field = watched.wait(
        lambda: watched.driver.find_element(By.CSS_SELECTOR, "dialog [name=w_lf]"), "the form"
    )
    field.clear()
    field.send_keys("4")
    watched.get(6)
    watched.wait(lambda: watched.cell("b", "elected") == "8", "three more")
    assert field.get_attribute("value") == "4"
    watched.driver.find_element(By.CSS_SELECTOR, "dialog button.main").click()
    watched.shows("a", "weight", "4")
    assert not watched.driver.find_elements(By.CSS_SELECTOR, "dialog")
    assert watched.get(50) == {"a": 40, "b": 10}
    watched.assert_not_reloaded()


def test_problems_are_told_in_the_form(watched: Watched) -> None:
    """What was typed stays there, and nothing is changed; the console has the answer's status."""
    watched.open()
    watched.click("a", "Edit")
    condition = watched.wait(
        lambda: watched.driver.find_element(By.CSS_SELECTOR, "dialog [name=w_he]"), "the form"
    )
    condition.send_keys("nobody")
    watched.driver.find_element(By.CSS_SELECTOR, "dialog button.main").click()
    problem = watched.wait(
        lambda: watched.driver.find_element(By.CSS_SELECTOR, "dialog .problems").text, "a problem"
    )
    assert problem.startswith("Condition (name of a ProxyHCExpr): expected")
    assert condition.get_attribute("value") == "nobody"
    assert condition.get_attribute("aria-invalid") == "true"
    (message,) = watched.driver.get_log("browser")
    assert "400" in message["message"]


@by_one_and_two_workers
def test_a_member_is_added(watched: Watched) -> None:
    """It appears for everybody who looks; so does the page of another one."""
    watched.open()
    watched.driver.find_element(By.CSS_SELECTOR, ".title a.button").click()
    field = watched.wait(
        lambda: watched.driver.find_element(By.CSS_SELECTOR, "dialog [name=b_nwrkr]"), "the form"
    )
    field.send_keys("scgi://127.0.0.1:9")
    field.submit()
    watched.wait(
        lambda: len(watched.driver.find_elements(By.CSS_SELECTOR, ".member")) == 4, "a fourth"
    )
    last = watched.driver.find_elements(By.CSS_SELECTOR, ".member")[-1]
    assert last.find_element(By.CSS_SELECTOR, "[data-cell=state]").text == "Disabled"
    watched.assert_not_reloaded()


def test_the_gateway_is_gone(watched: Watched) -> None:
    """It ends at once although somebody looks; the page says so, and goes on with the next one,
    whose nonce is another."""
    watched.open()
    watched.gateway.stop()
    assert "cut off" not in watched.gateway.logged()
    watched.wait(lambda: watched.live == "lost", "the page says that it is stale")
    assert "Connection lost" in watched.driver.find_element(By.CSS_SELECTOR, ".live").text
    watched.gateway.__enter__()
    watched.wait(lambda: watched.live == "live", "the page is live again")
    watched.wait(
        lambda: watched.click("a", "Drain") or watched.cell("a", "state") == "Draining",
        "a change with the new nonce",
    )
    watched.assert_not_reloaded()
    # The attempts to connect while it was gone.
    messages = watched.driver.get_log("browser")
    assert all(
        "ERR_CONNECTION_REFUSED" in one["message"]
        or "403" in one["message"]
        or "ERR_INCOMPLETE" in one["message"]
        for one in messages
    ), messages


def test_a_page_that_nobody_sees(watched: Watched) -> None:
    """It has no connection until it is looked at again, and then it is up to date."""
    hide = (
        "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'));"
    )
    watched.open()
    watched.driver.execute_script(hide, True)
    watched.get(4)
    time.sleep(2)
    assert watched.cell("a", "elected") == "0"
    watched.driver.execute_script(hide, False)
    watched.wait(lambda: watched.cell("a", "elected") == "2", "what there was meanwhile")
    assert watched.live == "live"
    watched.assert_not_reloaded()


def test_without_scripts(watched: Watched) -> None:
    """Forms and links do it all."""
    watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        watched.driver.get(watched.page)
        watched.click("a", "Drain")
        watched.wait(lambda: watched.cell("a", "state") == "Draining", "it is draining")
        assert "#m" in watched.driver.current_url
        watched.click("a", "Edit")
        field = watched.wait(
            lambda: watched.driver.find_element(By.CSS_SELECTOR, "[name=w_lf]"), "the form"
        )
        field.clear()
        field.send_keys("3")
        watched.driver.find_element(By.CSS_SELECTOR, "form .main").click()
        watched.wait(lambda: watched.cell("a", "weight") == "3", "the weight")
        assert watched.state["a"]["draining"] is True
    finally:
        watched.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


class Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else; `page` is what it says."""

    page = ""

    def do_GET(self) -> None:
        body = self.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Not to the console."""


@pytest.fixture
def elsewhere() -> Iterator[Callable[[str], str]]:
    """Serves a page on another port; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever).start()

    def serve(page: str) -> str:
        Elsewhere.page = page
        return f"http://localhost:{server.server_port}/"

    yield serve
    server.shutdown()
    server.server_close()


def nonce_of(watched: Watched) -> str:
    with urlopen(f"{watched.page}?format=json", timeout=60) as answer:
        return str(json.load(answer)["balancers"][0]["nonce"])


@pytest.mark.parametrize("policy", ["", "no-referrer", "unsafe-url"])
def test_a_form_of_another_page(
    watched: Watched, elsewhere: Callable[[str], str], policy: str
) -> None:
    """Even with the nonce it is refused, and nothing is changed."""
    fields = {"b": "app", "w": watched.url("a"), "nonce": nonce_of(watched), "w_status_D": "1"}
    inputs = "".join(f'<input name="{n}" value="{v}">' for n, v in fields.items())
    page = f'<form method="post" action="{watched.page}">{inputs}</form>'
    meta = f'<meta name="referrer" content="{policy}">' if policy else ""
    watched.driver.get(elsewhere(f"<link rel=icon href=data:,>{meta}{page}"))
    watched.driver.find_element(By.TAG_NAME, "form").submit()
    title = watched.wait(
        lambda: watched.driver.find_element(By.CSS_SELECTOR, "main h1").text, "an answer"
    )
    assert title == "403 Forbidden"
    assert watched.state["a"]["state"] == "up"
    (message,) = watched.driver.get_log("browser")
    assert "403" in message["message"]


def test_a_script_of_another_page(watched: Watched, elsewhere: Callable[[str], str]) -> None:
    """It can neither read what is here nor change it."""
    watched.driver.get(elsewhere("<link rel=icon href=data:,>"))
    found = watched.driver.execute_async_script(
        "const [page, nonce, member, done] = arguments;"
        "const body = new URLSearchParams({b: 'app', w: member, nonce, w_status_D: '1'});"
        "const tried = [fetch(page + '?format=json'), fetch(page, {method: 'POST', body}),"
        " fetch(page, {method: 'POST', body, mode: 'no-cors'})];"
        "Promise.allSettled(tried).then(all => done(all.map(one => one.status)));",
        watched.page,
        nonce_of(watched),
        watched.url("a"),
    )
    assert found[:2] == ["rejected", "rejected"]
    assert watched.state["a"]["state"] == "up"
    watched.driver.get_log("browser")


def test_in_a_frame_of_another_page(watched: Watched, elsewhere: Callable[[str], str]) -> None:
    """Nothing is shown there, so nothing can be clicked on."""
    address = elsewhere(f'<link rel=icon href=data:,><iframe src="{watched.page}"></iframe>')
    watched.driver.get(address)
    watched.wait(
        lambda: any(
            "frame-ancestors" in one["message"] for one in watched.driver.get_log("browser")
        ),
        "the browser refuses it",
    )
    watched.driver.switch_to.frame(0)
    assert not watched.driver.find_elements(By.CSS_SELECTOR, ".member")
    watched.driver.switch_to.default_content()


def test_a_script_of_an_operator(watched: Watched) -> None:
    """As for Apache: the nonce, and where it comes from."""
    body = f"b=app&w={watched.url('a')}&nonce={nonce_of(watched)}&w_lf=2".encode()
    request = Request(watched.page, body, {"Origin": watched.base, "Accept": "application/json"})
    with urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    assert watched.state["a"]["weight"] == 2
