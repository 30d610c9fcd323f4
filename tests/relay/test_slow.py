"""The slow log: who was slow and where the time went, in one line each, and never too many."""

from __future__ import annotations

import logging

import pytest

from penstock.infra.logs import Console, Redactor
from penstock.relay import slow
from penstock.relay.slow import PER_MINUTE, SlowLog
from penstock.upstream.lane import Lane

MS = 1_000_000
MARKS = tuple(range(0, 800 * MS, 100 * MS))
LINE = {
    "wire": "chat", "model": "'gpt-4o'", "channel": "openai", "status": 200, "outcome": "complete", "edge_wait_ms": 100.0,
    "admit_ms": 100.0, "route_ms": 100.0, "connect_ms": 100.0, "first_byte_ms": 100.0, "stream_ms": 100.0, "settle_ms": 100.0,
}  # fmt: skip


@pytest.fixture
def lane(rig):
    return Lane(rig.plane.channels[0], "gpt-4o", "gpt-4o")


@pytest.mark.parametrize(("slow_s", "overhead_ns", "counts"), [
    (0.7, 0, True), (0.71, 0, False), (1, 1_000 * MS, True), (1, 999 * MS, False),
])  # fmt: skip
def test_who_is_slow(slow_s, overhead_ns, counts):
    assert SlowLog(slow_s).counts(MARKS, overhead_ns) is counts


def test_a_line_has_everything_but_what_was_said(rig, lane, caplog):
    exchange = rig.exchange(b"POST /v1/chat/completions", (b"authorization", b"Bearer sk-secret"), body=b"secret")
    SlowLog(0.1).tell(exchange, lane, 200, "complete", MARKS, 2 * MS)
    (record,) = caplog.records
    assert record.getMessage() == "a slow request: 700.0 ms, of which 2.000 ms were spent here"
    assert {name: getattr(record, name) for name in LINE} == LINE
    text = Console(Redactor()).format(record)
    assert exchange.id in text and "secret" not in text and "\n" not in text


def test_a_model_s_name_cannot_look_like_another_line(rig, lane, caplog):
    evil = Lane(lane.channel, "a\nb" + "x" * 500, None)
    SlowLog(0.1).tell(rig.exchange(), evil, 200, "complete", MARKS, 0)
    text = Console(Redactor()).format(caplog.records[0])
    assert "\n" not in text and len(text) < 600


def test_a_refused_request_has_no_lane(rig, caplog):
    SlowLog(0.1).tell(rig.exchange(), None, 401, "refused", MARKS[:3], 0)
    (record,) = caplog.records
    assert (record.model, record.channel, hasattr(record, "route_ms")) == ("", "", False)


def test_a_flood_is_cut_off_and_counted(rig, lane, caplog, monkeypatch):
    log = SlowLog(0.1)
    for _ in range(PER_MINUTE + 70):
        log.tell(rig.exchange(), lane, 200, "complete", MARKS, 0)
    assert len(caplog.records) == PER_MINUTE
    log._since_s -= slow.MINUTE_S
    log.tell(rig.exchange(), lane, 200, "complete", MARKS, 0)
    assert [record.getMessage()[:30] for record in caplog.records[PER_MINUTE:]] == [
        "70 more requests were slow and",
        "a slow request: 700.0 ms, of w",
    ]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
