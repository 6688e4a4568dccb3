"""What the model tells of a virtual host."""

from __future__ import annotations

from tests.config.loading import load


def test_section_mounts_and_handlers() -> None:
    """Everything that the merged settings of a request may name, whoever said it."""
    config = load(
        """
        SetHandler proxy:scgi://localhost:1
        <Location /a>
            ProxyPass scgi://localhost:2
            SetHandler proxy:scgi://localhost:3
        </Location>
        <Location /b>
            ProxyPass !
            SetHandler scgi-demo
        </Location>
        <Location /c>
            SetHandler scgi-demo
        </Location>
        <Location /d>
            SetHandler None
        </Location>
        """
    )
    targets = [mount.target and str(mount.target.address) for mount in config.main.section_mounts]
    assert targets == ["localhost:1", "localhost:2", "localhost:3", None]
    assert {name: str(place) for name, place in config.main.handlers.items()} == {
        "scgi-demo": "f:7"
    }
