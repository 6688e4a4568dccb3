"""The comparison itself: Apache agrees with Apache, and what does not agree is found."""

from __future__ import annotations

import pytest

from tests.parity.case import Case, Differs
from tests.parity.cases import CASES
from tests.parity.comparison import compare
from tests.parity.conftest import Observe
from tests.parity.differences import DIFFERENCES, STANDING_HEADERS, STANDING_VARIABLES
from tests.parity.observation import compared

pytestmark = pytest.mark.parity

_NAMES = {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_apache_agrees_with_itself_and_gives_what_a_difference_says(
    case: Case, apache: Observe, second_apache: Observe
) -> None:
    """Nothing that is compared is a matter of chance, and what is said of Apache is true."""
    first, second = compared(apache(case)), compared(second_apache(case))
    assert "no response" not in first or case.differences
    assert first == second
    for differs in case.differences:
        assert {name: first.get(name) for name in differs.apache} == dict(differs.apache)


def test_every_difference_is_listed_and_used() -> None:
    used = {differs.difference for case in CASES for differs in case.differences}
    assert used == set(DIFFERENCES)
    standing = [*STANDING_VARIABLES.values(), *STANDING_HEADERS.values()]
    assert {it.shown_by for it in standing if it.shown_by} <= _NAMES


def _case(*differs: Differs) -> Case:
    return Case(name="n", request=b"", differs=differs)


def test_equal_facts_agree() -> None:
    assert compare(_case(), {"status": 200}, {"status": 200}) == []


@pytest.mark.parametrize("gateway", [{"status": 404}, {}, {"status": 200, "more": 1}])
def test_a_fact_of_one_side_only_or_another_value_is_found(gateway: dict[str, object]) -> None:
    assert len(compare(_case(), {"status": 200}, gateway)) == 1


def test_a_difference_must_be_as_it_is_said_on_both_sides() -> None:
    differs = Differs("bad-gateway", {"status": 500}, {"status": 502})
    assert compare(_case(differs), {"status": 500, "a": 1}, {"status": 502, "a": 1}) == []
    assert compare(_case(differs), {"status": 500}, {"status": 503})
    assert compare(_case(differs), {"status": 501}, {"status": 502})


def test_a_difference_excuses_no_other() -> None:
    differs = Differs("bad-gateway", {"status": 500}, {"status": 502})
    assert compare(_case(differs), {"status": 500, "a": 1}, {"status": 502, "a": 2})


def test_a_difference_that_is_none_any_more_is_told() -> None:
    differs = Differs("bad-gateway", {"status": 500}, {"status": 500}, only_these=False)
    (wrong,) = compare(_case(differs), {"status": 500}, {"status": 500})
    assert "take it off the list" in wrong
