"""The configurations that the cases are for: virtual hosts of one gateway, told apart by the port."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# The user ada has the password "engine".
_USERS = "ada:{SHA}xkAzZy9cqYTf6WKQlnGWHoAS8MU=\n"

_PROXY = "ProxyPass / unix:{folder}/backend|scgi://localhost/\n"
_DENIED = "<Location /admin>\nRequire all denied\n</Location>\n"

SITES: Mapping[str, str] = {
    "plain": _PROXY,
    "access": _DENIED + _PROXY,
    "slashes-on": "AllowEncodedSlashes On\n" + _DENIED + _PROXY,
    "slashes-nodecode": "AllowEncodedSlashes NoDecode\n" + _DENIED + _PROXY,
    "static": "DocumentRoot {folder}/root\nAlias /static {folder}/static\n",
    "trust": """
        SetEnv UNTRUSTED_CONNECTION 1
        SetEnv GATEWAY_SECRET "the secret"
        RequestHeader set X-Set "by the operator"
        RequestHeader unset X-Role
    """
    + _PROXY,
    "users": """
        <Location />
          AuthType Basic
          AuthName "here"
          AuthUserFile {folder}/users
          Require valid-user
        </Location>
        <Location /admin>
          Require all granted
        </Location>
        <Location /last>
          Require all granted
        </Location>
    """
    + _PROXY,
}


def write_files(folder: Path) -> None:
    """What the configurations refer to, and beside it what must not be served."""
    for name in ("root", "static"):
        (folder / name).mkdir()
    (folder / "static" / "a.txt").write_text("a")
    (folder / "static" / "large").write_bytes(bytes(200_000))
    (folder / "secret.txt").write_text("secret")
    (folder / "static.txt").write_text("secret")
    (folder / "users").write_text(_USERS)


def configuration(folder: Path, ports: Mapping[str, int]) -> str:
    """All sites, each on its port of the loopback."""
    lines = ["Timeout 30", "LimitRequestBody 100000", "ServerName localhost"]
    for name, text in SITES.items():
        lines += [
            f"Listen 127.0.0.1:{ports[name]}",
            f"<VirtualHost *:{ports[name]}>",
            text.replace("{folder}", str(folder)),
            "</VirtualHost>",
        ]
    return "\n".join([*lines, ""])
