"""Instruments: which metrics an exchange is counted in, with which attributes."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from penstock.telemetry.instruments import Instruments
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Ask


@pytest.fixture
def counted(seen):
    """The data points of what was seen, by metric."""

    def count(**given):
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], shutdown_on_exit=False)
        Instruments(provider.get_meter("test")).count(seen(**given))
        data = reader.get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data is not None else []
        provider.shutdown()
        return {metric.name: [(dict(point.attributes), point.sum) for point in metric.data.data_points] for metric in metrics}

    return count


def test_a_plain_answer(counted):
    of = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    assert counted() == {
        "gen_ai.client.token.usage": [(of | {"gen_ai.token.type": "input"}, 13), (of | {"gen_ai.token.type": "output"}, 7)],
        "gen_ai.client.operation.duration": [(of, pytest.approx(0.003))],
        "gen_ai.server.request.duration": [(of, pytest.approx(0.007))],
    }


def test_a_stream_has_a_first_chunk(counted):
    found = counted(ask=Ask("gpt-4o", stream=True))
    assert found["gen_ai.server.time_to_first_token"][0][1] == pytest.approx(0.005)
    assert found["gen_ai.client.operation.time_to_first_chunk"][0][1] == pytest.approx(0.002)


def test_an_error_is_one_in_the_durations(counted):
    found = counted(status=500, usage=Usage(calls=0), ask=Ask("gpt-4o", stream=True), trying=(4_000_000, 500, 0))
    assert found.keys() == {"gen_ai.client.operation.duration", "gen_ai.server.request.duration"}
    assert all(points[0][0]["error.type"] == "500" for points in found.values())


def test_what_asked_no_provider_is_not_counted(counted, seen):
    assert counted(lane=None) == {}
    assert counted(marks=seen().marks[:3]) == {}


def test_a_model_s_name_that_looks_like_a_key_is_not_told(counted, make_lane):
    assert "sk-1" not in str(counted(lane=make_lane(model="sk-1234567890123456789012")))
