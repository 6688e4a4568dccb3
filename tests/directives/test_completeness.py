"""Every directive that does something has a test here that shows it."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tests.directives
from scgiproxy.config.balancers import BALANCER_PARAMETERS
from scgiproxy.config.directives import DIRECTIVES
from scgiproxy.config.workers import WORKER_PARAMETERS
from tests.directives.behaviours import NAMED, names_in

SERVED = {row.name for row in DIRECTIVES.values() if not row.inert}
PARAMETERS = {
    f"{parameter.name}="
    for table in (WORKER_PARAMETERS, BALANCER_PARAMETERS)
    for parameter in table.values()
}


@pytest.fixture(scope="module", autouse=True)
def all_tests_are_read() -> None:
    """Also when this file alone is run."""
    for module in pkgutil.iter_modules(tests.directives.__path__):
        if module.name.startswith("test_"):
            importlib.import_module(f"tests.directives.{module.name}")


def test_every_directive_is_shown() -> None:
    assert sorted(SERVED - set(NAMED)) == []


def test_every_parameter_is_shown() -> None:
    assert sorted(PARAMETERS - set(NAMED)) == []


def test_every_name_is_one_of_the_table() -> None:
    """A misspelled name would promise what nobody looks at."""
    inert = {row.name for row in DIRECTIVES.values() if row.inert}
    assert sorted(set(NAMED) - SERVED - PARAMETERS - inert) == []


def test_which_names_a_configuration_has() -> None:
    """What conftest compares a test's promise with."""
    text = "# Alias a\n  SetEnv X a=b\nProxyPass /x \\\n scgi://h Max=1\n<Proxy *>\n</Proxy>"
    assert names_in(text) == {"setenv", "a=", "proxypass", "max=", "proxy"}
