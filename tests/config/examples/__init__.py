"""One example for each directive: what it means, what is refused, how it is merged."""

from __future__ import annotations

from tests.config.examples import (
    access,
    backends,
    balancers,
    connections,
    content,
    health,
    server,
)
from tests.config.examples.base import Example

EXAMPLES: dict[str, Example] = {
    **server.EXAMPLES,
    **connections.EXAMPLES,
    **backends.EXAMPLES,
    **balancers.EXAMPLES,
    **health.EXAMPLES,
    **content.EXAMPLES,
    **access.EXAMPLES,
}
