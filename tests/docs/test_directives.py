"""The generated page of the directives."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.config.reference import main

PAGE = Path(__file__).parents[2] / "docs" / "directives.rst"


def test_the_page_is_what_the_table_gives() -> None:
    """`python -m scgiproxy.config.reference docs/directives.rst` writes it anew."""
    assert main([str(PAGE), "--check"]) == 0


def test_a_stale_or_missing_page_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "directives.rst"
    assert main([str(page), "--check"]) == 1
    assert main([str(page)]) == 0
    assert main([str(page), "--check"]) == 0
    page.write_text(page.read_text().replace("ProxyPass", "ProxyPas"))
    assert main([str(page), "--check"]) == 1
    assert f"reference {page}" in capsys.readouterr().err
