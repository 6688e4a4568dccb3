"""Where the figures of a run go: into a file of all of them, a document, the stored ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench import files, report
from tests.bench.baseline import Baseline
from tests.bench.figures import Results

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """A file that an option names. `read` raises `ValueError` if it has something else."""

    option: str
    path: Path
    read: Callable[[Path], object]
    write: Callable[[Path, Results], None]
    may_be_new: bool = True

    def expect_usable(self) -> None:
        """Before there is anything to write. Raises `ValueError` that says which option and which
        file it is about, and what was expected."""
        files.expect_writable(self.path)
        if self.path.exists() or not self.may_be_new:
            self.read(self.path)


def chosen(figures: Path | None, document: Path | None, ratios: Path | None) -> list[Output]:
    """Those that are not None; each can be used, or `ValueError` is raised."""
    outputs = []
    if figures:
        outputs.append(Output("--json", figures, Results.read, _write_figures))
    if document:
        write = report.write_into
        outputs.append(Output("--write", document, report.around, write, may_be_new=False))
    if ratios:
        outputs.append(Output("--store", ratios, Baseline.read, _write_ratios))
    for error in _errors(outputs, Output.expect_usable):
        raise ValueError(error)
    return outputs


def write(outputs: Sequence[Output], results: Results) -> list[str]:
    """Returns what could not be written, and why; the others are."""
    return list(_errors(outputs, lambda output: output.write(output.path, results)))


def read(option: str, path: Path, reader: Callable[[Path], T]) -> T:
    """A file that `option` names. Raises `ValueError` with both of them."""
    with _said_with(option, path):
        return reader(path)


def _errors(outputs: Sequence[Output], action: Callable[[Output], None]) -> Iterator[str]:
    for output in outputs:
        try:
            with _said_with(output.option, output.path):
                action(output)
        except ValueError as error:
            yield str(error)


@contextmanager
def _said_with(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    except OSError as error:
        raise ValueError(f"{option}: {path}: {error.strerror}") from None


def _write_figures(path: Path, results: Results) -> None:
    """Works that the file has and that were not measured stay in it."""
    if path.exists():
        results.with_earlier(Results.read(path))
    results.write(path)


def _write_ratios(path: Path, results: Results) -> None:
    """Ratios that the file has and that were not measured stay in it."""
    now = Baseline.of(results)
    earlier = Baseline.read(path) if path.exists() else Baseline()
    kept = earlier.ratios.keys() - now.ratios.keys()
    now.with_earlier(earlier).write(path)
    print(f"{path.name}: {len(now.ratios)} ratios stored, {len(kept)} others stay as they were")
    if kept and earlier.differs_from(now.machine):
        print(f"those that stay were measured on another machine or version: {earlier.machine}")
