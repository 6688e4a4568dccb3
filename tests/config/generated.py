"""Texts that look like configurations, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from scgiproxy.config.directives import DIRECTIVES

NAMES = [row.name for row in DIRECTIVES.values() if not row.read_time]
WORDS = st.sampled_from(
    [
        "/a / !",
        "On",
        "Off",
        "scgi://localhost:1/$1",
        "balancer://b",
        "unix:/a",
        "scgi://b",
        "proxy:scgi://h",
        "^/(.*)$",
        "(",
        "~",
        "*",
        "5",
        "5ms",
        "-1",
        "timeout=5",
        "lbmethod=x",
        "a=",
        "=",
        "env=A",
        "%{A}e",
        "all",
        "granted",
        "not",
        "user",
        "from",
        "10.1",
        "basic",
        "404",
        '"',
        "\\",
        "default",
        "<",
        ">",
        "é",
        "always",
        "set",
        "X-A",
    ]
)
LINES = st.builds(
    lambda name, words: " ".join([name, *words]), st.sampled_from(NAMES), st.lists(WORDS)
)
SECTIONS = st.builds(
    lambda name, words, lines: "\n".join([f"<{name} {' '.join(words)}>", *lines, f"</{name}>"]),
    st.sampled_from(NAMES),
    st.lists(WORDS, max_size=2),
    st.lists(LINES, max_size=3),
)
TEXTS = st.lists(st.one_of(LINES, SECTIONS), max_size=5).map("\n".join)
