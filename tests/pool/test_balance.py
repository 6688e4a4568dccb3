"""The methods by name: those that are built in, and those of plugins."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

import twisted.plugins
from scgiproxy.interfaces import (
    IAbstention,
    IBalancingMethod,
    IResponseTimes,
    ISessionAccounting,
)
from scgiproxy.pool.balance import BUILT_IN, Surroundings, find_methods
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.facts import Facts
from tests.pool.fakes import Scene
from tests.pool.methods.members import make_members, order

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
AROUND = Surroundings(Clock())
OPTIONAL: dict[str, set[Any]] = {
    "byrequests": {ISessionAccounting},
    "bytraffic": set(),
    "bybusyness": {ISessionAccounting},
    "heartbeat": {IAbstention},
    "leasttime": {IResponseTimes},
    "iphash": set(),
    "urihash": set(),
}


class TestBuiltIn:
    def test_names(self) -> None:
        assert list(BUILT_IN) == list(OPTIONAL)

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_each_is_a_method(self, name: str) -> None:
        method = BUILT_IN[name](AROUND)
        assert method.name == name
        assert verifyObject(IBalancingMethod, method)
        for interface in (ISessionAccounting, IAbstention, IResponseTimes):
            assert interface.providedBy(method) == (interface in OPTIONAL[name])
        for interface in OPTIONAL[name]:
            assert verifyObject(interface, method)

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_each_balancer_has_its_own(self, name: str) -> None:
        assert BUILT_IN[name](AROUND) is not BUILT_IN[name](AROUND)

    def test_a_method_gets_what_it_needs(self, tmp_path: Path) -> None:
        """The path of the heartbeats, the clock of the response times."""
        around = Surroundings(Clock(), str(tmp_path / "hb.dat"))
        members = make_members(1, 1)
        heartbeat: Any = BUILT_IN["heartbeat"](around)
        assert heartbeat.choose(members, None) is None
        assert str(tmp_path) in heartbeat.explain()
        leasttime: Any = BUILT_IN["leasttime"](around)
        leasttime.observe(members[0], 9.0, 0.0)
        leasttime.observe(members[1], 1.0, 0.0)
        assert order(leasttime, members, 3) == "b b b"


@implementer(IBalancingMethod)
class LastFirst:
    """A method of one's own."""

    name = "lastfirst"

    def choose(self, candidates: Sequence[Any], request: Facts | None) -> Any:
        return candidates[-1]


def test_a_pool_takes_any_method() -> None:
    scene = Scene(BackendSettings(), BackendSettings(), BackendSettings(), method=LastFirst())
    assert [scene.serve() for _ in range(3)] == ["c", "c", "c"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of plugins, as one on sys.path would have it."""
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    monkeypatch.setattr(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(plugins)])
    yield plugins
    for file in plugins.glob("*.py"):
        sys.modules.pop(f"twisted.plugins.{file.stem}", None)
        vars(twisted.plugins).pop(file.stem, None)


Install = Callable[..., None]

SOURCE = """
    from zope.interface import implementer
    from scgiproxy.interfaces import IBalancingMethod

    @implementer(IBalancingMethod)
    class Mine:
        name = {name}
        {choose}

    mine = {objects}
"""


@pytest.fixture
def install(folder: Path) -> Install:
    """Writes a plugin file, with one class and its objects."""

    def write(
        file: str,
        name: str,
        choose: str = "choose = lambda self, candidates, request: candidates[-1]",
        objects: str = "Mine()",
    ) -> None:
        text = dedent(SOURCE).format(name=repr(name), choose=choose, objects=objects)
        (folder / f"{file}.py").write_text(text)

    return write


class TestPlugins:
    def test_without_one(self, folder: Path) -> None:
        assert find_methods() == BUILT_IN

    def test_the_example_of_the_documents(self, folder: Path) -> None:
        """It is found beside the built-in ones, and a pool balances by it: the first one's `max`
        is used up first."""
        shutil.copy(EXAMPLES / "first_plugin.py", folder)
        found = find_methods()
        assert list(found) == [*BUILT_IN, "first"]
        method = found["first"](AROUND)
        assert verifyObject(IBalancingMethod, method)
        limits = [BackendSettings(max_connections=count) for count in (2, 1, 9)]
        scene = Scene(*limits, method=method)
        for _ in range(5):
            scene.call()
        assert scene.in_flight() == [2, 1, 2]

    def test_one_object_serves_every_balancer(self, install: Install) -> None:
        install("scgiproxy_test_shared", "shared")
        found = find_methods()
        assert found["shared"](AROUND) is found["shared"](AROUND)

    def test_an_object_with_two_names_is_one(self, install: Install) -> None:
        install("scgiproxy_test_twice", "twice", objects="another = Mine()")
        assert list(find_methods()) == [*BUILT_IN, "twice"]

    @pytest.mark.parametrize("name", BUILT_IN)
    def test_the_name_of_a_built_in_one_is_refused(self, install: Install, name: str) -> None:
        install("scgiproxy_test_taken", name)
        with pytest.raises(ValueError, match=name) as raised:
            find_methods()
        assert str(raised.value) == (
            "the balancing method of the plugin twisted.plugins.scgiproxy_test_taken.Mine is"
            f" called {name}, as a built-in one; expected another name"
        )

    def test_two_of_one_name_are_refused(self, install: Install) -> None:
        install("scgiproxy_test_one", "mine")
        install("scgiproxy_test_other", "mine")
        with pytest.raises(ValueError, match="is called mine, as that of") as raised:
            find_methods()
        assert "test_one.Mine" in str(raised.value)
        assert "test_other.Mine" in str(raised.value)

    @pytest.mark.parametrize("name", ["", "two words", " x", None, b"bytes", 3, []])
    def test_a_name_that_no_file_can_say(self, install: Install, name: Any) -> None:
        install("scgiproxy_test_name", name)
        with pytest.raises(ValueError, match="expected one word") as raised:
            find_methods()
        assert f"scgiproxy_test_name.Mine has the name {name!r}" in str(raised.value)

    @pytest.mark.parametrize("choose", ["", "choose = lambda self, candidates: candidates[0]"])
    def test_an_object_that_is_no_method(self, install: Install, choose: str) -> None:
        """It lacks `choose`, or that takes no request."""
        install("scgiproxy_test_incomplete", "incomplete", choose)
        with pytest.raises(ValueError, match=r"test_incomplete\.Mine is none: .*choose"):
            find_methods()
