"""Each row of the table: parsed, refused and merged as its example says."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from scgiproxy.config.directives import DIRECTIVES, SERVER_RULES, SETTINGS_RULES, is_served
from scgiproxy.config.model import Config
from scgiproxy.config.table import Context, Directive
from scgiproxy.rules.mapping import Alias
from scgiproxy.rules.settings import AccessLog, BasicAuth, ServerSettings, Settings
from tests.config.examples import EXAMPLES
from tests.config.examples.base import Example, make_files
from tests.config.loading import load, notes_of, problems_of

ENVIRONMENT = {"HOME": "/home/me", "LANG": "C"}
SERVED = [row.name for row in DIRECTIVES.values() if not row.inert and not row.read_time]
HARMLESS = {
    "BalancerGrowth": "5",
    "AddHandler": "type-map var",
    "AddOutputFilter": "DEFLATE html",
    "AddOutputFilterByType": "deflate;BROTLI_COMPRESS text/html",
    "SetOutputFilter": "NONE",
}
INERT = [row for row in DIRECTIVES.values() if row.inert and row.name not in EXAMPLES]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    make_files(tmp_path)
    return str(tmp_path)


def _load(text: str, folder: str) -> Config:
    return load(text.replace("{tmp}", folder), environment=ENVIRONMENT)


def _expected(value: Any, folder: str) -> Any:
    """The value of an example with the folder's name in it."""
    if isinstance(value, str):
        return value.replace("{tmp}", folder)
    if isinstance(value, list):
        return [_expected(each, folder) for each in value]
    if isinstance(value, tuple):
        return tuple(_expected(each, folder) for each in value)
    if isinstance(value, AccessLog):
        return AccessLog(_expected(value.path, folder), value.format)
    if isinstance(value, Alias):
        return Alias(value.prefix, _expected(value.path, folder))
    return value


def _read(example: Example, config: Config) -> Any:
    value = example.read(config)
    if isinstance(value, BasicAuth):
        return value.realm.decode(), value.user_file
    return value


def test_every_directive_has_an_example() -> None:
    """A new row needs one: that is what the next tests run on."""
    assert set(SERVED) <= set(EXAMPLES)
    assert set(EXAMPLES) <= {row.name for row in DIRECTIVES.values()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_valid(name: str, folder: str) -> None:
    """The example's line has its value, whatever the case of its name."""
    example = EXAMPLES[name]
    text = example.outer.replace("{}", example.good)
    config = _load(f"{text}\n{example.more}", folder)
    assert _read(example, config) == _expected(example.value, folder)
    shouted = text.replace(name, name.upper())
    assert _read(example, _load(f"{shouted}\n{example.more}", folder)) == _expected(
        example.value, folder
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_invalid(name: str, folder: str) -> None:
    """The example's wrong line is refused with its place, its directive and what was expected."""
    example = EXAMPLES[name]
    text = "# a line before it\n" + example.bad.replace("{tmp}", folder)
    errors = [problem for problem in problems_of(text) if problem.is_error]
    assert len(errors) == 1
    assert _expected(example.says, folder) in errors[0].message
    assert errors[0].file == "f"
    lines = text.splitlines()
    named = [number for number, line in enumerate(lines, 1) if name.lower() in line.lower()]
    inside = [number for number, line in enumerate(lines, 1) if "Require" in line]
    assert errors[0].line in (*named, *inside)
    shown = DIRECTIVES[name.lower()].shown
    assert errors[0].message.startswith(f"{shown}: ")


@pytest.mark.parametrize("name", EXAMPLES)
def test_merge(name: str, folder: str) -> None:
    """The example's line in an outer place and its other line in an inner one."""
    example = EXAMPLES[name]
    text = "\n".join(
        [
            example.outer.replace("{}", example.good),
            example.inner.replace("{}", example.other),
            example.more,
        ]
    )
    assert _read(example, _load(text, folder)) == _expected(example.merged, folder)


@pytest.mark.parametrize("row", INERT, ids=lambda row: row.name)
def test_inert(row: Directive) -> None:
    """Accepted anywhere with any arguments (with few exceptions), and told once."""
    line = f"{row.name} {HARMLESS.get(row.name, 'a +b c=d')}"
    notes = notes_of(f"{line}\n{line}\n<VirtualHost *>\n{line}\n</VirtualHost>")
    assert notes == [f"f:1: {row.name} does nothing here: {row.inert}"]
    assert not is_served(row.name)


def test_rules_name_real_fields() -> None:
    """What the table stores is a field of the settings, or one of the parts that merge knows."""
    parts = {"require", "hosts", "satisfy", "auth_type", "auth_name", "auth_user_file"}
    assert set(SETTINGS_RULES) - parts <= {field.name for field in fields(Settings) if field.init}
    assert set(SERVER_RULES) <= {field.name for field in fields(ServerSettings) if field.init}


def test_every_setting_has_a_directive() -> None:
    """No field is there that nothing can set."""
    settings = {field.name for field in fields(Settings) if field.init}
    assert settings - set(SETTINGS_RULES) == {"access", "auth"}
    assert {field.name for field in fields(ServerSettings)} == set(SERVER_RULES)


@pytest.mark.parametrize("row", DIRECTIVES.values(), ids=lambda row: row.name)
def test_rows_are_documented(row: Directive) -> None:
    """A sentence, and the words of its contexts."""
    assert row.doc.endswith(".")
    assert row.contexts.describe()
    assert "{" not in row.syntax


def test_contexts_are_the_manuals() -> None:
    """Contexts that Apache checks, one of each kind."""
    host = Context.SERVER | Context.VIRTUAL_HOST
    section = Context.DIRECTORY | Context.LOCATION | Context.PROXY | Context.FILES
    assert DIRECTIVES["listen"].contexts == Context.SERVER
    assert DIRECTIVES["serveralias"].contexts == Context.VIRTUAL_HOST
    assert DIRECTIVES["timeout"].contexts == host
    assert DIRECTIVES["proxypass"].contexts == host | Context.LOCATION
    assert DIRECTIVES["proxyscgisendfile"].contexts == host | section
    assert DIRECTIVES["filesmatch"].contexts == host | Context.DIRECTORY
    assert DIRECTIVES["cgipassauth"].contexts == section
    assert DIRECTIVES["require"].contexts == section | Context.REQUIRE
