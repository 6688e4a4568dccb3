"""Run a command on the package compiled by mypyc, by default the quick tests::

    python -m tests.compiled [COMMAND...]

A source distribution is unpacked into a temporary folder and compiled in place there (see
`pyproject.toml`), and the command runs in that folder: this one stays as it is. Needs build, gcc
and the headers of Python.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

QUICK = (sys.executable, "-m", "pytest", "-q", "-m", "not e2e and not parity")
HOOK = {"HATCH_BUILD_HOOK_ENABLE_MYPYC": "true"}
CHECK = "import scgiproxy.scgi.response as it; raise SystemExit(not it.__file__.endswith('.so'))"


def build(kind: str, source: Path, destination: Path, **variables: str) -> Path:
    """The file that ``python -m build`` makes of `source`."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--outdir", str(destination), "."]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=source, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(done.stdout.decode(errors="replace"))
    (made,) = destination.iterdir()
    return made


def main() -> int:
    command = sys.argv[1:] or QUICK
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # A server under test that gives up its rights still has to read the package.
        folder.chmod(0o755)
        archive = build("sdist", Path(__file__).parents[1], folder / "sdist")
        with tarfile.open(archive) as unpacked:
            unpacked.extractall(folder, filter="data")
        tree = folder / archive.name.removesuffix(".tar.gz")
        build("wheel", tree, folder / "wheel", **HOOK)
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        subprocess.run([sys.executable, "-c", CHECK], cwd=tree, env=environment, check=True)
        return subprocess.run(command, cwd=tree, env=environment).returncode


if __name__ == "__main__":
    raise SystemExit(main())
