from __future__ import annotations

import time
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import penstock
from penstock.relay.metrics import Counts, Metrics, Snapshot, Spread
from penstock.upstream.usage import Usage


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """Every sample of a page by its name and label values."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_one_exchange_is_counted_everywhere():
    metrics = Metrics()
    usage = Usage(
        input_tokens=10, cache_read_tokens=3, cache_write_5m_tokens=2, cache_write_1h_tokens=1, output_tokens=7, reasoning_tokens=4
    )
    metrics.exchange_ended("chat", 200, "complete", 120, 15_000, usage, 1_500_000_000)
    page = samples(metrics.page())
    assert page["penstock_requests_total", "200", "chat"] == 1
    assert page["penstock_outcomes_total", "complete"] == 1
    assert page["penstock_cost_nano_total",] == 1_500_000_000
    assert page["penstock_cost_dollars_total",] == 1.5
    tokens = {name[1]: value for name, value in page.items() if name[0] == "penstock_tokens_total"}
    assert tokens == {"input": 10, "cache_read": 3, "cache_write_5m": 2, "cache_write_1h": 1, "output": 7, "reasoning": 4}
    assert page["penstock_overhead_seconds_bucket", "0.0001"] == 0
    assert page["penstock_overhead_seconds_bucket", "0.0002"] == 1
    assert page["penstock_overhead_seconds_sum",] == pytest.approx(0.00012)
    assert page["penstock_first_byte_seconds_bucket", "0.01"] == 0
    assert page["penstock_first_byte_seconds_bucket", "0.025"] == 1


def test_a_value_on_the_edge_of_a_bucket_is_in_it_and_the_last_bucket_has_no_end():
    metrics = Metrics()
    metrics.exchange_ended("chat", 200, "complete", 200, 0, None, 0)
    metrics.exchange_ended("chat", 200, "complete", 10**9, 0, None, 0)
    page = samples(metrics.page())
    assert page["penstock_overhead_seconds_bucket", "0.0002"] == 1
    assert page["penstock_overhead_seconds_bucket", "0.5"] == 1
    assert page["penstock_overhead_seconds_bucket", "+Inf"] == 2
    assert page["penstock_overhead_seconds_count",] == 2


def test_what_was_not_measured_is_not_counted():
    metrics = Metrics()
    metrics.exchange_ended("chat", 502, "upstream_error", 0, 0, None, 0)
    metrics.refused("upstream_refused")
    page = samples(metrics.page())
    assert page["penstock_overhead_seconds_count",] == 0
    assert page["penstock_first_byte_seconds_count",] == 0
    assert page["penstock_tokens_total", "input"] == 0
    assert page["penstock_refused_total", "upstream_refused"] == 1


def test_gauges_and_counters_are_read_when_the_page_is_made():
    metrics = Metrics()
    value = 1
    metrics.gauge("open_holds", lambda: value)
    metrics.gauge("upstream_connections", lambda: 2, "idle")
    metrics.gauge("upstream_connections", lambda: 3, "busy")
    metrics.counter("records_dropped", lambda: 4)
    value = 5
    page = samples(metrics.page())
    assert page["penstock_open_holds",] == 5
    assert page["penstock_upstream_connections", "idle"] == 2
    assert page["penstock_upstream_connections", "busy"] == 3
    assert page["penstock_records_dropped_total",] == 4


def test_names_and_labels_are_checked_when_they_are_registered():
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.gauge("no_such_name", lambda: 0)
    with pytest.raises(ValueError, match="label"):
        metrics.gauge("upstream_connections", lambda: 0)
    with pytest.raises(ValueError, match="label"):
        metrics.counter("records_dropped", lambda: 0, "idle")


def test_the_page_tells_what_runs_and_what_it_uses():
    page = samples(Metrics().page())
    assert any(name[0] == "penstock_build_info" and penstock.__version__ in name for name in page)
    assert page["penstock_workers",] == 1
    assert page["process_resident_memory_bytes",] > 0
    assert page["process_cpu_seconds_total",] > 0


def test_other_workers_are_added_but_the_gauges_of_dead_ones_are_not():
    mine = Metrics()
    mine.gauge("open_holds", lambda: 1)
    mine.exchange_ended("chat", 200, "complete", 100, 1, Usage(input_tokens=1), 10)

    def other(age_s: float) -> Snapshot:
        counts = Counts(requests={("chat", 200): 2, ("messages", 429): 1}, cost_nano=5)
        return Snapshot(penstock.__version__, 1, time.time() - age_s, counts, {("open_holds", ""): 7.0}, {("records_dropped", ""): 3.0})

    page = samples(mine.page([other(age_s=1), other(age_s=3600)]))
    assert page["penstock_workers",] == 2
    assert page["penstock_requests_total", "200", "chat"] == 5
    assert page["penstock_requests_total", "429", "messages"] == 2
    assert page["penstock_cost_nano_total",] == 20
    assert page["penstock_open_holds",] == 8
    assert page["penstock_records_dropped_total",] == 6
    assert mine.counts.cost_nano == 10


def test_phases_and_lateness_are_histograms():
    metrics = Metrics()
    marks = (0, 5_000, 60_000, 1_000_000, 1_000_000, 71_000_000_000, 71_000_000_000, 71_000_300_000)
    for _ in range(2):
        metrics.exchange_ended("chat", 200, "complete", 100, 1, None, 0, marks)
    metrics.exchange_ended("models", 200, "complete", 0, 0, None, 0)
    metrics.loop_was_late(1_500)
    page = samples(metrics.page())
    sums = {name[1]: value for name, value in page.items() if name[0] == "penstock_phase_seconds_sum"}
    assert sums == pytest.approx(
        {"edge_wait": 1e-5, "admit": 11e-5, "route": 188e-5, "connect": 0, "first_byte": 141.998, "stream": 0, "settle": 6e-4}
    )
    assert {value for name, value in page.items() if name[0] == "penstock_phase_seconds_count"} == {2}
    assert page["penstock_phase_seconds_bucket", "60.0", "first_byte"] == 0
    assert page["penstock_phase_seconds_bucket", "+Inf", "first_byte"] == 2
    assert page["penstock_phase_seconds_bucket", "1e-05", "edge_wait"] == 2
    assert page["penstock_loop_late_seconds_bucket", "0.001"] == 0
    assert page["penstock_loop_late_seconds_bucket", "0.002"] == 1


def test_phases_of_others_are_added():
    mine, theirs = Metrics(), Metrics()
    for metrics in (mine, theirs):
        metrics.exchange_ended("chat", 200, "complete", 100, 1, None, 0, tuple(range(0, 8_000, 1000)))
    page = samples(mine.page([theirs.snapshot()]))
    assert page["penstock_phase_seconds_count", "settle"] == 2


@given(st.lists(st.integers(0, 10**7), max_size=600))
def test_many_at_once_fall_into_the_same_buckets_as_one_by_one(values):
    ends = (1, 10, 1000, 10**6)
    spread = Spread([0] * 5)
    spread.add_us(ends, values)
    alone = [0] * 5
    for value in filter(None, values):
        alone[bisect_left(ends, value)] += 1
    assert (spread.counts, spread.sum_us) == (alone, sum(values))
