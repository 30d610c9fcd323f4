"""Drained answers: read to their end without their client, and charged by the provider's figures; over a bound, as if nobody had tried."""

from __future__ import annotations

import asyncio

import pytest

from fake_ends import CHAT, answer, ask
from penstock.relay.running import LONG_NS, running_charges
from penstock.relay.sweep import interrupt_all, sweep
from penstock.upstream.usage import Usage

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SAID = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":70}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAMED = b'{"model":"gpt-4o","stream":true,"messages":[]}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
async def live(open_rig):
    """A relay whose channels drain."""
    return await open_rig(on_disconnect="drain", drain_limit=10_000, drains=2, drain_s=10)


async def left(live, *, body: bytes = STREAMED, said: bytes = STREAM + chunk(SAID) * 3):
    """A provider that goes on talking after the client has left."""
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=body))
    vendor.hears()
    vendor.says(said)
    client.hears()
    client.leaves()
    return client, vendor


def told(row) -> tuple:
    return row["outcome"], row["status"], row["input_tokens"], row["output_tokens"], bool(row["estimated"])


async def row_of(live):
    await live.durable()
    (row,) = live.charges()
    assert not live.plane.drains and live.plane.holds.open == 0
    assert live.plane.holds.spent_nano == row["cost_nano"]
    return row


# to the end


@pytest.mark.parametrize("together", [True, False])
async def test_a_stream_is_read_to_its_end_and_charged_by_what_the_provider_says(live, together):
    client, vendor = await left(live)
    assert not vendor.transport.is_closing()
    assert len(live.plane.drains) == 1 and live.plane.holds.open == 1 and live.charges() == []
    rest = [chunk(SAID) * 20, chunk(USED), chunk(DONE), b"0\r\n\r\n"]
    vendor.says(*([b"".join(rest)] if together else rest))
    row = await row_of(live)
    assert told(row) == ("client_gone", 200, 19, 70, False)
    assert row["cost_nano"] == live.plane.catalog.price("openai", "gpt-4o", "gpt-4o").cost(Usage(input_tokens=19, output_tokens=70))
    assert client.hears() == b"" and client.edge.active is None
    assert not vendor.transport.is_closing(), "the connection may be used again"


async def test_a_plain_answer_whose_head_had_not_come(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    assert vendor.hears().endswith(CHAT)
    client.leaves()
    assert live.plane.holds.open == 1 and not vendor.transport.is_closing()
    vendor.says(answer())
    assert told(await row_of(live)) == ("client_gone", 200, 9, 5, False)
    assert client.hears() == b""


async def test_a_plain_answer_of_which_half_had_come(live):
    whole = answer()
    client, vendor = await left(live, body=CHAT, said=whole[:-20])
    vendor.says(whole[-20:])
    assert told(await row_of(live)) == ("client_gone", 200, 9, 5, False)
    assert client.hears() == b""


async def test_a_stream_whose_head_had_not_come(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=STREAMED))
    client.leaves()
    vendor.says(STREAM + chunk(SAID), chunk(SAID), chunk(USED) + chunk(DONE) + b"0\r\n\r\n")
    assert told(await row_of(live)) == ("client_gone", 200, 19, 70, False)
    assert client.hears() == b""


async def test_a_refusal_costs_nothing_to_who_has_left_either(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    client.leaves()
    vendor.says(answer(b'{"error":{"message":"no"}}', status=400))
    await live.durable()
    assert live.charges() == [] and live.plane.holds.open == 0 and not live.plane.drains


async def test_a_client_that_was_slow_does_not_hold_up_the_rest(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID) * 3)
    client.edge.pause_writing()
    assert not vendor.transport.reading
    client.leaves()
    assert vendor.transport.reading
    vendor.says(chunk(USED) + chunk(DONE) + b"0\r\n\r\n")
    assert told(await row_of(live)) == ("client_gone", 200, 19, 70, False)


async def test_a_recorded_one_is_recorded_whole(open_rig):
    live = await open_rig(on_disconnect="drain", record=True)
    _, vendor = await left(live)
    vendor.says(chunk(SAID), chunk(USED), chunk(DONE) + b"0\r\n\r\n")
    await row_of(live)
    (record,) = live.kept.records
    assert b"".join(record.response_body).endswith(USED + DONE)


# not to the end


@pytest.mark.parametrize("settings", [{}, {"on_disconnect": "cancel"}, {"on_disconnect": "drain", "drains": 0}])
async def test_without_the_setting_the_provider_is_left_at_once(open_rig, settings):
    live = await open_rig(**settings)
    _, vendor = await left(live)
    assert vendor.transport.aborted
    assert told(await row_of(live))[0] == "client_gone" and (await row_of(live))["estimated"]


async def test_no_more_than_so_many_at_once(live):
    _, first = await left(live)
    _, second = await left(live)
    _, third = await left(live)
    assert [vendor.transport.aborted for vendor in (first, second, third)] == [False, False, True]
    first.says(chunk(USED) + chunk(DONE) + b"0\r\n\r\n")
    _, fourth = await left(live)
    assert not fourth.transport.aborted
    for vendor in (second, fourth):
        vendor.leaves()
    await live.durable()
    assert len(live.charges()) == 4 and live.plane.holds.open == 0 and not live.plane.drains


@pytest.mark.parametrize("together", [True, False])
async def test_no_more_than_so_many_bytes(live, together):
    _, vendor = await left(live)
    pieces = [chunk(SAID)] * 200 + [chunk(USED), chunk(DONE), b"0\r\n\r\n"]
    vendor.says(*([b"".join(pieces)] if together else pieces))
    row = await row_of(live)
    assert vendor.transport.aborted
    assert told(row)[:2] == ("client_gone", 200) and row["estimated"]
    assert 3 + 10_000 // len(SAID) - 2 <= row["output_tokens"] <= 3 + 10_000 // len(SAID) + 1


async def test_no_longer_than_so_long(live):
    _, vendor = await left(live)
    live.pulse.tick += live.pulse.ticks(10)
    sweep(live.plane)
    assert not vendor.transport.aborted
    live.pulse.tick += 1
    sweep(live.plane)
    assert vendor.transport.aborted
    assert told(await row_of(live)) == ("client_gone", 200, 12, 3, True)


async def test_a_head_that_never_comes_is_not_waited_for_longer(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    client.leaves()
    live.pulse.tick += live.pulse.ticks(10) + 1
    sweep(live.plane)
    assert vendor.transport.aborted
    row = await row_of(live)
    assert (row["outcome"], row["status"], row["output_tokens"], row["estimated"]) == ("client_gone", 499, 0, 1)


async def test_a_stop_ends_it(live):
    _, vendor = await left(live)
    live.plane.stopping = True
    assert interrupt_all(live.plane) == 1
    assert vendor.transport.aborted
    assert told(await row_of(live)) == ("client_gone", 200, 12, 3, True)
    assert interrupt_all(live.plane) == 0


@pytest.mark.parametrize("before_the_head", [True, False])
async def test_a_provider_that_breaks_off_is_charged_as_far_as_it_came(live, before_the_head):
    if before_the_head:
        client, vendor = live.client(), live.vendor()
        client.says(ask())
        client.leaves()
    else:
        _, vendor = await left(live)
    vendor.leaves()
    row = await row_of(live)
    assert (row["outcome"], row["estimated"], row["output_tokens"]) == ("client_gone", 1, 0 if before_the_head else 3)


async def test_an_upload_that_will_never_be_whole_is_not_waited_for(live):
    client, vendor = live.client(), live.vendor()
    part = b'--b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    form = part % (b"model", b"whisper-1") + part % (b"file", b"RIFF")
    head = ask(line=b"POST /v1/audio/transcriptions", body=form).replace(b"application/json", b"multipart/form-data; boundary=b")
    client.says(head.replace(b"content-length: %d" % len(form), b"content-length: 100000"), b"-" * 20_000)
    assert vendor.hears()
    client.leaves()
    assert vendor.transport.aborted and not live.plane.drains
    await live.durable()
    assert live.charges() == [] and live.plane.holds.open == 0


async def test_it_is_written_down_while_it_runs(live):
    """Should the process die now, somebody else posts what it has come to."""
    await left(live)
    (drain,) = live.plane.drains
    drain.exchange.began_ns -= LONG_NS + 1
    (charge,) = running_charges(live.plane)
    assert (charge.id, charge.output_tokens, charge.estimated) == (drain.exchange.id, 3, True)
    interrupt_all(live.plane)
    await live.durable()
    await asyncio.sleep(0)
