"""Answers over a bridge: heard in the provider's words, charged by its figures, told in the client's, and ended only when paid for."""

from __future__ import annotations

import asyncio
import json

import pytest

from fake_answers import chat_events, messages_events
from fake_ends import CHAT, answer, ask, parts_of, unchunked
from penstock.kit.sse import split
from penstock.relay import bridged as module

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAMED = CHAT[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}'
MESSAGE = json.dumps(
    {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 3},
    }
).encode()  # fmt: skip


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
async def crossing(open_rig):
    """A relay whose only channel for chat speaks messages alone: client and vendor."""
    rig = await open_rig()
    rig.plane.channels = rig.plane.channels[:1]
    rig.plane.channels[0].wires = ("messages",)
    return rig, rig.client(), rig.vendor()


async def end_of(client) -> bytes:
    """All that a client has heard when its exchange is over."""
    async with asyncio.timeout(5):
        while client.edge.active is not None:  # noqa: ASYNC110  nothing tells
            await asyncio.sleep(0.001)
    return client.hears()


async def heard(client) -> list[dict]:
    """The chunks that a client of chat has heard."""
    content, whole = unchunked(parts_of(await end_of(client))[2])
    assert whole and content.endswith(b"data: [DONE]\n\n")
    return [json.loads(event[6:]) for event in split(content)[:-1]]


async def test_a_plain_answer(crossing):
    rig, client, vendor = crossing
    client.says(ask(b"openai-beta: x", b"user-agent: me/1"))
    lines, _, body = vendor.hears().partition(b"\r\n\r\n")
    assert lines.startswith(b"POST /v1/messages HTTP/1.1\r\n") and b"user-agent: me/1" in lines and b"openai-beta" not in lines
    assert json.loads(body)["messages"][0]["role"] == "user" and json.loads(body)["model"] == "gpt-4o"
    vendor.says(answer(MESSAGE, b"x-vendor: 1"))
    status, headers, body = parts_of(await end_of(client))
    told = json.loads(body)
    assert (status, headers[b"content-type"], headers[b"x-vendor"]) == (200, b"application/json", b"1")
    assert told["object"] == "chat.completion" and told["choices"][0]["message"]["content"] == "Hello."
    assert told["usage"]["prompt_tokens"] == 11
    (charge,) = rig.charges()
    assert (charge["wire"], charge["input_tokens"], charge["output_tokens"], charge["estimated"]) == ("chat", 11, 3, 0)


@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_stream_cut_anywhere(crossing, step):
    rig, client, vendor = crossing
    client.says(ask(body=STREAMED))
    assert json.loads(vendor.hears().partition(b"\r\n\r\n")[2])["stream"] is True
    stream = b"".join(messages_events())
    vendor.says(SSE, *(chunk(stream[at : at + step]) for at in range(0, len(stream), step)), b"0\r\n\r\n")
    chunks = await heard(client)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [each["choices"][0]["finish_reason"] for each in chunks if each["choices"] and each["choices"][0]["finish_reason"]] == ["stop"]
    (charge,) = rig.charges()
    assert chunks[-1]["usage"]["completion_tokens"] == charge["output_tokens"] and not charge["estimated"]


@pytest.mark.interpreted
async def test_the_end_waits_for_the_charge(crossing):
    rig, client, vendor = crossing
    rig.plane.books.post, posted = (lambda _, then: posted.append(then)), []
    client.says(ask(body=STREAMED))
    vendor.says(SSE, chunk(b"".join(messages_events())), b"0\r\n\r\n")
    begun = client.hears()
    assert b"[DONE]" not in begun and b'"finish_reason":"stop"' not in begun
    posted[0](None)
    assert b"[DONE]" in await end_of(client)


async def test_a_stream_that_breaks_off_ends_with_an_error(crossing):
    rig, client, vendor = crossing
    client.says(ask(body=STREAMED))
    vendor.says(SSE, chunk(b"".join(messages_events()[:3])))
    vendor.leaves()
    content, _ = unchunked(parts_of(await end_of(client))[2])
    assert "error" in json.loads(split(content)[-1][6:]) and b"[DONE]" not in content
    (charge,) = rig.charges()
    assert (charge["outcome"], charge["estimated"]) == ("upstream_died", 1)


async def test_a_whole_answer_where_a_stream_was_asked_for_becomes_one(crossing):
    rig, client, vendor = crossing
    client.says(ask(body=STREAMED))
    vendor.says(answer(MESSAGE))
    status, headers, body = parts_of(await end_of(client))
    assert status == 200 and headers[b"content-type"].startswith(b"text/event-stream") and body.endswith(b"data: [DONE]\n\n")
    assert rig.charges()[0]["output_tokens"] == 3


@pytest.mark.parametrize(("status", "body"), [
    (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 5 > 4"}}'),
    (418, b"<html>no</html>"),
])  # fmt: skip
async def test_an_error_is_told_in_the_clients_way(crossing, status, body):
    rig, client, vendor = crossing
    client.says(ask())
    vendor.says(answer(body, status=status))
    shown, _, told = parts_of(await end_of(client))
    error = json.loads(told)["error"]
    assert shown == status and set(error) >= {"message", "type", "param", "code"}
    assert status != 400 or error["message"] == "prompt is too long: 5 > 4"
    assert rig.plane.holds.open == 0 and rig.charges() == []


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b'{"type":"message"}'])
async def test_what_cannot_be_told_costs_nothing(crossing, body):
    rig, client, vendor = crossing
    client.says(ask())
    vendor.says(answer(body))
    status, _, told = parts_of(await end_of(client))
    assert status == 502 and "error" in json.loads(told)
    assert sum(row["cost_nano"] for row in rig.charges()) == 0


async def test_what_was_dropped_is_said(crossing):
    _, client, vendor = crossing
    client.says(ask(body=CHAT[:-1] + b',"seed":4}'))
    vendor.hears()
    vendor.says(answer(MESSAGE))
    assert b"seed" in parts_of(await end_of(client))[1][b"x-penstock-dropped"]


async def test_what_cannot_be_said_is_refused_and_nothing_is_asked(crossing):
    rig, client, vendor = crossing
    status, _, told = parts_of(client.says(ask(body=CHAT[:-1] + b',"n":2}')))
    assert (status, json.loads(told)["error"]["code"]) == (400, "cannot_translate")
    assert vendor.hears() == b"" and rig.plane.holds.open == 0 and rig.charges() == []


async def test_another_lane_may_know_how_to_say_it(open_rig):
    rig = await open_rig()
    rig.plane.channels[0].wires, rig.plane.channels[1].wires = ("messages",), ("chat",)
    client, first, second = rig.client(), rig.vendor(0), rig.vendor(1)
    client.says(ask(body=CHAT.replace(b"gpt-4o", b"anything")[:-1] + b',"n":2}'))
    assert first.hears() == b"" and second.hears().startswith(b"POST /v1/chat/completions ")


async def test_an_answer_that_is_too_long(crossing, monkeypatch):
    rig, client, vendor = crossing
    monkeypatch.setattr(module, "WHOLE_LIMIT", 100)
    client.says(ask())
    vendor.says(answer(b'{"x":"' + b"y" * 200 + b'"}'))
    assert parts_of(await end_of(client))[0] == 502 and vendor.transport.aborted
    assert sum(row["cost_nano"] for row in rig.charges()) == 0


async def test_a_record_has_what_the_client_got(crossing):
    rig, client, vendor = crossing
    rig.plane.records_all = True
    client.says(ask())
    vendor.says(answer(MESSAGE))
    body = parts_of(await end_of(client))[2]
    client.says(ask(body=STREAMED))
    vendor.says(SSE, chunk(b"".join(messages_events())), b"0\r\n\r\n")
    content, _ = unchunked(parts_of(await end_of(client))[2])
    plain, streamed = rig.kept.records
    assert b"".join(plain.response_body) == body and b"".join(streamed.response_body) == content


async def test_a_client_of_messages_hears_chat(open_rig):
    rig = await open_rig()
    rig.plane.channels = rig.plane.channels[:1]
    rig.plane.channels[0].wires = ("chat",)
    client, vendor = rig.client(), rig.vendor()
    body = b'{"model":"gpt-4o","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'
    client.says(ask(line=b"POST /v1/messages?beta=true", body=body))
    assert vendor.hears().startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    vendor.says(SSE, *map(chunk, chat_events()), b"0\r\n\r\n")
    content, whole = unchunked(parts_of(await end_of(client))[2])
    names = [event.split(b"\n")[0] for event in split(content)]
    assert whole and names[0] == b"event: message_start" and names[-1] == b"event: message_stop"
