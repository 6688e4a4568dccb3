"""Medians, ratios, lines to reach, regressions, and what is printed of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.baseline import Baseline, Ratio, compared
from tests.bench.figures import Results, medians
from tests.bench.lines import LINES, Line
from tests.bench.works import WORKS

LINE = Line("one against the other", "cpu", ("a-32", "gateway"), ("a-32", "nginx"), 1.6, 1.25)


def results(gateway: list[float], nginx: list[float]) -> Results:
    """CPU times of work a-32."""
    made = Results(machine={"processor": "P", "cores": "2"})
    for server, values in (("gateway", gateway), ("nginx", nginx)):
        for value in values:
            made.add("a-32", server, {"cpu": value, "rate": 1e6 / value})
    return made


def test_a_median_is_of_each_figure_on_its_own() -> None:
    rounds = [{"cpu": 1.0, "p99": 9.0}, {"cpu": 3.0, "p99": 7.0}, {"cpu": 2.0, "p99": 8.0}]
    assert medians(rounds) == {"cpu": 2.0, "p99": 8.0}


def test_a_ratio_is_made_within_each_round() -> None:
    """A round in which everything takes twice as long changes nothing."""
    measured = results([100, 200, 90], [50, 100, 60])
    assert LINE.values(measured) == [2, 2, 1.5]
    assert LINE.value(measured) == 2


def test_what_was_not_measured_has_no_ratio() -> None:
    assert LINE.value(Results()) is None
    assert LINE.value(results([1], [])) is None


@pytest.mark.parametrize(
    ("more", "value", "met"),
    [(False, 1.604, True), (False, 1.606, False), (True, 1.596, True), (True, 1.594, False)],
)
def test_a_line_is_met_as_it_is_printed(more: bool, value: float, met: bool) -> None:
    assert replace(LINE, more=more).meets(value, 1.6) is met


def test_lines_are_about_works_and_servers_that_there_are() -> None:
    known = {(work.name, server) for work in WORKS for server in work.servers}
    for line in LINES:
        assert line.over in known
        assert line.under is None or line.under in known


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    measured = results([1, 2], [3, 4])
    measured.remark("e-chunked", "apache", "refused (411)")
    measured.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == measured


def test_earlier_works_stay_unless_they_were_measured_again() -> None:
    now, earlier = results([1], [2]), results([7], [8])
    earlier.add("c", "nginx", {"cpu": 5})
    now.with_earlier(earlier)
    assert now.series("cpu", "a-32", "gateway") == [1]
    assert now.series("cpu", "c", "nginx") == [5]


@pytest.mark.parametrize(
    "text",
    [
        '{"colour": 1}',
        "[]",
        "not JSON",
        "",
        "[" * 100_000,
        '{"machine": {}, "rounds": {"c": {"nginx": []}}, "remarks": {}}',
        '{"machine": {}, "rounds": {"c": {"nginx": [{"cpu": NaN}]}}, "remarks": {}}',
        '{"machine": {}, "ratios": {"c": {"median": "1"}}}',
        f'{{"machine": {{}}, "ratios": {"9" * 5000}}}',
    ],
)
def test_a_file_of_something_else_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match=r"other\.json has no results"):
        Results.read(tmp_path / "other.json")
    with pytest.raises(ValueError, match=r"other\.json has no baseline"):
        Baseline.read(tmp_path / "other.json")


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    stored = Baseline.of(results([100, 110, 120], [50, 50, 50]))
    assert stored.ratios["a-32: CPU against nginx"] == Ratio(2.2, pytest.approx(0.4 / 2.2))
    stored.write(tmp_path / "baseline.json")
    assert Baseline.read(tmp_path / "baseline.json") == stored


def changes(then: float, now: float, *, more: bool = False, spread: float = 0.0) -> bool:
    """Whether that is a regression."""
    old, new = (Baseline({}, {"x": Ratio(each, spread, more)}) for each in (then, now))
    (change,) = compared(old, new)
    return change.regression


def test_a_regression_is_worse_by_more_than_the_noise() -> None:
    assert changes(1.0, 1.15)
    assert not changes(1.0, 1.05)
    assert not changes(1.0, 0.5)


def test_what_should_be_more_is_worse_when_it_is_less() -> None:
    assert changes(1.0, 0.8, more=True)
    assert not changes(1.0, 1.5, more=True)


def test_rounds_that_are_far_apart_are_noise() -> None:
    assert not changes(1.0, 1.15, spread=0.4)


def test_ratios_that_were_not_measured_stay_stored() -> None:
    """And so do the versions of servers that were not."""
    earlier = Baseline({"python": "1", "nginx": "2"}, {"a": Ratio(1.0, 0.0), "b": Ratio(2.0, 0.0)})
    now = Baseline({"python": "3"}, {"b": Ratio(4.0, 0.0)}).with_earlier(earlier)
    assert now.ratios == {"a": Ratio(1.0, 0.0), "b": Ratio(4.0, 0.0)}
    assert now.machine == {"python": "3", "nginx": "2"}


def test_machines_differ_in_what_is_known_of_both() -> None:
    stored = Baseline({"python": "1", "nginx": "2"})
    assert not stored.differs_from({"python": "1", "apache": "3"})
    assert stored.differs_from({"python": "2", "nginx": "2"})


def test_only_what_both_have_is_compared() -> None:
    one, other = (Baseline({}, {name: Ratio(1.0, 0.0)}) for name in "ab")
    assert compared(one, other) == []


def test_a_table_says_what_is_met() -> None:
    rows = [list(row) for row in report.line_rows(results([110, 110, 110], [100, 100, 110]))]
    assert rows[1] == [
        "(a) 32 clients, CPU per request, against nginx",
        "1.10 x",
        "1.10 1.10 1.00",
        "1.6 x",
        "met",
        "1.25 x",
        "met",
    ]
    assert rows[2][1:5] == ["0.91 x", "0.91 0.91 1.00", "0.75 x", "met"]
    assert rows[2][5:] == ["1 x", "not met, 9% off"]


def test_a_table_of_works_has_remarks_where_there_are_no_figures() -> None:
    measured = results([110], [100])
    measured.remark("a-32", "apache", "refused (411)")
    text = report.text(measured)
    assert "110.0 µs" in text
    assert "1.10 x" in text
    assert "refused (411)" in text


@pytest.mark.parametrize(("percent", "told"), [(4.0, False), (23.4, True)])
def test_a_machine_that_had_other_work_is_told(percent: float, told: bool) -> None:
    measured = Results()
    measured.add("a-32", "gateway", {"cpu": 100, "others": percent})
    assert ("other programs took 23 % of the machine" in report.text(measured)) is told


def test_figures_are_written_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_into(page, results([110], [100]))
    first = page.read_text()
    assert first.startswith(f"before\n{report.BEGIN}\n")
    assert first.endswith(f"{report.END}\nafter\n")
    assert "old" not in first
    assert "| 1.10 x |" in first
    report.write_into(page, results([110], [100]))
    assert page.read_text() == first


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(report.BEGIN)
    with pytest.raises(ValueError, match=r"page\.md has no lines"):
        report.write_into(page, results([110], [100]))
    assert page.read_text() == report.BEGIN
