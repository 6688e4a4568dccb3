"""Each attack has tests, and each of these tests is one that pytest finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.page import CHAPTERS, written_into
from tests.security.rows import Row

ROWS = [row for rows in CHAPTERS.values() for row in rows]
ROOT = Path(__file__).parents[2]


def collect(*names: str) -> subprocess.CompletedProcess[str]:
    """What pytest finds under these names."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *names], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _expected(row: Row) -> object:
    marks = [pytest.mark.xfail(strict=True, reason=row.to_come)] if row.to_come else []
    return pytest.param(row, marks=marks, id=row.attack)


@pytest.mark.parametrize("row", [_expected(row) for row in ROWS])
def test_it_is_shown(row: Row) -> None:
    assert row.attack
    assert row.instead
    assert row.tests
    assert not row.to_come


def test_every_test_that_is_named_is_there() -> None:
    names = sorted({name for row in ROWS for name in row.tests})
    found = collect(*names)
    assert found.returncode == 0, found.stdout


def test_a_name_that_is_none_would_be_told() -> None:
    """Of a function, and of a parameter."""
    here = "tests/security/test_rows.py"
    found = collect(f"{here}::test_that_is_not_there", f"{here}::test_it_is_shown[nothing]")
    assert found.returncode != 0
    assert found.stdout.count("not found: ") == 2


def test_no_attack_stands_twice() -> None:
    assert len({row.attack for row in ROWS}) == len(ROWS)
    assert all(CHAPTERS.values())


def test_the_page_tells_of_all() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    assert page == written_into(page), "run python -m tests.security docs/security.md"
