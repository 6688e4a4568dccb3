"""AuthType Basic: users, passwords of every kind, and what the backend is told of them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from tests.directives.behaviours import behaviour
from tests.directives.gateway import Configured

# What Apache's htpasswd writes for the password "secret", by its option.
HASHES = {
    "-B": "$2y$05$NkzLjfEDlgzuIpBddoapf.A/gshT91FJuN3VaOQSCPRlTMc59.zd2",
    "-m": "$apr1$NSMW2Qtg$iW.OIIQb0orQmjgYuEbI/0",
    "-s": "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "-2": "$5$dddgaDC.wqjPOhlq$E84PXxLDrQ7cTwT.aBnmuBQQH6PRy.2s4JD0tcEQse2",
    "-5": "$6$ILEPEJN3DHAN29Nd$DWgPvAs7GM9utY0wRFq2Ao1VZpIjut2pV0Yb6OTh8DjYE2drQm3864kPnvx/"
    "FBQPg0SmhjyKEED0ZpUbqfkWk/",
    "-d": "n3JmfGW6XFbMw",
}
PROXY = "ProxyPass / scgi://127.0.0.1:4000/\n"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A file with a user `kind-X` for each kind of hash, and one more."""
    lines = ["# users", *(f"kind{option}:{digest}" for option, digest in HASHES.items())]
    file = tmp_path / "users"
    file.write_text("\n".join([*lines, f"other:{HASHES['-s']}", ""]))
    return file


def basic(user: str, password: str = "secret") -> str:
    return "Authorization: Basic " + b64encode(f"{user}:{password}".encode()).decode()


def section(users: Path, lines: str, path: str = "/") -> str:
    return (
        f'<Location {path}>\nAuthType Basic\nAuthName "The realm"\nAuthUserFile {users}\n'
        f"AuthBasicProvider file\n{lines}\n</Location>\n"
    )


@behaviour("AuthType", "AuthName", "AuthUserFile", "AuthBasicProvider", "Require")
@pytest.mark.parametrize("option", HASHES)
def test_every_kind_of_password(configured: Configured, users: Path, option: str) -> None:
    """Right is let in and told to the backend; wrong and nothing are asked again."""
    gateway = configured(PROXY + section(users, "Require valid-user"))
    right = gateway.ask("/", basic(f"kind{option}"))
    assert right.status == 200
    assert right.variables["REMOTE_USER"] == f"kind{option}"
    assert right.variables["AUTH_TYPE"] == "Basic"
    assert "HTTP_AUTHORIZATION" not in right.variables
    reached = len(gateway.attempts)
    for headers in (
        [basic(f"kind{option}", "Secret")],
        [basic("nobody")],
        [],
        ["Authorization: x"],
    ):
        wrong = gateway.ask("/", *headers)
        assert wrong.status == 401
        challenge = wrong["www-authenticate"]
        assert challenge is not None
        assert challenge.startswith('Basic realm="The realm"')
    assert len(gateway.attempts) == reached


@behaviour("Require")
@pytest.mark.parametrize(
    ("lines", "user", "status"),
    [
        ("Require user other", "other", 200),
        ("Require user other third", "kind-s", 401),
        ("Require user kind-s\nRequire user other", "other", 200),
        ("Require ip 192.0.2.7\nRequire valid-user", None, 200),
        ("Require ip 192.0.2.8\nRequire valid-user", None, 401),
        ("Require all denied", "other", 403),
        ("<RequireAll>\nRequire valid-user\nRequire ip 10.0.0.1\n</RequireAll>", "other", 403),
        ("<RequireAll>\nRequire valid-user\nRequire not user other\n</RequireAll>", "other", 401),
        ("<RequireAll>\nRequire valid-user\nRequire not user other\n</RequireAll>", "kind-s", 200),
        ("Require valid-user\nOrder allow,deny\nAllow from 192.0.2.7\nSatisfy any", None, 200),
        ("Require valid-user\nOrder allow,deny\nAllow from 10.0.0.1\nSatisfy any", None, 401),
        ("Require valid-user\nOrder allow,deny\nAllow from 10.0.0.1", "other", 403),
    ],
)
def test_users(
    configured: Configured, users: Path, lines: str, user: str | None, status: int
) -> None:
    gateway = configured(PROXY + section(users, lines))
    headers = [basic(user)] if user else []
    assert gateway.ask("/", *headers).status == status


@behaviour("AuthType", "AuthName", "AuthUserFile")
def test_places(configured: Configured, users: Path, tmp_path: Path) -> None:
    """Each part is inherited by itself; an inner one replaces the outer one."""
    (tmp_path / "inner").write_text(f"inner:{HASHES['-s']}\n")
    gateway = configured(
        PROXY
        + section(users, "Require valid-user")
        + f"""
        <VirtualHost *>
          <Location /name>
            AuthName Inner
          </Location>
          <Location /file>
            AuthUserFile {tmp_path}/inner
          </Location>
          <Location /open>
            AuthType None
            Require all granted
          </Location>
        </VirtualHost>
        """
    )
    assert 'realm="The realm"' in (gateway.ask("/")["www-authenticate"] or "")
    assert 'realm="Inner"' in (gateway.ask("/name")["www-authenticate"] or "")
    assert gateway.ask("/name", basic("other")).status == 200
    assert gateway.ask("/file", basic("other")).status == 401
    assert gateway.ask("/file", basic("inner")).status == 200
    assert gateway.ask("/open").status == 200


@behaviour("AuthUserFile")
def test_changed_file(configured: Configured, users: Path) -> None:
    """What htpasswd changes counts from the next request on."""
    gateway = configured(PROXY + section(users, "Require valid-user"))
    assert gateway.ask("/", basic("other")).status == 200
    users.write_text(f"third:{HASHES['-s']}\n# longer than before so that its size changes\n")
    assert gateway.ask("/", basic("other")).status == 401
    assert gateway.ask("/", basic("third")).status == 200
    users.unlink()
    assert gateway.ask("/", basic("third")).status == 500


@behaviour("CGIPassAuth")
def test_cgi_pass_auth(configured: Configured, users: Path) -> None:
    """The application sees Authorization where it is to, and only there."""
    gateway = configured(
        PROXY
        + section(users, "Require valid-user", "/both")
        + """
        <Location /own>
          CGIPassAuth On
        </Location>
        <Location /both>
          CGIPassAuth on
        </Location>
        <VirtualHost *>
          <Location /own/not>
            CGIPassAuth Off
          </Location>
        </VirtualHost>
        """
    )
    header = basic("other")
    value = header.partition(": ")[2]
    for path, seen in (("/", None), ("/own", value), ("/own/not", None), ("/both", value)):
        variables = gateway.ask(path, header, "Proxy-Authorization: x").variables
        assert variables.get("HTTP_AUTHORIZATION") == seen, path
        assert variables.get("HTTP_PROXY_AUTHORIZATION") == (seen and "x"), path
    both = gateway.ask("/both", header).variables
    assert both["REMOTE_USER"] == "other"


@behaviour("Require", "AuthType")
def test_user_of_a_file(configured: Configured, users: Path, tmp_path: Path) -> None:
    """Files are guarded as backends are, with the upload of a refused request unread."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.txt").write_text("a")
    gateway = configured(f"DocumentRoot {tmp_path}/www\n" + section(users, "Require valid-user"))
    assert gateway.ask("/a.txt").status == 401
    assert gateway.ask("/a.txt", basic("kind-m")).body == b"a"
    refused = gateway.ask("/a.txt", "Expect: 100-continue", method="POST", body=b"x" * 10)
    assert refused.status == 401
    assert b"100 Continue" not in refused.client.received
