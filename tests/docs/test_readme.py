"""The configurations of the README pass the check, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scgiproxy.config.load import load_text

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIGURATIONS = re.findall(r"^```apache\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINKS = re.findall(r"\]\(([^)#:]+)\)", README)


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_loads(text: str) -> None:
    assert load_text(text).listeners[0].port == 8080


@pytest.mark.parametrize("name", ["simple.conf", "balanced.conf"])
def test_the_gateways_of_apaches_document_are_those_of_the_examples(name: str) -> None:
    example = (ROOT / "docs" / "examples" / name).read_text()
    lines = [line for line in example.splitlines(keepends=True) if not line.startswith("#")]
    assert "".join(lines).strip() + "\n" in CONFIGURATIONS


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("name", ["demo", "test"])
def test_the_two_commands_can_be_found(name: str) -> None:
    """By their marks, each on one line of a shell block; `.ci/run` does so."""
    found = re.findall(rf"<!-- {name} command -->\n```sh\n(.+)\n```\n", README)
    assert len(found) == 1
