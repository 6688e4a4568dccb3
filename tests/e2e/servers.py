"""Launchers of the SCGI servers that take a web application of ours. Each gives a `Process` whose
`address` is where it speaks SCGI; each needs a package, and says which when it is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from tests.e2e.processes import Address, Process, free_port, missing

APPS = Path(__file__).parent / "apps"
ROOT = APPS.parent.parent.parent
"""The folder from which `tests` is imported."""

_PYTHONPATH = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def mount(address: Address, path: str = "/") -> str:
    """The backend URL of `address`, for a configuration."""
    if isinstance(address, Path):
        return f"unix:{address}|scgi://backend{path}"
    return f"scgi://{address[0]}:{address[1]}{path}"


def _need(module: str, package: str) -> None:
    if find_spec(module) is None:
        missing(module, f"{package} from PyPI")


def _need_script(name: str, package: str) -> Path:
    script = Path(sys.executable).parent / name
    if not script.exists():
        missing(name, f"{package} from PyPI")
    return script


def uwsgi(folder: Path, module: str, socket_path: Path | None = None) -> Process:
    """uWSGI with the WSGI application ``module:app``, on TCP or a UNIX socket."""
    script = _need_script("uwsgi", "pyuwsgi")
    address: Address = socket_path or ("127.0.0.1", free_port())
    where = str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"
    command: list[str | Path] = [
        script,
        "--scgi-socket",
        where,
        "--module",
        f"{module}:app",
        "--need-app",
    ]
    command += ["--master", "--workers", "2", "--die-on-term", "--enable-threads"]
    command += ["--chmod-socket=666", "--pythonpath", ROOT]
    return Process("uwsgi", command, folder, address, environment=_PYTHONPATH)


def aioscgi(folder: Path, socket_path: Path | None = None) -> Process:
    """aioscgi with the ASGI application of `apps`."""
    script = _need_script("aioscgi", "aioscgi")
    command: list[str | Path] = [script]
    address: Address
    if socket_path:
        address = socket_path
        command += ["--unix-socket", socket_path]
    else:
        address = ("127.0.0.1", free_port())
        command += ["--tcp", f"127.0.0.1:{address[1]}"]
    command.append("tests.e2e.apps.asgi_app:app")
    return Process("aioscgi", command, folder, address, environment=_PYTHONPATH)


def flup(folder: Path) -> Process:
    """flup's threaded SCGI server with the Flask application."""
    _need("flup", "flup")
    return _python_server(folder, "flup")


def nascheme(folder: Path) -> Process:
    """The `scgi` package's preforking server with the Flask application."""
    _need("scgi", "scgi")
    return _python_server(folder, "nascheme")


def _python_server(folder: Path, name: str) -> Process:
    _need("flask", "Flask")
    port = free_port()
    command = [sys.executable, "-m", f"tests.e2e.apps.{name}_server", str(port)]
    return Process(name, command, folder, ("127.0.0.1", port), environment=_PYTHONPATH)


def perl(folder: Path) -> Process:
    """A server on Perl's SCGI module."""
    program = which("perl")
    if program is None:
        missing("perl", "perl from Debian")
    probe = subprocess.run([program, "-MSCGI", "-MJSON::PP", "-e", "1"], capture_output=True)
    if probe.returncode:
        missing("Perl's SCGI module", "libscgi-perl from Debian")
    port = free_port()
    command: list[str | Path] = [program, APPS / "perl_server.pl", str(port)]
    return Process("perl", command, folder, ("127.0.0.1", port))
