"""What atheris runs: ``python -m tests.fuzz.covered TARGET [libFuzzer's options and folders]``."""

from __future__ import annotations

import gc
import sys

import atheris

with atheris.instrument_imports(include=["scgiproxy"]):
    from tests.fuzz.engines import load


def main() -> None:
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["scgiproxy"]):
        target = load(name)
    gc.freeze()
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
