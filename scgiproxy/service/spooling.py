"""SpoolDirectory and SpoolMaxTotal: the space for spooled bodies, and whether it can be used."""

from __future__ import annotations

import os

from scgiproxy.config.model import Config
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.wire.spoolspace import SpoolSpace


def set_spool_space(config: Config, space: SpoolSpace) -> None:
    """Have `space` be as `config` says, for all that is spooled from now on."""
    given = config.spool_directory
    space.directory = None if given is None else given.path
    space.most = config.spool_max_total


def check_spool_directory(config: Config) -> list[Problem]:
    """What is wrong with the directory, as far as that can be told without touching it."""
    given = config.spool_directory
    if given is None or os.access(given.path, os.W_OK | os.X_OK):
        return []
    return [_problem(config, "it cannot be written by this user")]


def try_spool_directory(config: Config, space: SpoolSpace) -> None:
    """Make a file there, as the user that the gateway runs as. Raises ConfigError.

    The system's own directory is not looked at: most gateways never need it, and who does is told
    then.
    """
    if config.spool_directory is None:
        return
    try:
        os.close(space.open_file())
    except OSError as error:
        raise ConfigError(
            [_problem(config, f"no file can be made there: {error.strerror}")]
        ) from None


def _problem(config: Config, message: str) -> Problem:
    given = config.spool_directory
    assert given is not None
    at = given.position
    return Problem(at.file, at.line, f"SpoolDirectory: {given.path!r}: {message}")
