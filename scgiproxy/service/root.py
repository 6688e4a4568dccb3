"""The gateway as a service of a Twisted application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed

from scgiproxy.config.model import Config, Position
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.log.events import Logger
from scgiproxy.log.file import LogFile
from scgiproxy.service.build import GatewayParts
from scgiproxy.service.draining import Draining
from scgiproxy.service.listeners import ListenerService
from scgiproxy.service.retirement import Retirement
from scgiproxy.service.spooling import try_spool_directory
from scgiproxy.service.statefile import StateFile
from scgiproxy.service.succession import Process
from scgiproxy.service.takeover import Place
from scgiproxy.web.channel import HttpChannel
from scgiproxy.web.site import GatewaySite


class GatewayService(MultiService):
    """Serves `config` while it runs; it may be started again after it has stopped.

    `sockets` are those of a process before (see `ListenerService`).

    `reactor` is passed in; nothing happens on it before the service starts. Log files are opened
    and sockets bound in `privilegedStartService` (``twistd --uid``).

    Raises ConfigError for what only shows when the parts are made (an unknown SetHandler, an
    endpoint string that is none). So does a start if a socket or a log file cannot be had, naming
    the line. `on_failure` is called with the reason if it shows only later that nothing can be
    served, `on_serving` when everything serves.
    """

    log = Logger()

    def __init__(
        self, config: Config, reactor: Any, sockets: Mapping[Place, int] | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.on_failure: Callable[[str], object] = self._failed
        self.on_serving: Callable[[], object] = lambda: None
        self._reactor = reactor
        self._config = config
        self._retirement = Retirement(reactor, self._channels)
        self._draining = Draining(reactor, self._channels)
        problems: list[Problem] = []
        self._process = Process(reactor, sockets)
        self._limit_connections()
        try:
            self.parts = GatewayParts(config, reactor, self._process)
        except ConfigError as error:
            problems += error.problems
        try:
            self.listeners = self._make_listeners()
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        self.listeners.setServiceParent(self)  # type: ignore[no-untyped-call]

    def _make_listeners(self) -> ListenerService:
        """Raises ConfigError. The parts may not be there, if something is wrong with them."""
        config = self._config
        return ListenerService(
            config.listeners,
            self._site,
            self._reactor,
            self._process.descriptors,
            self._process.admission,
            config.listen_backlog,
            self._process.sockets,
        )

    def _limit_connections(self) -> None:
        """As the configuration says: in a worker, its share."""
        config = self._config
        most = config.max_connections
        if most is not None:
            most = -(-most // config.worker_count)
        of_one = config.max_connections_per_ip
        self._process.admission.limit(most, of_one.most, of_one.exempt)

    def _site(self, secure: bool) -> GatewaySite:
        return self.parts.make_site(secure)

    def privilegedStartService(self) -> None:
        self._open_logs()
        self._start(super().privilegedStartService)

    def startService(self) -> None:
        self._open_logs()
        # Before the first connection is accepted: changes are of what it finds.
        self._start(self._start_state)
        self._start(super().startService)
        self._start_parts()
        self._tell_when_serving()

    def _tell_when_serving(self) -> None:
        self._reactor.callWhenRunning(self._serves)

    def _serves(self) -> None:
        if self.running:
            self.on_serving()

    def state(self) -> str:
        """In words."""
        return "serving"

    def is_alive(self) -> bool:
        """Whether somebody serves; while it runs."""
        return True

    def _start_state(self) -> None:
        """What comes before the first connection. Raises ConfigError."""
        self._tell_notes()
        # No earlier: twistd --uid has changed the user by now.
        try_spool_directory(self._config, self.parts.spool_space)
        self.parts.persistence.start()

    def _tell_notes(self) -> None:
        for note in self._config.notes:
            self.log.info("{note}", note=note, notice=True)

    def _start_parts(self) -> None:
        """What works beside the requests."""
        self._start_outlook()
        self.parts.readiness.start()

    def _start_outlook(self) -> None:
        """What finds out which members there are, and how they are."""
        self.parts.resolver.start()
        for discovery in self.parts.balancing.discoveries:
            discovery.start()
        self.parts.checks.start()

    def _start(self, start: Any) -> None:
        try:
            start()
        except ConfigError:
            self.running = 0
            self.parts.persistence.release()
            self._close_logs()
            raise

    # -- another configuration -----------------------------------------------------------------

    def reload(self, config: Config) -> Deferred[None]:
        """Serve as `config` says from the next request of each connection on, while it runs.

        What is being answered ends as it began. Sockets that both configurations have stay open, and
        members of balancers and other backends that are there still keep what is known of them,
        with what was changed of them by hand. Files that are named (certificates, passwords) are
        read again.

        Raises ConfigError with all that is wrong, and then nothing has changed. Fires when every
        process serves by it.
        """
        self._check_workers(config)
        trial = GatewayParts(config, self._reactor)
        persistence = self.parts.persistence
        file = trial.persistence.claim(persistence.file)
        try:
            self._try_logs(trial, config)
            try_spool_directory(config, trial.spool_space)
            self.listeners.change(config.listeners, config.listen_backlog)
        except ConfigError:
            if file is not None and file is not persistence.file:
                file.unlock()
            raise
        self._follow(config, lambda before: self._keep_state(before, file))
        return self._followed().addCallback(lambda _: self._tell_followed())

    def _followed(self) -> Deferred[Any]:
        return succeed(None)

    def _tell_followed(self) -> None:
        self.log.info("the configuration was read again, and is in force", notice=True)

    def _check_workers(self, config: Config) -> None:
        """Raises ConfigError if it takes another kind of service."""
        if config.worker_count > 1:
            raise ConfigError([workers_problem(config, "expected 1, as at the start")])

    def _try_logs(self, trial: GatewayParts, config: Config) -> None:
        """Raises ConfigError if a log file that is not open yet cannot be opened."""
        known = {file.path for _, file in _log_files(self.parts)}
        others = [(name, file) for name, file in _log_files(trial) if file.path not in known]
        try:
            _open_files(others, config)
        finally:
            for _, file in others:
                file.close()

    def _follow(self, config: Config, enter: Callable[[GatewayParts], object]) -> None:
        """Nothing is wrong with `config`, whose sockets are there. `enter` is called with the parts
        before when those of `config` are there, and have not started."""
        before = self.parts
        self._leave()
        self._config = config
        parts = self.parts = GatewayParts(config, self._reactor, before=before)
        self._limit_connections()
        parts.process.configured, parts.process.is_current = self._reactor.seconds(), True
        enter(before)
        parts.error_logs.open()
        # Of sockets that are closed only those whose connections are open still.
        there = self.listeners.sites
        parts.sites[:] = [site for site in parts.sites if site.channels or site in there]
        for site in parts.sites:
            site.follow(parts.hosts, parts.server_software)
        # Pages that go on for ever: their viewers ask again.
        for manager in before.managers:
            manager.stop()
        self._retirement.follow(before, parts)
        self._start_parts()

    def _leave(self) -> None:
        """Other parts are about to take the place of these."""
        for discovery in self.parts.balancing.discoveries:
            discovery.stop()
        self.parts.error_logs.leave()

    def _keep_state(self, before: GatewayParts, file: StateFile | None) -> None:
        """What survives a restart goes to `file` from now on."""
        before.persistence.follow(self.parts.persistence, file)
        self.parts.persistence = before.persistence
        self._tell_notes()

    # -- the end -------------------------------------------------------------------------------

    def stopService(self) -> Deferred[None]:
        """Stop listening, and give running answers the time of GracefulShutdownTimeout.

        Idle connections are closed. What runs on is cut off; what still waits for a backend is
        answered with 503 (see `Draining.end`). Fires when every connection is closed.
        """
        return Deferred.fromCoroutine(self._stop(super().stopService()))  # type: ignore[no-untyped-call]

    def hurry(self) -> None:
        """Cut off what runs; while it stops."""
        self._draining.hurry()

    async def _stop(self, listeners_stopped: Deferred[Any]) -> None:
        await listeners_stopped
        self.parts.readiness.stop()
        # Answers that would never end by themselves.
        for manager in self.parts.managers:
            manager.stop()
        await self._draining.end(self._config.graceful_shutdown_timeout, self.parts.pools)
        await self._stop_parts()

    async def _stop_parts(self) -> None:
        """All that is left when no connection is, the logs at last."""
        self.parts.checks.stop()
        for discovery in self.parts.balancing.discoveries:
            discovery.stop()
        self.parts.resolver.stop()
        await self.parts.persistence.stop()
        self.log.info("stopped", notice=True)
        self._close_logs()

    def _channels(self) -> Iterator[HttpChannel]:
        return chain.from_iterable([list(site.channels) for site in self.parts.sites])

    def _failed(self, reason: str) -> None:
        self.log.critical("{reason}", reason=reason)

    # -- logs ----------------------------------------------------------------------------------

    def _open_logs(self) -> None:
        """Open what is not open; again is harmless. Raises ConfigError."""
        try:
            _open_files(self._log_files(), self._config)
        except ConfigError:
            self._close_logs()
            raise
        for log in self.parts.access_logs:
            log.open()
        self.parts.error_logs.open()

    def _log_files(self) -> Iterator[tuple[str, LogFile]]:
        return _log_files(self.parts)

    def _close_logs(self) -> None:
        self._retirement.stop()
        for log in self.parts.access_logs:
            log.close()
        self.parts.error_logs.close()


def _log_files(parts: GatewayParts) -> Iterator[tuple[str, LogFile]]:
    """Each with the directive that it comes from."""
    for file in parts.error_logs.files:
        yield "ErrorLog", file
    for log in parts.access_logs:
        yield "CustomLog", log.file


def _open_files(files: Iterable[tuple[str, LogFile]], config: Config) -> None:
    """Open what is not open. Raises ConfigError with each that cannot be."""
    problems = []
    for directive, file in files:
        try:
            file.open()
        except OSError as error:
            position = config.log_positions.get(file.path, Position("configuration", 1))
            message = f"{directive}: cannot open {file.path}: {error.strerror}"
            problems.append(Problem(position.file, position.line, message))
    if problems:
        raise ConfigError(problems)


def workers_problem(config: Config, expected: str) -> Problem:
    """What is wrong with a number of Workers that a running gateway cannot have."""
    at = config.main.position
    return Problem(at.file, at.line, f"Workers: {expected}; another number takes a new start")
