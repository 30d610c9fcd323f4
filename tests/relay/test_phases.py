"""Phases: they add up to the whole and none is negative, however an exchange ends and whenever its client leaves."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_ends import CHAT, USAGE, answer, ask, parts_of
from penstock.records.record import PHASES
from penstock.relay.phases import marks_at, phases_us
from penstock.relay.sweep import interrupt_all
from penstock.relay.watch import Watch
from penstock.settings import Settings
from penstock.telemetry.seen import Seen
from penstock.telemetry.sender import Telemetry

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SAID = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
STREAMED = b'{"model":"gpt-4o","stream":true,"messages":[]}'
ALL = len(PHASES)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=8))
def test_phases_add_up_to_the_whole(marks):
    marks = tuple(sorted(marks))
    phases = phases_us(marks)
    assert len(phases) == len(marks) - 1 and all(us >= 0 for us in phases)
    assert 0 <= marks[-1] - marks[0] - sum(phases) * 1000 < 1000 * len(marks), "each is rounded down"


def test_nothing_has_no_phases():
    assert phases_us(()) == ()


@pytest.fixture
async def watched(open_rig):
    """A relay that tells what it has seen to a queue that nobody empties."""
    live = await open_rig(show_timing=True)
    telemetry = Telemetry(Settings(otel_endpoint="http://127.0.0.1:9"))
    live.plane.watch = Watch(0, telemetry)
    live.seen = lambda: [Seen(*one) for one in telemetry._queue]
    return live


def check(live, phases, outcome="complete"):
    """The one exchange that has ended."""
    (seen,) = live.seen()
    assert seen.outcome == outcome
    assert len(seen.marks) == phases + 1
    assert list(seen.marks) == sorted(seen.marks) and seen.marks[0] > 0
    assert 0 <= seen.marks[-1] - seen.marks[0] - sum(phases_us(seen.marks)) * 1000 < 8000
    return seen


async def test_a_plain_answer(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask())
    await asyncio.sleep(0.02)
    vendor.says(answer())
    await watched.durable()
    seen = check(watched, ALL)
    phases = dict(zip(PHASES, phases_us(seen.marks), strict=True))
    assert phases["first_byte"] >= 20_000 > phases["stream"]
    assert (seen.lane.model, seen.status, seen.usage.output_tokens) == ("gpt-4o", 200, 5)


async def test_a_slow_head_waits_at_the_edge_and_a_slow_body_to_be_admitted(watched):
    client, vendor = watched.client(), watched.vendor()
    data = ask()
    for piece in (data[:10], data[10:-5], data[-5:]):
        await asyncio.sleep(0.02)
        client.says(piece)
    vendor.says(answer())
    await watched.durable()
    phases = phases_us(check(watched, ALL).marks)
    assert phases[0] >= 20_000 and phases[1] >= 20_000


async def test_the_second_of_two_waits_for_its_turn(watched):
    client, vendor, other = watched.client(), watched.vendor(), watched.vendor()
    client.says(ask() + ask())
    await asyncio.sleep(0.02)
    other.says(answer())
    await watched.durable()
    vendor.says(answer())
    other.says(answer())
    await watched.durable()
    first, second = watched.seen()
    assert phases_us(first.marks)[0] < phases_us(second.marks)[0] >= 20_000
    assert list(second.marks) == sorted(second.marks)


async def test_a_stream(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID))
    await asyncio.sleep(0.02)
    vendor.says(chunk(DONE) + b"0\r\n\r\n")
    await watched.durable()
    assert phases_us(check(watched, ALL).marks)[5] >= 20_000


# clients that leave


async def test_a_client_that_leaves_before_its_body_is_here(watched):
    client = watched.client()
    client.says(ask(b"x: y", body=b"x" * 100_000)[:5000])
    client.leaves()
    check(watched, 2, "client_gone")


async def test_a_client_that_leaves_before_the_head(watched):
    client = watched.client()
    watched.vendor()
    client.says(ask())
    await asyncio.sleep(0.02)
    client.leaves()
    await watched.durable()
    phases = phases_us(check(watched, ALL, "client_gone").marks)
    assert phases[4] >= 20_000 and phases[5] == 0, "the head never came: all of it was waiting for that"


async def test_a_client_that_leaves_in_a_stream(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID))
    client.leaves()
    await watched.durable()
    check(watched, ALL, "client_gone")


async def test_a_client_that_leaves_while_the_charge_is_written(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask())
    vendor.says(answer())
    client.leaves()
    await watched.durable()
    check(watched, ALL)


# what goes wrong


@pytest.mark.parametrize(("request_", "code", "phases"), [
    (ask(key="sk-nobody"), "invalid_key", 2),
    (ask(body=b"{"), "invalid_json", 2),
])  # fmt: skip
async def test_a_refusal(watched, request_, code, phases):
    client = watched.client()
    status, headers, _ = parts_of(client.says(request_))
    assert status >= 400
    seen = check(watched, phases, "refused")
    assert seen.code == code
    names = re.findall(rb"(\w+);dur=[\d.]+", headers[b"server-timing"])
    assert [name.decode() for name in names] == list(PHASES[:phases])


async def test_a_model_that_is_not_allowed_is_refused_on_the_route(watched):
    watched.know("sk-" + "b" * 48, models=("cheap-*",))
    watched.client().says(ask(key="sk-" + "b" * 48))
    assert check(watched, 3, "refused").key_id == "key_bbbb"


async def test_a_provider_that_dies_before_the_head_and_after(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask())
    vendor.says(b"HTTP/1.1 2")
    vendor.leaves()
    seen = check(watched, 5, "upstream_error")
    assert (seen.status, len(seen.trials), seen.trials[0].began_ns) == (502, 1, seen.marks[3])


async def test_a_provider_that_dies_in_the_answer(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID))
    vendor.leaves()
    await watched.durable()
    check(watched, ALL, "upstream_died")


async def test_the_end_of_the_gateway(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID))
    interrupt_all(watched.plane)
    await watched.durable()
    check(watched, ALL, "stopped")


async def test_a_charge_that_cannot_be_written_has_taken_the_time_it_took(rig):
    exchange = rig.exchange()
    exchange.marks = (1, 2, 3, 4, 5, 6, 7)
    assert marks_at(exchange, 9) == (1, 2, 3, 4, 5, 6, 7, 9)
    exchange.marks = marks_at(exchange, 9)
    assert marks_at(exchange, 20) == (1, 2, 3, 4, 5, 6, 7, 9), "what comes after it is no phase"


# where they are shown


async def test_the_header_of_an_answer_tells_them(watched):
    client, vendor = watched.client(), watched.vendor()
    client.says(ask())
    vendor.says(answer())
    await watched.durable()
    _, headers, body = parts_of(client.hears())
    assert body == USAGE
    shown = dict(part.split(b";dur=") for part in headers[b"server-timing"].split(b", "))
    assert [name.decode() for name in shown] == list(PHASES)
    (seen,) = watched.seen()
    assert [round(float(value) * 1000) for value in shown.values()][:6] == list(phases_us(seen.marks)[:6])


async def test_the_header_is_only_there_when_it_is_wanted(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer())
    await live.durable()
    assert b"server-timing" not in parts_of(client.hears())[1]


async def test_the_record_and_the_metrics_have_them(live):
    live.know("sk-" + "r" * 48, record=True)
    client, vendor = live.client(), live.vendor()
    client.says(ask(key="sk-" + "r" * 48, body=CHAT))
    vendor.says(answer())
    await live.durable()
    (record,) = live.kept.records
    assert len(record.phases_us) == ALL and all(us >= 0 for us in record.phases_us)
    assert sum(record.phases_us) // 1000 <= record.duration_ms + 1
    counts = live.plane.metrics.counts
    assert [sum(spread.counts) for spread in counts.phases] == [1] * ALL
    assert abs(sum(spread.sum_us for spread in counts.phases) - sum(record.phases_us)) <= ALL
