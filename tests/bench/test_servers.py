"""How servers are configured for the same site, without starting any."""

from __future__ import annotations

from pathlib import Path

import pytest

from scgiproxy.config.load import load_text
from tests.bench.servers import SERVERS, Gateway, Server, Site
from tests.bench.works import MEMBERS, WORKS, Origin, Work

ORIGIN = Origin(range(4000, 4000 + MEMBERS), Path("/run/origin.socket"), Path("/srv/files"))


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_the_gateway_knows_every_line(work: Work, tmp_path: Path) -> None:
    config = load_text(Gateway().configuration(work.site(ORIGIN), tmp_path, 8080))
    assert [listener.port for listener in config.listeners] == [8080]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_a_site_reaches_every_server(server: Server, tmp_path: Path) -> None:
    """Each backend, and the UNIX socket, is in every server's own words."""
    balanced = server.configuration(ORIGIN.site(members=3, balanced=True), tmp_path, 8080)
    assert all(port in balanced for port in ("4000", "4001", "4002"))
    assert "4003" not in balanced
    assert "/run/origin.socket" in server.configuration(ORIGIN.site(unix=True), tmp_path, 8080)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
@pytest.mark.parametrize("access_log", [False, True])
def test_a_log_is_written_where_it_is_asked_for(
    server: Server, access_log: bool, tmp_path: Path
) -> None:
    text = server.configuration(Site(("4000",), access_log=access_log), tmp_path, 8080)
    assert ("/access.log" in text) is access_log


def test_what_a_server_is_started_with_is_written_first(tmp_path: Path) -> None:
    command = Gateway().configured(Site(("4000",), workers=2), tmp_path / "gateway", 8080)
    assert Path(command[-1]).read_text() == Gateway().configuration(
        Site(("4000",)), tmp_path / "gateway", 8080
    )
    assert command[command.index("--workers") + 1] == "2"
