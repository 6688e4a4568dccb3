"""Takes the pictures of the balancer-manager: ``python -m tests.e2e.manager_pictures FOLDER``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Site

from scgiproxy.web.manager.resource import BalancerManagerResource
from tests.e2e.png import reduced
from tests.e2e.test_demo_browser import browser
from tests.web.manager.stage import STAGES

WIDE = (1280, 1290)
PHONE = (390, 844)


def photograph(driver: Chrome, path: Path, size: tuple[int, int], scheme: str, whole: bool) -> None:
    """The page that is shown, as wide as `size`, as `scheme` (light or dark) has it."""
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    if whole:
        height = driver.execute_script("return document.documentElement.scrollHeight")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics | {"height": height})
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width, f"{path.name}: the page is {wide} wide"
    path.write_bytes(reduced(driver.get_screenshot_as_png()))


def photograph_all(base: str, folder: Path, scratch: Path) -> None:
    """Every picture."""
    with browser(scratch, "normal") as driver:

        def show(stage: str, script: Callable[[], Any] | None = None) -> None:
            driver.get(f"{base}{stage}")
            WebDriverWait(driver, 20).until(
                lambda _: driver.find_element(By.CSS_SELECTOR, ".live").text == "Live"
            )
            if script:
                script()

        def edit() -> None:
            driver.find_element(By.CSS_SELECTOR, ".member a.button").click()
            WebDriverWait(driver, 20).until(
                lambda _: driver.find_elements(By.CSS_SELECTOR, "dialog[open]")
            )

        show("full")
        photograph(driver, folder / "manager-light.png", WIDE, "light", False)
        photograph(driver, folder / "manager-dark.png", WIDE, "dark", False)
        photograph(driver, folder / "manager-phone.png", PHONE, "light", False)
        show("full", edit)
        photograph(driver, folder / "manager-edit.png", WIDE, "light", False)
        if "--all" in sys.argv:
            photograph(driver, folder / "edit-phone.png", PHONE, "dark", False)
            for stage in ("crowded", "empty"):
                show(stage)
                photograph(driver, folder / f"{stage}.png", WIDE, "light", True)
                photograph(driver, folder / f"{stage}-phone.png", PHONE, "dark", True)
            show("full")
            photograph(driver, folder / "full-phone.png", PHONE, "dark", True)
            driver.get(f"{base}full?b=shop")
            photograph(driver, folder / "balancer.png", WIDE, "dark", True)
        print(driver.get_log("browser"))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    root = Resource()
    for name, make in STAGES.items():
        stage = make(reactor)
        root.putChild(
            name.encode(),
            BalancerManagerResource(lambda stage=stage: stage.balancers, stage.numbers, reactor),
        )
    port: Any = reactor.listenTCP(0, Site(root), interface="127.0.0.1")  # type: ignore[attr-defined]
    base = f"http://127.0.0.1:{port.getHost().port}/"
    with tempfile.TemporaryDirectory() as scratch:
        done = deferToThread(photograph_all, base, folder, Path(scratch))
        failures: list[Failure] = []
        done.addErrback(failures.append)
        done.addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]
        reactor.run()  # type: ignore[attr-defined]
    for failure in failures:
        failure.raiseException()


if __name__ == "__main__":
    main()
