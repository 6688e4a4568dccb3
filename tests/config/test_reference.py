"""The generated page."""

from __future__ import annotations

import itertools
import re

from scgiproxy.config.balancers import BALANCER_PARAMETERS
from scgiproxy.config.directives import DIRECTIVES
from scgiproxy.config.reference import render
from scgiproxy.config.workers import WORKER_PARAMETERS


def test_every_directive_is_named() -> None:
    """Those with an effect have a place of their own, which can be linked to."""
    page = render()
    for row in DIRECTIVES.values():
        if row.inert:
            assert re.search(rf"^- .*\b{row.name}\b.*: ", page, re.MULTILINE)
        else:
            assert f"\n.. _directive-{row.name.lower()}:\n\n{row.shown}\n~" in page


def test_every_parameter_is_named() -> None:
    page = render()
    for name in {**WORKER_PARAMETERS, **BALANCER_PARAMETERS}:
        assert f"\n``{name}=" in page


def test_an_entry() -> None:
    """Synopsis, sentence, default, context and merge rule, from the row."""
    assert (
        "Timeout\n~~~~~~~\n\n.. code-block:: none\n\n   Timeout SECONDS[ms|s|min|h]\n\n"
        "The longest wait for a client, and for a backend without a limit of its own.\n\n:Default: 60\n"
        ":Context: server config, <VirtualHost>\n"
        ":Merging: the last line counts; an inner place replaces the outer one\n"
    ) in render()
    assert "\n   <RequireAll>\n" in render()
    assert ":Context: server config, <VirtualHost>, every section\n" in render()


def test_special_characters_are_escaped() -> None:
    assert r"\* and ? are wildcards." in render()


def test_headings_are_underlined() -> None:
    lines = render().splitlines()
    for above, line in itertools.pairwise(lines):
        if re.fullmatch(r"([=~-])\1{2,}", line):
            assert len(line) == len(above)
