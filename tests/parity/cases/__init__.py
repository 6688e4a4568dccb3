"""Every case, by subject."""

from __future__ import annotations

from collections import Counter

from tests.parity.case import Case
from tests.parity.cases import (
    access,
    balancers,
    environment,
    mapping,
    redirects,
    requests,
    responses,
    sessions,
    timeouts,
    variables,
)

CASES: tuple[Case, ...] = (
    *mapping.CASES,
    *variables.CASES,
    *requests.CASES,
    *responses.CASES,
    *redirects.CASES,
    *environment.CASES,
    *access.CASES,
    *balancers.CASES,
    *sessions.CASES,
    *timeouts.CASES,
)

_REPEATED = [name for name, count in Counter(case.name for case in CASES).items() if count > 1]
assert not _REPEATED, f"two cases of one name: {_REPEATED}"
