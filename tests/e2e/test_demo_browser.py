"""``twistd scgiproxy --demo`` in a real browser, which clicks through every page."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.gateway import GatewayProcess
from tests.e2e.processes import free_port, missing, wait_until

pytestmark = pytest.mark.e2e

T = TypeVar("T")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1100,1400"),
)
PATIENCE = 60.0
PAGES = ("Variables", "Form", "Upload", "Redirect", "Sendfile", "Stream", "Events")


class Demo:
    """The demo, and a browser that looks at it."""

    def __init__(self, base: str, driver: Chrome, downloads: Path) -> None:
        self.base = base
        self.driver = driver
        self.downloads = downloads

    @property
    def path(self) -> str:
        """What the address bar shows, without the site."""
        assert self.driver.current_url.startswith(self.base)
        return self.driver.current_url.removeprefix(self.base)

    @property
    def title(self) -> str:
        """The heading of the page."""
        return self.find("h1").text

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def table(self) -> dict[str, str]:
        """The first two cells of each row of every table."""
        rows = self.driver.find_elements(By.CSS_SELECTOR, "tbody tr")
        return {
            row.find_element(By.TAG_NAME, "th").text: row.find_element(By.TAG_NAME, "td").text
            for row in rows
        }

    def wait(self, condition: Callable[[], T], what: str) -> T:
        # An element can be of the page that is just being left.
        waiting = WebDriverWait(self.driver, PATIENCE, 0.05, (StaleElementReferenceException,))
        return waiting.until(lambda _: condition(), what)

    def go(self, name: str) -> None:
        """Click a link of the navigation."""
        self.driver.find_element(By.CSS_SELECTOR, "nav").find_element(By.LINK_TEXT, name).click()
        self.wait(lambda: self.path == name.lower() and self.title, name)

    def click_to(self, selector: str, title: str) -> None:
        """Click, and wait for the page of that title."""
        self.find(selector).click()
        self.wait(lambda: self.title == title, title)


@contextmanager
def browser(folder: Path, strategy: str) -> Iterator[Chrome]:
    """A Chromium of its own; `strategy` says how much of a page it waits for (WebDriver 9.3)."""
    for program, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver")):
        if shutil.which(program) is None:
            missing(program, f"{package} from Debian")
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.page_load_strategy = strategy
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = ChromeService(shutil.which("chromedriver"), log_output=str(folder / "driver.log"))
    driver = Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the demo is."""
    port = free_port()
    gateway = GatewayProcess(tmp_path_factory.mktemp("demo") / "none.conf", port, "demo")
    at = gateway.command.index("--config")
    gateway.command[at:] = ["--demo", "--listen", f"127.0.0.1:{port}"]
    with gateway:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, served: str) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder, "normal") as driver:
        yield Demo(served, driver, folder)


@pytest.fixture
def demo(patient: Demo) -> Iterator[Demo]:
    """Begins at the start page. No message may be left on the browser's console."""
    patient.driver.get(patient.base)
    yield patient
    assert patient.driver.get_log("browser") == []


def test_the_start_page(demo: Demo) -> None:
    """It leads to every page, as the navigation does, and shows a configuration to copy."""
    assert demo.title == "It works"
    assert tuple(demo.texts("nav a")) == ("scgiproxy demo", *PAGES)
    assert "Listen " + demo.base.removeprefix("http://").rstrip("/") in demo.find("pre").text
    cards = demo.driver.find_elements(By.CSS_SELECTOR, ".cards a")
    pages = [str(card.get_attribute("href")).removeprefix(demo.base) for card in cards]
    assert pages == [page.lower() for page in PAGES]
    for page in pages:
        demo.driver.get(demo.base)
        demo.find(f".cards a[href={page}]").click()
        demo.wait(lambda page=page: demo.path == page, page)
        assert demo.title not in ("It works", "")
    demo.find("nav a.home").click()
    assert demo.title == "It works"


def test_the_variables(demo: Demo) -> None:
    demo.go("Variables")
    shown = demo.table()
    agent = demo.driver.execute_script("return navigator.userAgent")
    assert shown["HTTP_USER_AGENT"] == agent
    assert shown["PATH_INFO"] == shown["REQUEST_URI"] == "/variables"
    assert shown["REQUEST_METHOD"] == "GET"
    assert (shown["REMOTE_ADDR"], shown["SCGI"]) == ("127.0.0.1", "1")
    assert shown["SERVER_SOFTWARE"].startswith("scgiproxy/")
    assert "HTTP_CONNECTION" not in shown


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_form(method: str, demo: Demo) -> None:
    """Letters from far away and markup come back as they were typed."""
    demo.go("Form")
    typed = "Zoë <b>&amp; 東京"
    for name in ("name", "message"):
        field = demo.find(f"#{method}-{name}")
        field.clear()
        field.send_keys(f"{typed} {name}")
    demo.find(f"#{method}-colour").send_keys("violet")
    demo.click_to(f"form[method={method}] button", "What came of the form")
    shown = demo.table()
    assert shown == {"name": f"{typed} name", "colour": "violet", "message": f"{typed} message"}
    assert demo.path.startswith("form?name=Zo%C3%AB" if method == "get" else "form")
    assert ("?" in demo.path) == (method == "get")


def test_a_file_upload(demo: Demo, tmp_path: Path) -> None:
    """Two files, one of 3 MiB: name, size and checksum are right."""
    contents = {"large.bin": bytes(range(256)) * 12288, "vide é.txt": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    demo.go("Upload")
    demo.find("#files").send_keys("\n".join(str(tmp_path / name) for name in contents))
    demo.click_to("form button", "What was uploaded")
    rows = demo.driver.find_elements(By.CSS_SELECTOR, "tbody tr")[:2]
    shown = {
        row.find_element(By.TAG_NAME, "th").text: [
            cell.text for cell in row.find_elements(By.TAG_NAME, "td")
        ][1:]
        for row in rows
    }
    assert shown == {
        name: [f"{len(content):,}", hashlib.sha256(content).hexdigest()]
        for name, content in contents.items()
    }
    assert demo.table()["note"] == "for the demo"


def test_an_internal_redirect(demo: Demo) -> None:
    """The address stays what it was; the first request is in the variables."""
    demo.go("Redirect")
    assert demo.path == "redirect"
    assert demo.title == "An internal redirect"
    assert demo.table()["REDIRECT_REQUEST_URI"] == "/redirect"


def test_files_by_x_sendfile(demo: Demo) -> None:
    """The picture is shown; the download has every line; and no header gives it away."""
    demo.go("Sendfile")
    picture = "return document.querySelector('img').naturalWidth"
    demo.wait(lambda: demo.driver.execute_script(picture) == 640, "the picture")
    demo.find("a[download]").click()
    expected = "".join(f"{number:>7}\n" for number in range(1, 131073))
    file = demo.downloads / "numbers.txt"
    # The browser may make the file before it has the content.
    wait_until(
        lambda: file.exists() and file.stat().st_size >= len(expected),
        "the downloaded file",
        PATIENCE,
    )
    assert file.read_text() == expected
    status, names, body = demo.driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('numbers.txt', {headers: {Range: 'bytes=8-15'}}).then(async answer =>"
        " done([answer.status, [...answer.headers.keys()], await answer.text()]));"
    )
    assert (status, body) == (206, "      2\n")
    assert "content-range" in names
    assert "x-sendfile" not in names


def test_a_streamed_answer(served: str, tmp_path: Path) -> None:
    """Lines are there long before the answer has ended."""
    lines = "ol.lines li"
    state = "return document.readyState"
    with browser(tmp_path, "none") as driver:
        demo = Demo(served, driver, tmp_path)
        driver.get(served + "stream")
        demo.wait(lambda: len(demo.texts(lines)) >= 2, "two lines")
        few = len(demo.texts(lines))
        assert driver.execute_script(state) == "loading"
        demo.wait(lambda: len(demo.texts(lines)) > few, "another line")
        demo.wait(lambda: driver.execute_script(state) == "complete", "the end")
        assert demo.texts(lines) == [f"after {0.3 * n:.1f} seconds" for n in range(20)]
        assert driver.get_log("browser") == []


def test_server_sent_events(demo: Demo) -> None:
    """The counter counts, until it is stopped."""
    demo.go("Events")
    for number in (1, 2, 3):
        demo.wait(lambda number=number: int(demo.find("#counter").text) >= number, f"the {number}")
    assert demo.find("#state").text == "The answer is open."
    demo.find("#stop").click()
    assert demo.find("#state").text.startswith("Closed by you")


def test_there_is_no_page(demo: Demo) -> None:
    """A page of the demo's own, with a way back, and one line about it on the console."""
    demo.driver.get(demo.base + "nowhere/<b>")
    assert demo.title == "There is no such page"
    (message,) = demo.driver.get_log("browser")
    assert "404" in message["message"]
    demo.find("main a").click()
    assert demo.title == "It works"
