"""Clients that leave channels which drain: the provider is heard to its end, and what it says is what is charged."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time

import pytest

from fake_answers import answer as said
from fake_answers import chat_answer, chat_chunk, chat_events, chunk, messages_events, responses_events, stream_head
from fake_provider import close, flood, hang, hold, pause
from member import join
from penstock.upstream.usage import Usage
from raw_client import RawClient, chat, request

LEAVING = {"closes": RawClient.close, "resets": RawClient.reset, "half-closes": RawClient.half_close}
STREAMS = {
    "chat": ("/v1/chat/completions", chat_events(20)),
    "responses": ("/v1/responses", responses_events(20)),
    "messages": ("/v1/messages", messages_events(20)),
}
JSON = "content-type: application/json"


@pytest.fixture(scope="module")
def draining(make_vendor_gateway):
    """A gateway that drains."""
    return make_vendor_gateway(on_disconnect="drain", drain_limit=100_000, drain_s=2, drains=8)


@pytest.fixture
def left(draining, vendor, until_hung_up):
    """The charges of those who leave in this test, when all is over."""
    before = len(draining.charges())

    def look(count: int = 1):
        rows = draining.charges(before + count, within_s=8)[before:]
        draining.check_quiet()
        until_hung_up()
        assert len(rows) == count and not draining.plane.drains
        return rows

    return look


def told(row):
    return row["outcome"], row["status"], row["input_tokens"], row["output_tokens"], bool(row["estimated"])


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("wire", STREAMS)
def test_a_stream_is_charged_by_the_providers_figures(draining, vendor, dial, left, loop_thread, wire, how):
    path, events = STREAMS[wire]
    gate = asyncio.Event()
    seen = next(at for at, event in enumerate(events) if b" word9" in event) + 1
    vendor.script(stream_head(), *map(chunk, events[:seen]), hold(gate), *map(chunk, events[seen:]), b"0\r\n\r\n")
    body = json.dumps({"model": "m", "max_tokens": 5, "stream": True, "messages": []}).encode()
    client = dial(draining).send(request(f"POST {path}", f"x-api-key: {draining.key}", JSON, body=body))
    client.until(b" word9")
    LEAVING[how](client)
    until(lambda: len(draining.plane.drains) == 1)
    assert draining.plane.holds.open == 1
    loop_thread.run(_set(gate))
    (row,) = left()
    assert told(row) == ("client_gone", 200, 19, 10 if wire == "chat" else 20, False)


async def _set(gate):
    gate.set()


def until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_plain_answer_is_charged_by_the_providers_figures(draining, vendor, dial, left, loop_thread):
    gate = asyncio.Event()
    vendor.script(hold(gate), said(chat_answer()))
    client = dial(draining).send(chat(draining.key))
    loop_thread.run(vendor.until_requests(1))
    client.close()
    until(lambda: len(draining.plane.drains) == 1)
    loop_thread.run(_set(gate))
    (row,) = left()
    assert told(row) == ("client_gone", 200, 19, 10, False)


def test_a_drain_is_bounded_in_bytes(draining, vendor, dial, left, loop_thread):
    gate, more = asyncio.Event(), chat_chunk({"content": " more"})
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), hold(gate), flood(chunk(more), 100_000))
    client = dial(draining).send(chat(draining.key, stream=True))
    client.until(b" word3")
    client.close()
    until(lambda: len(draining.plane.drains) == 1)
    loop_thread.run(_set(gate))
    (row,) = left()
    assert told(row)[:2] == ("client_gone", 200) and row["estimated"]
    assert 100 < row["output_tokens"] <= 100_000 // len(more) + 10


def test_a_drain_is_bounded_in_time(draining, vendor, dial, left):
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), hang)
    client = dial(draining).send(chat(draining.key, stream=True))
    client.until(b" word3")
    began = time.monotonic()
    client.close()
    (row,) = left()
    assert told(row)[:2] == ("client_gone", 200) and (row["output_tokens"], row["estimated"]) == (5, 1)
    assert time.monotonic() - began >= 2


def test_drains_are_bounded_in_number(draining, vendor, dial, left):
    for _ in range(20):
        vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), pause(1), *map(chunk, chat_events(20)[6:]), b"0\r\n\r\n")
    clients = [dial(draining).send(chat(draining.key, stream=True)) for _ in range(20)]
    for client in clients:
        client.until(b" word3")
    for client in clients:
        client.close()
    rows = left(20)
    exact = [row for row in rows if not row["estimated"]]
    assert 8 <= len(exact) < 20 and {row["output_tokens"] for row in exact} == {10}


def test_a_provider_that_dies_is_charged_as_without_it(draining, vendor, dial, left):
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), pause(0.2), close)
    client = dial(draining).send(chat(draining.key, stream=True))
    client.until(b" word3")
    client.close()
    (row,) = left()
    assert told(row)[:2] == ("client_gone", 200) and (row["output_tokens"], row["estimated"]) == (5, 1)


def test_a_stop_does_not_wait_for_a_drain(make_vendor_gateway, vendor, dial):
    gateway = make_vendor_gateway(on_disconnect="drain", stop_s=20)
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), hang)
    client = dial(gateway).send(chat(gateway.key, stream=True))
    client.until(b" word3")
    client.close()
    until(lambda: len(gateway.plane.drains) == 1)
    path = gateway.settings.data / "penstock.db"
    began = time.monotonic()
    gateway.stop()
    assert time.monotonic() - began < 15
    with sqlite3.connect(path) as database:
        rows = database.execute("select outcome, output_tokens, estimated from charge").fetchall()
    database.close()
    assert rows == [("client_gone", 5, 1)]
    assert gateway.plane.holds.open == 0


def test_its_money_is_held_until_the_end(make_vendor_gateway, vendor, dial, loop_thread):
    gateway = make_vendor_gateway(on_disconnect="drain")
    price = gateway.plane.catalog.price("openai", "gpt-4o", "gpt-4o")
    member = join(gateway, paid_nano=price.at_most(100, 5000))
    gate = asyncio.Event()
    vendor.script(stream_head(), *map(chunk, chat_events(20)[:6]), hold(gate), *map(chunk, chat_events(20)[6:]), b"0\r\n\r\n")
    client = dial(gateway).send(chat(member.token, model="gpt-4o", stream=True))
    client.until(b" word3")
    client.close()
    until(lambda: len(gateway.plane.drains) == 1)
    assert gateway.plane.holds.held_nano > 0
    loop_thread.run(_set(gate))
    (row,) = gateway.charges(1)
    gateway.check_quiet()
    assert row["cost_nano"] == price.cost(Usage(input_tokens=19, output_tokens=10))
    assert member.left() == price.at_most(100, 5000) - row["cost_nano"]
