"""Balancer members are the same in all processes: the parent's are the truth.

Everything that decides about members runs in the parent: their changes by the balancer-manager,
health checks, name servers, what survives a restart. Each worker does the same changes to its own
pools, in the same order, and begins with all there is. What a worker finds out of a member goes
to the parent, and from there to the others (`conditions`); places of members with `max` are lent to
the workers (`places`); how busy members are is told at intervals (`busyness`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from scgiproxy.log.events import Logger
from scgiproxy.message.backend_url import Address
from scgiproxy.pool.backend import Backend
from scgiproxy.pool.dispatch import Pool
from scgiproxy.pool.managed import ManagedBalancer
from scgiproxy.rules.saved import SavedBalancer, decode_saved, encode_saved
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.workers.busyness import ParentBusyness, WorkerBusyness
from scgiproxy.service.workers.conditions import ParentConditions, WorkerConditions
from scgiproxy.service.workers.directory import (
    Directory,
    read_addresses,
    read_found,
    write_addresses,
    write_found,
)
from scgiproxy.service.workers.generation import LinkPart
from scgiproxy.service.workers.link import JSON, LinkError, LinkLost
from scgiproxy.service.workers.places import ParentPlaces, WorkerPlaces
from scgiproxy.service.workers.sharing import Copy, Original
from scgiproxy.web.manager.editing import NotDone, change, find_balancer, find_member, make

TAKEN_WITHIN = 1.0
"""Seconds that workers are given to make a change, before who has asked for it is answered."""

RENEW = 1.0
"""Seconds between two looks at which names are to be resolved again."""

_ALL, _CHANGE, _MAKE = "members.all", "members.change", "members.make"
_DISCOVERED, _ADDRESSES = "members.discovered", "members.addresses"

Made = tuple[ManagedBalancer, Backend | None]

_log = Logger()


class ParentMembers:
    """The parent's end, for `parts`, which serve nobody. `count`: of workers.

    `join` and `leave` are to be called with the link of each worker, as
    `WorkerProcesses.started` and `ended` do.
    """

    def __init__(self, parts: GatewayParts, count: int) -> None:
        clock = parts.reactor
        self._parts = parts
        self._count = count
        self._links: list[LinkPart] = []
        self._directory = Directory(parts.pools)
        self._conditions = ParentConditions(self._directory, clock)
        self._places = ParentPlaces(self._directory, clock, count)
        self._busyness = ParentBusyness(self._directory, clock, self._places.used)
        self._renewing = LoopingCall(parts.resolver.start)
        self._renewing.clock = clock
        parts.resolver.on_resolved = self._resolved
        for number, discovery in enumerate(parts.balancing.discoveries):
            discovery.on_found = partial(self._discovered, number)
        self._watch()

    def start(self) -> None:
        """The gateway starts: what it has kept from the last time is there."""
        self._renewing.start(RENEW, now=False)
        self._update()

    def stop(self) -> None:
        """Tell nobody anything any more."""
        if self._renewing.running:
            self._renewing.stop()
        self._conditions.changed.stop()
        self._busyness.changed.stop()
        self._places.stop()
        self._directory.release()

    def join(self, link: LinkPart) -> None:
        """A worker starts, and is to have everything before it accepts a connection; or it takes up
        another configuration, while it serves."""
        link.answer(_CHANGE, self._change)
        link.tell(_ALL, self._all())
        self._links.append(link)
        self._conditions.join(link)
        self._places.join(link)
        self._busyness.join(link)

    def leave(self, link: LinkPart) -> None:
        """A worker is gone."""
        if link in self._links:
            self._links.remove(link)
            self._conditions.leave(link)
            self._busyness.leave(link)
            self._places.leave(link)

    # -- what workers are told -----------------------------------------------------------------

    def _all(self) -> JSON:
        balancing, hosts = self._parts.balancing, self._parts.resolver.hosts
        known = {address: addresses for address, host in hosts.items() if (addresses := host.known)}
        changed = {key: _uncounted(one.saved()) for key, one in balancing.managed.items()}
        return {
            "pools": [pool.name for pool in self._parts.pools],
            "processes": self._count,
            "nonces": {key: one.nonce for key, one in balancing.managed.items()},
            "discovered": [write_found(one.found) for one in balancing.discoveries],
            "balancers": encode_saved("", changed).decode("ascii"),
            "conditions": self._conditions.all(),
            "addresses": [write_addresses(address, known[address]) for address in known],
        }

    def _discovered(self, number: int) -> None:
        found = self._parts.balancing.discoveries[number].found
        self._tell(_DISCOVERED, [number, write_found(found)])
        self._update()
        for _, backend in self._directory:
            self._conditions.changed.add(backend)

    def _resolved(self, address: Address) -> None:
        addresses = self._parts.resolver.hosts[address].known
        self._tell(_ADDRESSES, write_addresses(address, addresses))

    def _tell(self, topic: str, value: JSON) -> None:
        for link in self._links:
            link.tell(topic, value)

    # -- changes by hand -----------------------------------------------------------------------

    async def _change(self, value: Any) -> JSON:
        """Make it, and have it made by all workers. The status of the answer: 0 with the member that
        was changed, or another one with what is wrong."""
        key, fields, by = value["balancer"], value["fields"], value["by"]
        balancer = self._parts.balancing.managed[key]
        try:
            _, member = change([balancer], fields, by)
        except NotDone as error:
            return [error.status, *error.problems]
        # Asked for now, not at the next look.
        self._parts.resolver.start()
        told: JSON = {"balancer": key, "fields": fields}
        made = [self._make(link, told) for link in self._links]
        self._update()
        await DeferredList(made)
        return [0, None if member is None else member.label]

    def _make(self, link: LinkPart, told: JSON) -> Deferred[JSON]:
        made = link.ask(_MAKE, told)
        made.addTimeout(TAKEN_WITHIN, self._parts.reactor)
        made.addErrback(self._not_made, link)
        return made

    @staticmethod
    def _not_made(failure: Failure, link: LinkPart) -> None:
        if failure.check(TimedOut):
            _log.warn(
                "worker {number} has not made a change of a balancer within {seconds:g} s",
                number=link.number,
                seconds=TAKEN_WITHIN,
            )
        elif not failure.check(LinkLost):
            _log.warn(
                "worker {number} has not made a change of a balancer: {error}",
                number=link.number,
                error=failure.getErrorMessage(),
            )

    # ------------------------------------------------------------------------------------------

    def _update(self) -> None:
        self._directory.update()
        self._watch()
        self._places.update()

    def _watch(self) -> None:
        for _, backend in self._directory:
            if backend.sharing is None:
                backend.sharing = Original(backend, self._conditions)


class WorkerMembers:
    """A worker's end, for `parts`. To be made before the worker says that it is prepared."""

    def __init__(self, parts: GatewayParts, link: LinkPart) -> None:
        clock = parts.reactor
        self._parts = parts
        self._link = link
        self._directory = Directory(parts.pools)
        self._conditions = WorkerConditions(self._directory, link, clock)
        self._busyness = WorkerBusyness(self._directory, link, clock)
        self._places = WorkerPlaces(self._directory, link, clock, _make_room)
        parts.resolver.be_told()
        for balancer in parts.balancing.managed.values():
            balancer.is_copy = True
        for manager in parts.managers:
            manager.change = self.change
        link.answer(_ALL, self._take_all)
        link.answer(_MAKE, self._make)
        link.answer(_DISCOVERED, self._discovered)
        link.answer(_ADDRESSES, self._resolved)
        self._watch()
        # There are no places here before they have been lent, but those that are taken.
        self._places.update(claims=link.serving)

    def stop(self) -> None:
        """Tell the parent nothing any more."""
        self._conditions.changed.stop()
        self._busyness.changed.stop()
        self._places.stop()
        self._directory.release()

    def change(
        self, balancers: Sequence[ManagedBalancer], fields: Mapping[str, str], by: str
    ) -> Deferred[Made]:
        """As `web.manager.editing.change`, in all processes. Fires when all have made it."""
        if not fields.get("b"):
            raise NotDone(400, "b: expected the name of a balancer.")
        balancer = find_balancer(balancers, fields["b"])
        asked: Any = self._link.ask(
            _CHANGE, {"balancer": balancer.key, "fields": dict(fields), "by": by}
        )
        asked.addCallbacks(self._changed, self._not_changed, callbackArgs=(balancer,))
        made: Deferred[Made] = asked
        return made

    # ------------------------------------------------------------------------------------------

    @staticmethod
    def _changed(answer: Any, balancer: ManagedBalancer) -> Made:
        status, *told = answer
        if status:
            raise NotDone(status, *told)
        (label,) = told
        return balancer, None if label is None else find_member(balancer, label)

    @staticmethod
    def _not_changed(failure: Failure) -> Made:
        failure.trap(LinkError, ValueError)
        if failure.check(ValueError):
            raise NotDone(503, "The configuration is being read again: try once more.")
        if failure.check(LinkLost):
            raise NotDone(503, "The gateway is about to stop.")
        raise NotDone(500, "The change could not be made: see the error log.")

    def _make(self, value: Any) -> None:
        balancer = self._parts.balancing.managed[value["balancer"]]
        fields = value["fields"]
        member = find_member(balancer, fields["w"]) if fields.get("w") else None
        make(balancer, member, fields, "")
        self._update()

    def _discovered(self, value: Any) -> None:
        number, found = value
        self._discover(number, found)
        self._update()

    def _discover(self, number: int, found: Any) -> None:
        if found:
            self._parts.balancing.discoveries[number].take(read_found(found))

    def _resolved(self, value: Any) -> None:
        address, found = read_addresses(value)
        known = self._parts.resolver.hosts.get(address)
        if known is not None:
            known.take(found)

    def _take_all(self, value: Any) -> None:
        parts = self._parts
        managed = parts.balancing.managed
        # Members are called by the number of their pool.
        assert value["pools"] == [pool.name for pool in parts.pools]
        parts.readiness.processes = value["processes"]
        parts.readiness.process = self._link.number
        for key, nonce in value["nonces"].items():
            managed[key].nonce = nonce
        for number, found in enumerate(value["discovered"]):
            self._discover(number, found)
        for key, saved in decode_saved(value["balancers"], "").items():
            managed[key].restore(saved)
        self._directory.update()
        self._watch()
        self._places.update(claims=self._link.serving)
        for addresses in value["addresses"]:
            self._resolved(addresses)
        self._conditions.take(value["conditions"], Pool.drain)
        for _, backend in self._directory:
            # Only if the worker serves already, by the configuration before.
            if backend.in_flight:
                self._busyness.changed.add(backend)

    def _update(self) -> None:
        self._directory.update()
        self._watch()
        self._places.update(claims=True)

    def _watch(self) -> None:
        for _, backend in self._directory:
            if backend.sharing is None:
                backend.is_copy = True
                backend.sharing = Copy(backend, self._conditions, self._busyness, self._places)


def _make_room(pool: Pool, backend: Backend) -> None:
    route = pool.routes.get(backend)
    if route is not None and route.ready is not None:
        route.ready.make_room()


def _uncounted(saved: SavedBalancer) -> SavedBalancer:
    members = {label: replace(one, counters={}) for label, one in saved.members.items()}
    return replace(saved, members=members)
