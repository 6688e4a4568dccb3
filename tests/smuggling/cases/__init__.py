"""Every case."""

from __future__ import annotations

from tests.smuggling.cases import (
    chunks,
    codings,
    hosts,
    lengths,
    lines,
    streams,
    targets,
    variables,
)

CASES = {
    case.name: case
    for module in (lengths, codings, chunks, lines, hosts, targets, variables, streams)
    for case in module.CASES
}
