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
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.python import usage

from scgiproxy import __version__
from scgiproxy.errors import ConfigError, Problem

if TYPE_CHECKING:
    from scgiproxy.config.model import Config


class Options(usage.Options):
    """The command line. After parsing, `config` is the loaded configuration, unless ``--demo``."""

    synopsis = "[options]"
    longdesc = (
        "An HTTP gateway to SCGI applications. It reads the mod_proxy_scgi lines of an Apache"
        " configuration, or takes mounts on the command line."
    )
    optFlags = [
        ["check", "t", "Check the configuration, print every error, and exit with 0 or 1."],
        ["demo", None, "Serve a demonstration on http://127.0.0.1:8080/ to look at in a browser."],
    ]
    optParameters = [["config", "c", None, "The configuration file, in Apache's language."]]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.conf")})

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["defines"] = {}
        self["proxypass"] = []
        self["listen"] = []
        self.config: Config | None = None

    def opt_define(self, word: str) -> None:
        """Define a variable for the configuration: NAME or NAME=VALUE. Repeatable."""
        name, _, value = word.partition("=")
        self["defines"][name] = value

    def opt_proxypass(self, line: str) -> None:
        """A mount, as in ProxyPass: "/path/ scgi://host:port/ [key=value ...]". Repeatable."""
        self["proxypass"].append(line)

    def opt_listen(self, where: str) -> None:
        """Where to listen, as in Listen: a port, address:port or an endpoint string. Repeatable;
        127.0.0.1:8080 by default."""
        self["listen"].append(where)

    def opt_version(self) -> None:
        """Print the version, and exit."""
        print(f"scgiproxy {__version__}")  # noqa: T201
        sys.exit(0)

    opt_D = opt_define
    opt_p = opt_proxypass
    opt_l = opt_listen

    def postOptions(self) -> None:
        sources = [
            name for name in ("config", "proxypass", "demo") if self[name]
        ]
        if not sources:
            raise usage.UsageError("give a configuration (--config), a mount (--proxypass) or --demo")
        if len(sources) > 1:
            raise usage.UsageError(f"--{sources[0]} and --{sources[1]} cannot be used together")
        if self["listen"] and not self["proxypass"]:
            raise usage.UsageError("--listen goes with --proxypass; a file has its Listen lines")
        if self["check"]:
            sys.exit(self._check())

    def _check(self) -> int:
        if self["demo"]:
            print("Syntax OK")  # noqa: T201
            return 0
        try:
            config = load(self)
        except ConfigError as error:
            _print_problems(error.problems)
            return 1
        _print_problems(config.notes)
        print("Syntax OK")  # noqa: T201
        return 0


def load(options: Options) -> Config:
    """The configuration that the options name. Raises ConfigError with every problem."""
    from scgiproxy.config.load import load_file, load_options

    if options["proxypass"]:
        return load_options(options["proxypass"], options["listen"])
    return load_file(options["config"], defines=options["defines"])


def makeService(options: Options) -> IService:
    """The gateway as a service, not started yet.

    A configuration that cannot be used ends the process with its problems on standard error, as
    ``--check`` prints them; use `load` and `service.root.GatewayService` to handle them yourself.
    """
    from twisted.internet import reactor

    from scgiproxy.service.root import GatewayService

    if options["demo"]:
        from scgiproxy.demo.service import DemoService

        return DemoService(reactor)
    try:
        return GatewayService(load(options), reactor)
    except ConfigError as error:
        _print_problems(error.problems)
        raise SystemExit(1) from None


def _print_problems(problems: Any) -> None:
    for problem in problems:
        assert isinstance(problem, Problem)
        kind = "" if problem.is_error else "note: "
        print(f"{problem.file}:{problem.line}: {kind}{problem.message}", file=sys.stderr)  # noqa: T201
