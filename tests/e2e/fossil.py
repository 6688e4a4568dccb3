"""Fossil's own SCGI server with a new repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

from tests.e2e.processes import Process, free_port, missing

USER, PASSWORD = "admin", "open sesame"


def fossil(folder: Path) -> Process:
    """``fossil server --scgi`` on a repository in `folder` whose only user is USER."""
    program = which("fossil")
    if program is None:
        missing("fossil", "fossil from Debian")
    environment = {"FOSSIL_HOME": str(folder), "HOME": str(folder), "USER": USER}
    repository = folder / "site.fossil"
    for arguments in (
        ["init", "--admin-user", USER, str(repository)],
        ["user", "password", USER, PASSWORD, "-R", str(repository)],
        # What each request's process does after its answer, in the way of the next one's write.
        ["settings", "backoffice-disable", "on", "-R", str(repository)],
    ):
        subprocess.run(
            [program, *arguments], env=environment, cwd=folder, check=True, capture_output=True
        )
    port = free_port()
    # Run by root it would give up its rights and enter a chroot without what it needs there.
    command = [program, "server", "--scgi", "--localhost", "--port", str(port), "--nojail"]
    address = ("127.0.0.1", port)
    return Process("fossil", [*command, repository], folder, address, environment=environment)
