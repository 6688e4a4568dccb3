"""``twistd scgiproxy``: the options, and `makeService`.

`makeService` composes into any other Twisted application::

    from scgiproxy.tap import Options, makeService

    options = Options()
    options.parseOptions(["--config", "gateway.conf"])
    makeService(options).setServiceParent(application)

The reactor is imported when the service is made, never before: ``twistd --reactor`` comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.python import usage

from scgiproxy import __version__
from scgiproxy.errors import ConfigError, Problem

if TYPE_CHECKING:
    from scgiproxy.config.model import Config
    from scgiproxy.demo.service import DemoService
    from scgiproxy.service.root import GatewayService


class Options(usage.Options):
    """The command line.

    What is wrong with it raises `usage.UsageError`; under twistd, ends the process with one line.
    """

    synopsis = "[options]"
    longdesc = (
        "An HTTP gateway to SCGI applications. It reads the mod_proxy_scgi lines of an Apache"
        " configuration, or takes mounts on the command line."
    )
    optFlags = [
        ["check", "t", "Check the configuration, print every error, and exit with 0 or 1."],
        ["demo", None, "Serve a demonstration to look at in a browser, on http://127.0.0.1:8080/."],
    ]
    optParameters = [["config", "c", None, "The configuration file, in Apache's language."]]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.conf")})

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["defines"] = {}
        self["proxypass"] = []
        self["listen"] = []
        self["workers"] = None

    def opt_define(self, word: str) -> None:
        """Define a variable for the configuration: NAME or NAME=VALUE. Repeatable."""
        name, _, value = word.partition("=")
        if not name:
            raise usage.UsageError(f"--define {word!r}: expected NAME or NAME=VALUE")
        self["defines"][name] = value

    def opt_proxypass(self, line: str) -> None:
        """A mount, as in ProxyPass: "/path/ scgi://host:port/ [key=value ...]". Repeatable."""
        self["proxypass"].append(line)

    def opt_listen(self, where: str) -> None:
        """Where to listen, as in Listen: a port, address:port or an endpoint string. Repeatable;
        127.0.0.1:8080 by default."""
        self["listen"].append(where)

    def opt_workers(self, word: str) -> None:
        """How many processes serve, in place of what Workers says: a number, or auto for one for
        each core."""
        from scgiproxy.config.arguments import parse_workers

        try:
            # In a tuple: auto is None.
            self["workers"] = (parse_workers(word),)
        except ValueError as error:
            raise usage.UsageError(f"--workers: {error}") from None

    def opt_version(self) -> None:
        """Print the version, and exit."""
        print(f"scgiproxy {__version__}")  # noqa: T201
        sys.exit(0)

    opt_D = opt_define
    opt_p = opt_proxypass
    opt_l = opt_listen
    opt_w = opt_workers

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            if self.parent is None:
                raise
            # twistd itself would print every option there is before it.
            sys.exit(f"twistd scgiproxy: {error} (--help tells more)")

    def parseArgs(self, *words: str) -> None:
        if words:
            raise usage.UsageError(f"unexpected {words[0]!r}; a configuration goes with --config")

    def postOptions(self) -> None:
        sources = [name for name in ("config", "proxypass", "demo") if self[name]]
        if not sources:
            raise usage.UsageError(
                "expected a configuration (--config), a mount (--proxypass) or --demo"
            )
        if len(sources) > 1:
            raise usage.UsageError(f"--{sources[0]} and --{sources[1]} cannot be used together")
        if self["listen"] and self["config"]:
            raise usage.UsageError(
                "--listen goes with --proxypass or --demo; a configuration has Listen lines"
            )
        if len(self["listen"]) > 1 and self["demo"]:
            raise usage.UsageError("--demo listens in one place: expected --listen only once")
        if self["workers"] and self["demo"]:
            raise usage.UsageError(
                "--demo is one process; --workers goes with --config or --proxypass"
            )
        if self["defines"] and not self["config"]:
            if self["proxypass"]:
                _tell_errors(self)
            raise usage.UsageError("--define goes with --config")
        if self["check"]:
            sys.exit(self._check())

    def _check(self) -> int:
        from twisted.internet import reactor

        from scgiproxy.service.gateway import check

        notes: tuple[Problem, ...] = ()
        try:
            if self["demo"]:
                _demo(self, reactor).application.discard()
            else:
                notes = load(self, lambda config: check(config, reactor)).notes
        except ConfigError as error:
            _print_problems(error.problems)
            return 1
        _print_problems(notes)
        print("Syntax OK")  # noqa: T201
        return 0


def load(options: Options, check: Callable[[Config], object] | None = None) -> Config:
    """The configuration that the options name. Raises ConfigError with every problem, those that
    `check` raises included (see `config.load.load_file`)."""
    from scgiproxy.config.load import load_file, load_options

    def changed(config: Config) -> Config:
        given = options["workers"]
        return config if given is None else replace(config, workers=given[0])

    look = None if check is None else lambda config: check(changed(config))
    if options["proxypass"]:
        return changed(load_options(options["proxypass"], options["listen"], check=look))
    return changed(load_file(options["config"], defines=options["defines"], check=look))


def makeService(options: Options) -> IService:
    """The gateway as a service, not started yet.

    A configuration that cannot be used ends the process, with its problems on standard error as
    ``--check`` prints them; so does a start for which a socket or a log file cannot be had. Use
    `load` and `service.root.GatewayService` to handle that yourself. While it runs, it reads its
    configuration again at SIGHUP, unless somebody else has a handler for it (see
    `service.startup.ProcessService`).
    """
    from twisted.internet import reactor

    from scgiproxy.service.gateway import check, make_gateway, reload_gateway
    from scgiproxy.service.startup import ProcessService
    from scgiproxy.service.takeover import Takeover
    from scgiproxy.service.upgrade import PidFile, Upgrade

    made: list[GatewayService] = []
    try:
        takeover = Takeover.from_environment()
        if options["demo"]:
            demo = _demo(options, reactor)
            process = ProcessService(demo, reactor, hurry=demo.gateway.hurry)
            demo.gateway.on_serving = process.serves
            return process
        sockets = None if takeover is None else takeover.sockets
        load(options, lambda config: made.append(make_gateway(config, reactor, sockets)))
    except ConfigError as error:
        _print_problems(error.problems)
        raise SystemExit(1) from None
    (gateway,) = made
    if options["config"]:
        # A daemon has another working directory when it reads it again.
        options["config"] = str(Path(options["config"]).absolute())

    def load_again() -> Config:
        return load(options, lambda config: check(config, reactor))

    process = ProcessService(
        gateway, reactor, lambda: reload_gateway(gateway, load_again), gateway.hurry, takeover
    )
    gateway.on_failure = process.fail
    gateway.on_serving = process.serves
    process.state = gateway.state
    process.own = gateway.listeners.own
    pid_file, log_file = None, ""
    if options.parent is not None:
        pid_file = PidFile(options.parent)
        log_file = _log_file(options.parent)
    if takeover is not None:
        takeover.log_file = log_file
    process.upgrade = Upgrade(gateway, reactor, pid_file, process.notifications, log_file)
    process.notifications.is_alive = gateway.is_alive
    return process


def _log_file(options: Mapping[str, Any]) -> str:
    """twistd's; empty if it has none."""
    named = options.get("logfile") or ("" if options.get("nodaemon") else "twistd.log")
    return "" if named in ("", "-") else str(Path(named).absolute())


def _demo(options: Options, reactor: Any) -> DemoService:
    from scgiproxy.config.load import DEFAULT_LISTEN
    from scgiproxy.demo.service import DemoService

    (listen,) = options["listen"] or (DEFAULT_LISTEN,)
    return DemoService(reactor, listen)


def _tell_errors(options: Options) -> None:
    """Print what is wrong with the mounts beside an option that is wrong itself."""
    try:
        load(options)
    except ConfigError as error:
        _print_problems(error.problems)


def _print_problems(problems: Iterable[Problem]) -> None:
    for problem in problems:
        kind = "" if problem.is_error else "note: "
        print(f"{problem.where}: {kind}{problem.message}", file=sys.stderr)  # noqa: T201
