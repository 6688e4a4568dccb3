"""Variables: what is told of those that do nothing."""

from __future__ import annotations

import pytest

from tests.config.loading import errors_of, load, notes_of


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SetEnv REMOTE_ADDR 1", "SetEnv: REMOTE_ADDR does nothing: the gateway computes it"),
        ("SetEnv A=B", "SetEnv: 'A=B' is taken as a name, '=' and all; expected SetEnv NAME VALUE"),
        ("SetEnv no-proxy 1", "SetEnv: no-proxy does nothing here; expected SetEnvIf"),
        ("PassEnv NOTHING", "PassEnv: NOTHING is not in the gateway's environment"),
        ("SetEnvIf Host . SERVER_NAME=x", "SetEnvIf: SERVER_NAME does nothing"),
        ("SetEnv SCGI 2", "SetEnv: SCGI does nothing: it is part of the protocol"),
        ("SetEnvIf Host . CONTENT_LENGTH=1", "SetEnvIf: CONTENT_LENGTH does nothing"),
        ("BrowserMatch . SCGI", "BrowserMatch: SCGI does nothing"),
        ("SetEnv GATEWAY_INTERFACE CGI/1.1", "SetEnv: GATEWAY_INTERFACE does nothing: it is not"),
    ],
)
def test_what_does_nothing(line: str, message: str) -> None:
    (note,) = notes_of(line)
    assert note.startswith(f"f:1: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SetEnvIf Host (a) A=$0$1 B=$2", "SetEnvIf: in the value of B, $2 will be empty"),
        ("BrowserMatch a A=$1", "BrowserMatch: in the value of A, $1 will be empty"),
    ],
)
def test_groups_that_are_not_there(line: str, message: str) -> None:
    (note,) = notes_of(line)
    assert note.startswith(f"f:1: {message}: the expression has ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('SetEnv "" x', "expected the name of a variable, got ''"),
        ("SetEnv A b # comment", "takes 1 or 2 arguments (NAME [VALUE]); 4 given"),
        ("SetEnvIf ^A( . B", "'^A(' is no expression for header names"),
    ],
)
def test_wrong_variables(line: str, message: str) -> None:
    (error,) = errors_of(line)
    assert message in error


def test_server_level_and_section_level() -> None:
    """Conditions outside sections act before mapping, those inside after it."""
    config = load("SetEnvIf Host . A\n<Location />\nSetEnvIf Host . B\n</Location>")
    assert len(config.main.server.environment) == 1
    assert list(config.main.sections[0].values) == ["set_env_if"]
    assert "set_env_if" not in config.main.base
