"""A balancer that is changed while it runs, over a pool that connects to nobody."""

from __future__ import annotations

from typing import Any

from scgiproxy.pool.backend import Backend
from scgiproxy.pool.balance import BUILT_IN, Surroundings
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.backend import BackendSettings
from scgiproxy.rules.changes import balancer_change, member_change
from tests.pool.fakes import Scene


class Managed:
    """Members are called a, b, c; `told` has who was told of what. Changes are form fields."""

    def __init__(self, *settings: BackendSettings, **options: Any) -> None:
        given = ("conditions", "discovers", "recorded", "methods", "storage")
        own = {name: options.pop(name) for name in given if name in options}
        surroundings = own.pop("storage", None)
        methods = own.pop("methods", BUILT_IN)
        options.setdefault("growth", 3)
        self.scene = Scene(*settings, **options)
        self.pool = self.scene.pool
        self.balancer = ManagedBalancer(
            self.pool,
            "app",
            methods=methods,
            surroundings=Surroundings(self.scene.clock, surroundings),  # type: ignore[arg-type]
            resolver=self.scene.resolver,
            **own,
        )
        self.told: list[str] = []
        self.balancer.on_members = lambda: self.told.append("members")
        self.balancer.on_change = lambda: self.told.append("change")

    def member(self, name: str) -> Backend:
        return self.balancer.member(label(name))

    def change(self, name: str, by: str = "", **fields: str) -> Backend:
        """``change("a", lf="5")`` is ``w_lf=5``; a capital letter is a flag."""
        member = self.member(name)
        self.balancer.change_member(member, member_change(words(fields)), by)
        return member

    def tune(self, by: str = "", **fields: str) -> None:
        """``tune(lbm="bytraffic")`` is ``b_lbm=bytraffic``."""
        change = balancer_change({f"b_{name}": word for name, word in fields.items()})
        self.balancer.change(change, by)

    def turns(self, number: int) -> str:
        return "".join(self.scene.serve() for _ in range(number))


def label(name: str) -> str:
    return f"unix:/{name}|scgi://{name}"


def words(fields: dict[str, str]) -> dict[str, str]:
    return {
        f"w_status_{name}" if name.isupper() else f"w_{name}": word for name, word in fields.items()
    }
