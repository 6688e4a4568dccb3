"""What is counted of backends and pools."""

from __future__ import annotations

from scgiproxy.pool.statistics import BackendStatistics, PoolStatistics

START = 1_000_000_000.0


def test_an_exchange_is_recorded_in_its_phases() -> None:
    statistics = BackendStatistics()
    statistics.record(START, START - 5, START - 4, START - 2)
    statistics.record(START, START - 31, START - 30, None)
    assert (statistics.connect.count, statistics.connect.sum) == (2, 2)
    assert (statistics.first_byte.count, statistics.first_byte.sum) == (1, 2)
    assert (statistics.overall().count, statistics.overall().sum) == (2, 34)


def test_phases_are_told_again_after_more_was_recorded() -> None:
    statistics = BackendStatistics()
    for number in range(3):
        statistics.record(START + number, START - 3, START - 2, START - 1)
        assert statistics.connect.count == statistics.first_byte.count == number + 1


def test_errors_are_counted_by_their_key_and_by_the_second() -> None:
    """Also those of attempts that never became an exchange."""
    statistics = BackendStatistics()
    statistics.record_error(START, "backend.connect")
    statistics.record_error(START + 1, "backend.connect")
    statistics.record_error(START + 1, "backend.head_timeout")
    assert statistics.errors == {"backend.connect": 2, "backend.head_timeout": 1}
    chart = statistics.chart(START + 2)
    assert list(chart.errors[-2:]) == [1, 2]
    assert sum(chart.requests) == 0


def test_a_pool_counts_waits_and_retries() -> None:
    statistics = PoolStatistics()
    statistics.queue.record(0.5)
    statistics.retries += 1
    assert (statistics.queue.count, statistics.retries) == (1, 1)
