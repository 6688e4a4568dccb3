"""The page "Differences from Apache" names every difference that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parity.differences import DIFFERENCES, STANDING_VARIABLES

PAGE = (Path(__file__).parents[2] / "docs" / "differences.rst").read_text()
LABEL = re.compile(r"^\.\. _difference-([a-z0-9-]+):\n\n", re.MULTILINE)
LABELS = re.compile(f"((?:{LABEL.pattern.replace('(', '(?:')})+)", re.MULTILINE)
_, *PIECES = LABELS.split(PAGE)
ENTRIES = {
    label: text
    for labels, text in zip(PIECES[::2], PIECES[1::2], strict=True)
    for label in LABEL.findall(labels)
}
"""Each entry's text by its labels, of which it may have several."""

PROBLEMS = {
    "chunked uploads refused": "chunked-upload",
    "CONTENT_LENGTH promises more than is sent": "content-length-promised",
    "early responses lost": "early-answer",
    "no Content-Length from the backend": "content-length",
    "a short body looks complete": "short-body",
    "Transfer-Encoding dropped, chunks shown": "backend-transfer-encoding",
    "PATH_INFO is a wrong guess": "path-info",
    "SetEnv cannot switch PATH_INFO on": "path-info-by-setenv",
    "ProxyPassReverse and kin do nothing": "rewriting-directives",
    "an absolute Location stays 200": "location-without-status",
    "X-Sendfile without length and ranges": "sendfile",
    "X-Sendfile errors are 500": "sendfile-errors",
    "a 304 leaks the path": "leaked-path",
    "unlimited response headers": "response-head-limit",
    "hop-by-hop headers passed": "hop-by-hop",
    "status 100 and 6xx passed": "bad-status",
    "UNIX workers keyed by their label": "unix-workers",
    "shared workers drop parameters": "worker-sharing",
    "500ms means 500 s": "units",
    "proxy: file name, PATH and control variables leak": "leaked-variables",
    "Cookie fields joined by a comma": "cookie-separator",
    "failontimeout has no effect": "failontimeout",
    "a session by a part of a name": "session-names",
    "a route by the first separator": "session-values",
    "a disabled member prevents the recovery": "forced-recovery",
    "trailing slashes": "slashes",
    "a type by the URL's extension": "type-from-extension",
    "SERVER_PORT 80": "server-port",
    "an error page with a wrong length": "error-page-length",
    "a malformed header is logged late and wrongly": "bad-lines",
}
"""What Apache does badly and is done the better way, by the entry that says so."""

DECISIONS = {
    "SIGTERM lets requests end": "graceful-shutdown",
    "methods that the parser does not know": "unknown-methods",
    "431 for too large headers": "header-limit-status",
    "502 for a bad answer": "bad-gateway",
    "%00 is 400": "encoded-nul",
    "a client that half-closes has left": "half-close",
    "a limit of the header block": "maxheader",
    "Header has one table": "header-tables",
    "HTTP/0.9 and HTTP/2": "http-versions",
    "Upgrade is ignored": "upgrade",
    "what counts against a member": "faults",
    "an enabled member is tried at once": "enabling",
    "changes by the balancer-manager": "balancer-manager",
    "BalancerInherit hides balancers": "balancer-inherit",
    "what survives a restart": "balancer-persist",
    "workers have turns of their own": "workers-turns",
    "both lengths": "framing",
}


@pytest.mark.parametrize("topic", [*PROBLEMS, *DECISIONS])
def test_every_topic_has_an_entry(topic: str) -> None:
    assert {**PROBLEMS, **DECISIONS}[topic] in ENTRIES


@pytest.mark.parametrize("key", DIFFERENCES)
def test_every_difference_of_the_parity_tests_has_an_entry(key: str) -> None:
    """Under its own name."""
    assert key in ENTRIES


@pytest.mark.parametrize("name", STANDING_VARIABLES)
def test_every_variable_that_always_differs_is_named(name: str) -> None:
    assert name in ENTRIES["leaked-variables"]


@pytest.mark.parametrize("label", ENTRIES)
def test_an_entry_says_both_sides_and_the_way_back(label: str) -> None:
    fields = re.findall(r"^:([A-Z][a-z ]+): \S", ENTRIES[label], re.MULTILINE)
    assert fields == ["Apache", "Here", "Way back"]


def test_no_label_is_used_twice() -> None:
    assert len(LABEL.findall(PAGE)) == len(ENTRIES)
