"""Require and its containers, Order and kin, and what users need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scgiproxy.rules.access import (
    RequireAll,
    RequireAllGranted,
    RequireAny,
    Requirement,
    RequireNone,
    RequireNot,
    RequireUser,
    RequireValidUser,
)
from tests.config.loading import errors_of, load, notes_of, settings_of, write


def _inside(text: str) -> str:
    return f"<Location />\n{text}\n</Location>"


def _access(text: str) -> Requirement | None:
    return settings_of(load(_inside(text))).access


def test_nested_containers() -> None:
    access = _access(
        """
        <RequireAll>
            <RequireAny>
                Require ip 10.1 192.0.2.0/24
                Require all granted
            </RequireAny>
            Require not local
            <RequireNone>
                Require all denied
            </RequireNone>
        </RequireAll>
        """
    )
    assert isinstance(access, RequireAll)
    any_of, negative, none_of = access.children
    assert isinstance(any_of, RequireAny)
    assert any_of.children[1] == RequireAllGranted(True)
    assert isinstance(negative, RequireNot)
    assert isinstance(none_of, RequireNone)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Require", "takes at least one argument"),
        ("Require nobody", "'nobody' is no provider; expected all granted|denied, ip, local"),
        ("Require host example.com", "'host' is not supported here"),
        ("Require group a", "'group' is not supported here"),
        ("Require all maybe", "expected granted or denied after all"),
        ("Require ip", "expected one or more addresses"),
        ("Require ip 10.0.0.300", "'10.0.0.300' is no address or network"),
        ("Require user", "expected one or more names after user"),
        ("Require local yes", "nothing may follow local, got 'yes'"),
        ("Require not", "after not"),
        ("Require not ip 10", "a negative rule has no effect outside a container"),
        ("<RequireAll>\n</RequireAll>", "<RequireAll> is empty"),
        ("<RequireAny x>\nRequire local\n</RequireAny>", "takes no arguments; 1 given"),
        ("<RequireAll>\nRequire not local\n</RequireAll>", "only negative"),
        ("<RequireAny>\nRequire not local\n</RequireAny>", "a negative rule has no effect"),
        ("<RequireNone>\nRequire local\n</RequireNone>", "it only refuses"),
        ("<RequireAll>\nSetEnv A\n</RequireAll>", "SetEnv: not allowed in <RequireAll> and kin"),
        ("Allow from", "expected from, and then all"),
        ("Allow from env=", "no variable in 'env='"),
        ("Order allow, deny", "takes one argument"),
    ],
)
def test_wrong_rules(line: str, message: str) -> None:
    """One error for each, at its line; a container that is empty for that reason is silent."""
    (error,) = errors_of(_inside(line))
    assert message in error
    assert error.startswith(("f:2: ", "f:3: "))


def test_users_need_a_way_to_ask(tmp_path: Path) -> None:
    """All three directives, from whatever section."""
    file = write(tmp_path, "users", "")
    assert errors_of(_inside("Require valid-user")) == [
        "f:1: <Location>: Require of a user needs AuthType and AuthName and AuthUserFile"
    ]
    inner = "<RequireAny>\nRequire not user a\n</RequireAny>"
    text = f"<RequireAll>\n{inner}\nRequire all granted\n</RequireAll>"
    assert "a negative rule" in errors_of(_inside(text))[0]
    partly = _inside(f"AuthType Basic\nAuthUserFile {file}\nRequire user a")
    assert errors_of(partly) == ["f:1: <Location>: Require of a user needs AuthName"]
    elsewhere = "<Location /x>\nAuthName r\n</Location>"
    assert load(f"{elsewhere}\n{partly}").notes == ()


def test_users(tmp_path: Path) -> None:
    file = write(tmp_path, "users", "")
    auth = f"AuthType Basic\nAuthName r\nAuthUserFile {file}\n"
    assert _access(auth + "Require valid-user") == RequireValidUser()
    assert _access(auth + "Require user a b") == RequireUser(frozenset({b"a", b"b"}))


def test_a_user_file_below_server_root(tmp_path: Path) -> None:
    write(tmp_path, "users", "")
    text = _inside("AuthType Basic\nAuthName r\nAuthUserFile users")
    auth = settings_of(load(text, server_root=tmp_path)).auth
    assert auth is not None
    assert auth.user_file == f"{tmp_path}/users"


def test_a_user_file_that_is_a_folder(tmp_path: Path) -> None:
    (error,) = errors_of(_inside(f"AuthUserFile {tmp_path}"))
    assert "cannot read" in error


def test_a_user_file_that_is_a_pipe(tmp_path: Path) -> None:
    """It is not opened, since that might never end."""
    os.mkfifo(tmp_path / "pipe")
    (error,) = errors_of(_inside(f"AuthUserFile {tmp_path}/pipe"))
    assert error.endswith(f"cannot read '{tmp_path}/pipe': it is not a regular file")


def test_host_names_are_not_looked_up() -> None:
    """Whom an Allow names is not let in, which is told; a Deny would let them in."""
    (note,) = notes_of(_inside("Allow from good.example 10.1"))
    assert "Allow: host names are not looked up" in note
    (error,) = errors_of(_inside("Deny from bad.example 10.1"))
    assert "Deny: host names are not looked up, so this would let in" in error


def test_a_user_file_that_cannot_be_read_is_not_missing_too() -> None:
    text = "AuthType Basic\nAuthName r\nAuthUserFile /nowhere\nRequire valid-user"
    (error,) = errors_of(_inside(text))
    assert error.startswith("f:4: AuthUserFile: cannot read '/nowhere'")
