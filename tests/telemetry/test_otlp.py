"""OTLP: what the environment says to the SDK, and which exchanges are sampled."""

from __future__ import annotations

import pytest

PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%b\r\n"


def test_who_we_are_unless_the_environment_says_otherwise(make_otlp, monkeypatch):
    assert make_otlp()._resource.attributes["service.name"] == "penstock"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gateway")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9,team=ours")
    first, second = (make_otlp()._resource.attributes for _ in range(2))
    assert (first["service.name"], first["service.version"], first["team"]) == ("gateway", "9", "ours")
    assert first["service.instance.id"] != second["service.instance.id"]


@pytest.mark.parametrize(("sampler", "flag", "sampled"), [
    (None, None, True), (None, b"01", True), (None, b"00", False), ("always_off", b"01", False), ("parentbased_always_off", None, False),
    ("parentbased_always_off", b"01", True),
])  # fmt: skip
def test_who_is_sampled(make_otlp, seen, monkeypatch, sampler, flag, sampled):
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    otlp = make_otlp()
    forward = PARENT % flag if flag else b""
    assert bool(otlp.take(seen(forward=forward), 0)) is sampled
    assert otlp.place(forward).sampled is sampled


def test_a_share_is_sampled(make_otlp, seen, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    otlp = make_otlp()
    assert 50 < sum(bool(otlp.take(seen(), 0)) for _ in range(200)) < 150


def test_what_the_provider_was_told_stays_true(make_otlp, seen):
    otlp = make_otlp()
    trace = otlp.place(b"")
    assert {span.context.trace_id for span in otlp.take(seen(trace=trace), 0)} == {trace.trace_id}
    assert otlp.take(seen(trace=trace._replace(sampled=False)), 0) == []


def test_whether_the_collector_has_taken_them(make_otlp, seen, collector):
    otlp = make_otlp(collector.url + "/")
    assert otlp.send(otlp.take(seen(), 0)) is True
    collector.status = 400
    assert otlp.send(otlp.take(seen(), 0)) is False
    assert len(collector.servers()[0]["attempts"]) == 1
