"""A server that is not installed skips its tests, except where all must be there."""

from __future__ import annotations

import pytest

from tests.e2e.processes import REQUIRE_SERVERS, missing

pytestmark = pytest.mark.e2e


def test_a_missing_server_skips_and_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_SERVERS, raising=False)
    with pytest.raises(pytest.skip.Exception, match="install fossil from Debian"):
        missing("fossil", "fossil from Debian")


def test_a_missing_server_fails_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE_SERVERS, "1")
    with pytest.raises(pytest.fail.Exception, match="install fossil from Debian"):
        missing("fossil", "fossil from Debian")
