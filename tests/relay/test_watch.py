"""The watch: what is handed over of an exchange, and how a provider is told of its trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_ends import answer, ask
from penstock.records.cover import make_cover
from penstock.relay.watch import Watch, trace_lines, watch_of
from penstock.settings import Settings
from penstock.telemetry.sender import Telemetry

PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
STATE = b"tracestate: a=1\r\n"


@pytest.mark.parametrize(("forward", "found"), [
    (b"", b""),
    (b"accept: */*\r\n", b""),
    (PARENT, PARENT),
    (b"accept: */*\r\n" + PARENT + STATE, PARENT + STATE),
    (STATE + b"accept: */*\r\n" + PARENT, PARENT + STATE),
    (STATE, b""),
    (b"x-traceparent: 1\r\n", b""),
    (PARENT + b"tracestate: " + b"x" * 2000 + b"\r\n", PARENT),
    (PARENT + b"x-tracestate: 1\r\n", PARENT),
])  # fmt: skip
def test_where_the_client_s_trace_stands(forward, found):
    assert trace_lines(forward) == found


@given(st.binary(max_size=200))
def test_any_header_lines_can_be_looked_at(data):
    assert isinstance(trace_lines(data + b"\r\n"), bytes)


def test_nobody_watches_unless_somebody_wants_to_know(rig, make_rig):
    assert rig.plane.watch is None
    assert watch_of(make_rig(slow_s=1).plane, None) is not None
    assert make_rig(otel_endpoint="http://127.0.0.1:9").plane.watch is not None


async def test_what_is_handed_over_has_no_body(live):
    telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9"))
    live.plane.watch = Watch(0, telemetry)
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=b'{"model":"gpt-4o","messages":["' + b"secret" * 1000 + b'"]}'))
    vendor.says(answer(b'{"id":"a","choices":["' + b"x" * 100_000 + b'"],"usage":{"prompt_tokens":9,"completion_tokens":5}}'))
    await live.durable()
    (seen,) = telemetry._queue
    assert b"secret" not in b"".join(item for item in seen if isinstance(item, bytes))
    assert sum(len(item) for item in seen if isinstance(item, bytes | str)) < 3000


@pytest.mark.parametrize("covered", [False, True])
async def test_what_an_account_wants_covered_is_not_handed_over(open_rig, covered):
    live = await open_rig(record=True, otel_content=True)
    telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9", otel_content=True))
    live.plane.watch = Watch(0, telemetry)
    if covered:
        live.plane.policies.covering[live.caller.account_id] = make_cover(["messages"], [])
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer())
    await live.durable()
    (seen,) = telemetry._queue
    assert (seen[-1] is None) is covered


async def test_slow_requests_are_logged_whatever_becomes_of_them(open_rig, caplog):
    live = await open_rig(slow_s=1e-9)
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer())
    await live.durable()
    client.says(ask(key="sk-nobody"))
    lines = [record for record in caplog.records if record.name == "penstock.slow"]
    assert [(line.status, line.outcome) for line in lines] == [(200, "complete"), (401, "refused")]


async def test_a_failure_of_our_own_is_seen(live, caplog):
    telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9"))
    live.plane.watch = Watch(0, telemetry)
    exchange = live.exchange()
    live.plane.watch.refused(exchange, RuntimeError("no"))
    assert telemetry._queue[0][3:6] == (500, "upstream_error", "internal_error")


def test_without_telemetry_nobody_is_told(rig):
    assert Watch(1, None).told(b"x", rig.exchange(), None) == b"x"
