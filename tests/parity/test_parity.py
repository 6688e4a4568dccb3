"""Each case on Apache and on the gateway."""

from __future__ import annotations

import pytest

from tests.e2e.gateway import WORKERS
from tests.parity.case import Case
from tests.parity.cases import CASES
from tests.parity.comparison import compare
from tests.parity.conftest import Observe
from tests.parity.differences import STANDING_HEADERS, STANDING_VARIABLES
from tests.parity.observation import shows

pytestmark = pytest.mark.parity

_BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_two_agree_or_differ_as_meant(case: Case, apache: Observe, ours: Observe) -> None:
    if case.one_worker and WORKERS > 1:
        pytest.skip(case.one_worker)
    wrong = compare(case, apache(case), ours(case))
    assert not wrong, "\n".join([f"{case.name}:", *wrong])


@pytest.mark.parametrize("name", STANDING_VARIABLES)
def test_a_standing_difference_of_a_variable_is_still_one(
    name: str, apache: Observe, ours: Observe
) -> None:
    standing = STANDING_VARIABLES[name]
    case = _BY_NAME[standing.shown_by]
    fact = standing.fact or f"told.0.{name}"
    assert shows(apache(case), fact) != shows(ours(case), fact)


@pytest.mark.parametrize("name", [name for name, it in STANDING_HEADERS.items() if it.shown_by])
def test_a_standing_difference_of_a_header_is_still_one(
    name: str, apache: Observe, ours: Observe
) -> None:
    case = _BY_NAME[STANDING_HEADERS[name].shown_by]
    fact = f"header:{name}"
    assert shows(apache(case), fact) != shows(ours(case), fact)
