"""The walk: nothing is complete before its charge is durable, every hold is resolved, and whatever goes wrong becomes an answer."""

from __future__ import annotations

import asyncio
import json

import pytest

from fake_ends import CHAT, KEY, USAGE, answer, ask, parts_of, unchunked
from penstock.kit.money import dollars
from penstock.relay.sweep import interrupt_all
from penstock.upstream.usage import Usage

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SAID = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
USED = b'data: {"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":7}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAMED = b'{"model":"gpt-4o","stream":true,"messages":[]}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def price_of(rig, tokens_in, tokens_out):
    price = rig.plane.catalog.price("openai", "gpt-4o", "gpt-4o")
    return price.cost(Usage(input_tokens=tokens_in, output_tokens=tokens_out))


def counted(rig):
    """What the metrics say of the exchanges that ended."""
    counts = rig.plane.metrics.counts
    return dict(counts.requests), dict(counts.outcomes), dict(counts.refused)


# settled before it is finished


async def test_an_answer_leaves_when_its_charge_is_durable_and_not_before(live):
    client, vendor = live.client(), live.vendor()
    rows_when_written = []
    client.transport.before_write = lambda _: rows_when_written.append([row["cost_nano"] for row in live.charges()])
    assert client.says(ask()) == b""
    assert vendor.hears().endswith(b"\r\n\r\n" + CHAT)
    vendor.says(answer())
    assert client.hears() == b"" and live.charges() == []
    assert live.plane.holds.open == 0
    await live.durable()
    status, headers, body = parts_of(client.hears())
    assert (status, body) == (200, USAGE)
    assert rows_when_written == [[price_of(live, 9, 5)]]
    (row,) = live.charges()
    assert row["id"].encode() == headers[b"x-request-id"]
    assert (row["status"], row["outcome"], row["input_tokens"], row["output_tokens"], row["estimated"]) == (200, "complete", 9, 5, 0)
    assert live.plane.holds.spent_nano == row["cost_nano"] > 0


async def test_a_stream_flows_at_once_but_is_not_done_before_its_charge_is(live):
    client, vendor = live.client(), live.vendor()
    rows_when_done = []
    client.transport.before_write = lambda data: rows_when_done.append(len(live.charges())) if b"DONE" in data else None
    client.says(ask(body=STREAMED))
    assert b'"include_usage":true' in vendor.hears()
    vendor.says(STREAM + chunk(SAID))
    status, _, rest = parts_of(client.hears())
    assert status == 200 and unchunked(rest) == (SAID, False)
    vendor.says(chunk(SAID))
    assert unchunked(client.hears()) == (SAID, False)
    vendor.says(chunk(USED) + chunk(DONE) + b"0\r\n\r\n")
    assert client.hears() == b""
    await live.durable()
    assert unchunked(client.hears()) == (DONE, True)
    assert rows_when_done == [1]
    assert live.charges()[0]["cost_nano"] == price_of(live, 19, 7)


async def test_what_does_not_ask_for_work_is_not_charged(live):
    client, vendor = live.client(), live.vendor()
    for line in (b"GET /v1/files", b"DELETE /v1/files/a"):
        client.says(ask(line=line, body=b""))
        vendor.says(answer(b"{}"))
        assert parts_of(client.hears())[0] == 200
    assert live.plane.books.depth == 0 and live.charges() == []


async def test_a_provider_that_refuses_is_passed_on_and_not_charged(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer(b'{"error":{"message":"no"}}', status=400))
    assert parts_of(client.hears())[::2] == (400, b'{"error":{"message":"no"}}')
    assert live.plane.books.depth == 0


# refused


@pytest.mark.parametrize(("request_", "status", "code"), [
    (ask(key="sk-nobody"), 401, "invalid_key"),
    (ask(key=""), 401, "missing_key"),
    (ask(body=b"{"), 400, "invalid_json"),
    (ask(body=b"{}"), 400, "missing_model"),
    (ask(b"content-encoding: gzip", body=b"rubbish"), 400, "invalid_encoding"),
    (ask(b"x-api-key: " + KEY.encode(), key="sk-nobody", body=b"{"), 400, "invalid_json"),
])  # fmt: skip
async def test_a_refusal_holds_nothing_and_asks_nobody(live, request_, status, code):
    client, vendor = live.client(), live.vendor()
    shown, headers, body = parts_of(client.says(request_))
    assert (shown, json.loads(body)["error"]["code"]) == (status, code)
    assert b"connection" not in headers and vendor.hears() == b""
    assert live.plane.holds.taken == 0
    assert counted(live) == ({("chat", status): 1}, {"upstream_error": 1}, {code: 1})


async def test_a_model_that_the_key_may_not_use(live):
    live.know("sk-" + "b" * 48, models=("cheap-*",))
    status, _, body = parts_of(live.client().says(ask(key="sk-" + "b" * 48)))
    assert status == 403 and b"model_not_allowed" in body


async def test_nothing_is_asked_while_charges_cannot_be_written(live):
    client, vendor = live.client(), live.vendor()
    live.plane.books._open = False
    status, headers, body = parts_of(client.says(ask()))
    assert (status, headers[b"retry-after"]) == (503, b"2") and b"books_unavailable" in body
    assert vendor.hears() == b""


async def test_a_key_that_was_not_seen_before_is_looked_up(live):
    made = await live.parts.keys.create("test")
    client, vendor = live.client(), live.vendor()
    assert client.says(ask(key=made.token)) == b"" == vendor.hears()
    async with asyncio.timeout(5):
        while not (heard := vendor.hears()):  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    assert heard.endswith(CHAT)
    assert client.says() == b""
    vendor.says(answer())
    await live.durable()
    assert parts_of(client.hears())[0] == 200
    assert live.charges()[0]["key_id"] == made.key.id


# a provider that fails


@pytest.mark.parametrize("before", [b"", answer()[:30], answer()[:-1]])
async def test_a_plain_answer_that_breaks_off_is_free(live, before):
    client, vendor = live.client(), live.vendor()
    vendor.connection.uses = 0
    client.says(ask())
    if before:
        vendor.says(before)
    vendor.leaves()
    await live.durable()
    status, _, body = parts_of(client.hears())
    assert status == 502 and b"upstream_broken" in body
    assert sum(row["cost_nano"] for row in live.charges()) == 0 == live.plane.holds.spent_nano
    assert live.plane.holds.open == 0


async def test_a_stream_that_breaks_off_is_charged_as_far_as_it_came(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID) * 5)
    vendor.leaves()
    await live.durable()
    content, whole = unchunked(parts_of(client.hears())[2])
    assert whole and content.startswith(SAID * 5) and b"upstream_broken" in content
    (row,) = live.charges()
    assert (row["outcome"], row["estimated"], row["output_tokens"]) == ("upstream_died", 1, 5)
    assert row["cost_nano"] == live.plane.holds.spent_nano > 0


@pytest.mark.interpreted
async def test_a_failure_of_ours_is_an_answer_and_a_log_line(live, caplog):
    client, vendor = live.client(), live.vendor()
    live.plane.catalog = None
    status, headers, body = parts_of(client.says(ask()))
    assert status == 500 and headers[b"x-request-id"] in body
    assert headers[b"x-request-id"].decode() in caplog.text and "AttributeError" in caplog.text
    assert vendor.hears() == b"" and live.plane.holds.open == 0


# a client that leaves, and the end


async def test_a_client_that_leaves_in_the_middle_is_charged_for_what_it_got(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID) * 3)
    client.hears()
    client.leaves()
    assert vendor.transport.aborted
    await live.durable()
    (row,) = live.charges()
    assert (row["outcome"], row["estimated"], row["output_tokens"], row["status"]) == ("client_gone", 1, 3, 200)


async def test_a_client_that_leaves_before_the_answer_is_charged_for_its_question(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    client.leaves()
    assert vendor.transport.aborted
    await live.durable()
    (row,) = live.charges()
    assert (row["outcome"], row["output_tokens"], row["status"]) == ("client_gone", 0, 499)
    assert row["input_tokens"] > 0


async def test_a_client_that_leaves_while_its_charge_is_written_changes_nothing(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer())
    client.leaves()
    await live.durable()
    (row,) = live.charges()
    assert (row["outcome"], row["cost_nano"]) == ("complete", price_of(live, 9, 5))
    assert client.hears() == b"" and client.edge.active is None


async def test_what_still_runs_at_the_end_is_told_so_and_charged(live):
    live.vendor(), live.vendor()
    plain, streamed = live.client(), live.client()
    vendors = {channel.pool for channel in live.plane.channels}
    plain.says(ask())
    streamed.says(ask(body=STREAMED))
    busy = [connection for pool in vendors for connection in pool._all if connection.busy]
    busy[-1 if b"stream" in bytes(busy[-1].transport._written) else 0].data_received(STREAM + chunk(SAID))
    live.plane.stopping = True
    assert interrupt_all(live.plane) == 2
    await live.durable()
    status, headers, body = parts_of(plain.hears())
    assert (status, headers[b"connection"]) == (503, b"close") and b"shutting_down" in body
    content, whole = unchunked(parts_of(streamed.hears())[2])
    assert whole and content.startswith(SAID) and b"shutting_down" in content
    assert [row["outcome"] for row in live.charges()] == ["stopped", "stopped"]
    assert live.plane.holds.open == 0


async def test_nothing_new_is_taken_at_the_end(live):
    client = live.client()
    live.plane.stopping = True
    status, headers, body = parts_of(client.says(ask()))
    assert (status, headers[b"retry-after"]) == (503, b"1") and b"shutting_down" in body


# what is told besides


async def test_everything_is_counted_once(live):
    client, vendor = live.client(), live.vendor()
    for _ in range(3):
        client.says(ask())
        vendor.says(answer())
        await live.durable()
    assert counted(live) == ({("chat", 200): 3}, {"complete": 3}, {})
    counts = live.plane.metrics.counts
    assert (counts.input_tokens, counts.output_tokens, counts.cost_nano) == (27, 15, 3 * price_of(live, 9, 5))
    assert sum(counts.overhead.counts) == 3


async def test_settings_add_lines_to_an_answer(open_rig):
    live = await open_rig(show_cost=True, show_channel=True, show_overhead=True)
    client, vendor = live.client(), live.vendor()
    client.says(ask())
    vendor.says(answer())
    await live.durable()
    _, headers, _ = parts_of(client.hears())
    assert headers[b"x-penstock-channel"] == b"openai"
    assert 0 < float(headers[b"x-penstock-overhead-ms"]) < 1000
    assert float(headers[b"x-penstock-cost"]) == price_of(live, 9, 5) / 1e9
    client.says(ask(body=STREAMED))
    vendor.says(STREAM + chunk(SAID) + chunk(USED) + chunk(DONE) + b"0\r\n\r\n")
    await live.durable()
    assert unchunked(parts_of(client.hears())[2])[0].endswith(DONE + b": cost %b\n\n" % dollars(live.charges()[-1]["cost_nano"]).encode())


async def test_what_is_to_be_recorded_is(live):
    live.know("sk-" + "r" * 48, record=True)
    client, vendor = live.client(), live.vendor()
    for key in ("sk-" + "r" * 48, KEY):
        client.says(ask(key=key))
        vendor.says(answer())
        await live.durable()
    (record,) = live.kept.records
    assert (record.request_body, b"".join(record.response_body), record.outcome) == (CHAT, USAGE, "complete")


async def test_a_renamed_model_is_charged_as_what_was_served(open_rig):
    live = await open_rig(api_model_rewrite="fast=>gpt-4o")
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=b'{"model": "fast","messages":[]}'))
    assert vendor.hears().endswith(b'{"model": "gpt-4o","messages":[]}')
    vendor.says(answer())
    await live.durable()
    (row,) = live.charges()
    assert (row["model"], row["served_model"], row["cost_nano"]) == ("fast", "gpt-4o", price_of(live, 9, 5))


async def test_a_model_without_a_price_is_charged_at_nothing(live):
    client, vendor = live.client(), live.vendor()
    client.says(ask(body=CHAT.replace(b"gpt-4o", b"unheard-of")))
    vendor.says(answer())
    await live.durable()
    (row,) = live.charges()
    assert (row["cost_nano"], row["price_version"], row["output_tokens"]) == (0, None, 5)
