"""Within: a request of the gateway's own is walked as a client's is, and ends as one when nobody waits for it any more."""

from __future__ import annotations

import asyncio

import pytest

from fake_ends import CHAT, USAGE, answer, ask
from penstock.kit.errors import PenstockError
from penstock.relay.within import Within

STREAM = CHAT[:-1] + b',"stream":true}'


@pytest.fixture
def within(live):
    return Within(live.plane, live.config)


async def sending(within, request=None, limit=1 << 20, address="127.0.0.1"):
    """A task that sends, as far as it comes by itself."""
    task = asyncio.create_task(within.send(request or ask(), address, limit))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_it_is_answered_as_a_client_and_charged(live, within):
    vendor = live.vendor()
    task = await sending(within)
    assert vendor.hears().startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert len(live.plane.connections) == 1
    vendor.says(answer())
    reply = await task
    assert (reply.status, reply.body, reply.cut, reply.whole) == (200, USAGE, False, True)
    headers = dict(reply.headers)
    assert headers[b"x-request-id"].startswith(b"req_")
    [charge] = live.charges()
    assert charge["id"] == headers[b"x-request-id"].decode() and charge["input_tokens"] == 9
    await asyncio.sleep(0)
    assert not live.plane.connections, "the connection is closed"


async def test_a_stream_comes_whole(live, within):
    vendor = live.vendor()
    task = await sending(within, ask(body=STREAM))
    vendor.says(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for event in (b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n', b"data: " + USAGE + b"\n\n", b"data: [DONE]\n\n"):
        vendor.says(b"%x\r\n%b\r\n" % (len(event), event))
    vendor.says(b"0\r\n\r\n")
    reply = await task
    assert reply.whole and reply.body.endswith(b"data: [DONE]\n\n") and b'"Hi"' in reply.body


async def test_a_refusal_is_an_answer(within):
    reply = await within.send(ask(key="sk-wrong"), "127.0.0.1", 1 << 20)
    assert (reply.status, reply.whole) == (401, True) and b"invalid_key" in reply.body


async def test_no_more_is_kept_than_was_asked_for(live, within):
    vendor = live.vendor()
    task = await sending(within, limit=10)
    vendor.says(answer())
    reply = await task
    assert (reply.body, reply.cut, reply.whole) == (USAGE[:10], True, True)


async def test_a_large_body_is_sent_on(live, within):
    vendor = live.vendor()
    body = CHAT[:-1] + b',"user":"' + b"x" * 200_000 + b'"}'
    task = await sending(within, ask(body=body))
    assert vendor.hears().endswith(b"x" * 1000 + b'"}')
    vendor.says(answer())
    assert (await task).status == 200


async def test_one_who_is_cancelled_is_a_client_that_leaves(live, within):
    vendor = live.vendor()
    task = await sending(within)
    vendor.hears()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    await live.durable()
    [charge] = live.charges()
    assert (charge["outcome"], charge["status"]) == ("client_gone", 499)
    assert live.plane.holds.open == 0 and not live.plane.connections


async def test_a_provider_that_hangs_up_ends_it(live, within):
    vendor = live.vendor()
    task = await sending(within, ask(body=STREAM))
    vendor.says(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999\r\n\r\ndata: {}\n\n")
    vendor.leaves()
    reply = await task
    assert reply.status in (200, 502)
    await live.durable()
    assert live.plane.holds.open == 0


async def test_what_no_client_could_read_ends_it(live, within):
    live.vendor()
    task = await sending(within)
    [connection] = live.plane.connections
    connection.transport.write(b"nonsense\r\n\r\n")
    with pytest.raises(PenstockError) as failure:
        await task
    assert failure.value.code == "upstream_broken"
    await live.durable()
    assert live.plane.holds.open == 0


async def test_it_comes_from_an_address(live, within):
    live.know("sk-" + "n" * 48, networks=("10.0.0.0/8",))
    request = ask(key="sk-" + "n" * 48)
    refused = await within.send(request, "192.0.2.1", 1 << 20)
    assert refused.status == 403 and b"192.0.2.1" in refused.body
    vendor = live.vendor()
    task = await sending(within, request, address="10.1.2.3")
    vendor.says(answer())
    assert (await task).status == 200


@pytest.mark.parametrize("line", [b"GET /api/me", b"POST /api/keys", b"GET /healthz", b"GET /../api/me", b"nonsense", b""])
async def test_the_control_plane_is_not_to_be_reached_from_within(within, line):
    with pytest.raises(PenstockError) as refused:
        await within.send(ask(line=line), "127.0.0.1", 1 << 20)
    assert refused.value.code == "invalid_request"


async def test_when_the_gateway_stops_it_ends_too(live, within):
    live.vendor()
    task = await sending(within)
    [connection] = live.plane.connections
    connection.shutdown()
    assert connection.active.close, "it is finished and nothing more is taken"
    connection.transport.abort()
    with pytest.raises(PenstockError) as failure:
        await task
    assert failure.value.code == "upstream_broken"


async def test_what_it_lends_opens_nothing_afterwards(live, within):
    with live.plane.keys.lent(live.caller) as token:
        vendor = live.vendor()
        task = await sending(within, ask(key=token))
        vendor.says(answer())
        assert (await task).status == 200
    assert (await within.send(ask(key=token), "127.0.0.1", 1 << 20)).status == 401
