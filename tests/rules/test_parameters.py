"""The words of parameters; what each takes is tested where it is set."""

from __future__ import annotations

from scgiproxy.rules.parameters import suggest


def test_suggestions() -> None:
    assert suggest("tiemout", ["timeout", "retry"]) == "; did you mean timeout?"
    assert suggest("xyz", ["timeout", "retry"]) == ""
