"""How the tests of this folder load a configuration."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.config.load import load_text
from scgiproxy.config.merge import merge
from scgiproxy.config.model import Config
from scgiproxy.errors import ConfigError, Problem
from scgiproxy.rules.settings import Settings


def load(text: str, **options: Any) -> Config:
    """Load `text` with a Listen line after it, so that line numbers are those of `text`."""
    options.setdefault("environment", {})
    options.setdefault("file_name", "f")
    return load_text(textwrap.dedent(text) + "\nListen 8080\n", **options)


def problems_of(text: str, **options: Any) -> tuple[Problem, ...]:
    """Every problem of a `text` that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        load(text, **options)
    return caught.value.problems


def errors_of(text: str, **options: Any) -> list[str]:
    """The errors of a `text`, as they are printed."""
    return [str(problem) for problem in problems_of(text, **options) if problem.is_error]


def notes_of(text: str, **options: Any) -> list[str]:
    """The warnings and notes of a `text` that can be used, as they are printed."""
    return [str(problem) for problem in load(text, **options).notes]


def settings_of(config: Config) -> Settings:
    """What all sections of the last host say together, one after the other."""
    host = (config.main, *config.virtual_hosts)[-1]
    return merge([host.base, *(section.values for section in host.sections)])


def write(folder: Path, name: str, text: str) -> Path:
    """A file of a configuration."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path
