"""The lbmethods by name: the built-in ones, and those of plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from twisted.internet.interfaces import IReactorTime
from twisted.plugin import getPlugins
from zope.interface import Invalid
from zope.interface.verify import verifyObject

import twisted.plugins
from scgiproxy.interfaces import IBalancingMethod
from scgiproxy.pool.methods.apache import ByBusyness, ByRequests, ByTraffic
from scgiproxy.pool.methods.hashing import IPHash, URIHash
from scgiproxy.pool.methods.heartbeat import ByHeartbeat
from scgiproxy.pool.methods.leasttime import LeastTime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a method may need of the gateway that it is made for.

    - `clock`: the reactor.
    - `heartbeat_storage`: the path of HeartbeatStorage, None if there is none.
    """

    clock: IReactorTime
    heartbeat_storage: str | None = None


MethodFactory = Callable[[Surroundings], IBalancingMethod]
"""Makes the method of one balancer."""

BUILT_IN: Mapping[str, MethodFactory] = {
    ByRequests.name: lambda _: ByRequests(),
    ByTraffic.name: lambda _: ByTraffic(),
    ByBusyness.name: lambda _: ByBusyness(),
    ByHeartbeat.name: lambda around: ByHeartbeat(around.heartbeat_storage),
    LeastTime.name: lambda around: LeastTime(around.clock.seconds),
    IPHash.name: lambda _: IPHash(),
    URIHash.name: lambda _: URIHash(),
}
"""What ``lbmethod`` can name without a plugin."""


def find_methods(package: ModuleType = twisted.plugins) -> Mapping[str, MethodFactory]:
    """All methods that ``lbmethod`` can name: the built-in ones, then those of `package`.

    Looks plugins up, which imports those that provide `IBalancingMethod`, and all that are new:
    to be called when a configuration names a method that is not built in. Raises ValueError with
    a sentence for the user if one of them cannot be named: no method, or a name that is taken.
    """
    found: dict[str, IBalancingMethod] = {}
    for plugin in getPlugins(IBalancingMethod, package):
        what = f"the balancing method of the plugin {_origin(plugin)}"
        try:
            verifyObject(IBalancingMethod, plugin)
        except Invalid as error:
            problem = " ".join(str(error).split())
            raise ValueError(f"{what} is none: {problem}") from None
        name = plugin.name
        # A module may have two names for one object.
        other = found.setdefault(name, plugin) if isinstance(name, str) else plugin
        if not isinstance(name, str) or not name or name.split() != [name]:
            raise ValueError(f"{what} has the name {name!r}; expected one word")
        if name in BUILT_IN:
            raise ValueError(f"{what} is called {name}, as a built-in one; expected another name")
        if other is not plugin:
            raise ValueError(
                f"{what} is called {name}, as that of {_origin(other)}; expected another name"
            )
    return {**BUILT_IN, **{name: _shared(plugin) for name, plugin in found.items()}}


def _shared(plugin: IBalancingMethod) -> MethodFactory:
    return lambda _: plugin


def _origin(plugin: object) -> str:
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"
