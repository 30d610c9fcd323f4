"""Pace, faults and back-pressure, over real sockets."""

from __future__ import annotations

import asyncio
import json

import httpx2
import openai
import pytest
from websockets.asyncio.client import connect

from penstock.upstream.demo.answer import Answer, Stream
from penstock.upstream.demo.delivery import Delivery, Envelope, bare, chunk
from penstock.upstream.demo.manners import Manners

HELLO = [{"role": "user", "content": "hi"}]


def chat(model: str, **more: object) -> bytes:
    body = json.dumps({"model": model, "messages": HELLO} | more).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@pytest.fixture
async def opened(demo):
    """A connection to the demo provider."""
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.port)
    yield reader, writer
    writer.close()


async def until_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def test_chunks():
    assert (chunk(b"hello"), bare(b"hello")) == (b"5\r\nhello\r\n", b"hello")


async def test_a_slow_first_byte(async_client):
    before = asyncio.get_running_loop().time()
    await async_client.chat.completions.create(model="demo-slow30", messages=HELLO)
    assert asyncio.get_running_loop().time() - before >= 0.029


async def test_a_paced_stream_lasts_n_times_d(async_client):
    before = asyncio.get_running_loop().time()
    stream = await async_client.chat.completions.create(model="demo-n5d10", messages=HELLO, stream=True)
    found = [chunk async for chunk in stream]
    assert asyncio.get_running_loop().time() - before >= 0.049
    assert len(found) == 5 + 2


async def test_paced_events_arrive_one_by_one(opened):
    reader, writer = opened
    writer.write(chat("demo-n3d10", stream=True))
    await until_head(reader)
    raw = b""
    while not raw.endswith(b"0\r\n\r\n"):
        raw += await reader.read(65536)
    assert raw.count(b'"content":"') == 1 + 3


def test_reset(client):
    with pytest.raises(openai.APIConnectionError) as failed:
        client.chat.completions.create(model="demo-reset", messages=HELLO)
    assert "reset" in str(failed.value.__cause__).lower()


@pytest.mark.parametrize("model", ["demo-cut", "demo-n10-cut", "demo-n10d1-cut"])
async def test_a_cut_stream_has_half_of_its_events_and_no_end(opened, model):
    reader, writer = opened
    writer.write(chat(model, stream=True))
    raw = await reader.read()
    assert raw.startswith(b"HTTP/1.1 200 OK")
    assert not raw.endswith(b"0\r\n\r\n")
    assert b"[DONE]" not in raw
    if "n10" in model:
        assert raw.count(b'"content":"') == 1 + 5


def test_sdks_see_a_cut(client, claude):
    with pytest.raises(openai.APIConnectionError):
        list(client.chat.completions.create(model="demo-n4-cut", messages=HELLO, stream=True))
    with pytest.raises(httpx2.RemoteProtocolError):
        list(claude.messages.create(model="demo-n4-cut", max_tokens=100, messages=HELLO, stream=True))


async def test_a_plain_answer_is_cut_in_its_body(opened):
    reader, writer = opened
    writer.write(chat("demo-cut"))
    head = await until_head(reader)
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(await reader.read()) == length // 2


@pytest.mark.parametrize(
    ("model", "more"), [("demo-n4-stall", {"stream": True}), ("demo-stall", {}), ("demo-n4d1-stall", {"stream": True})]
)
async def test_a_stall_stops_and_stays(opened, model, more):
    reader, writer = opened
    writer.write(chat(model, **more))
    head = await until_head(reader)
    raw = b""
    while len(raw) < 100:
        raw += await reader.read(65536)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"[DONE]" if more else b"}}}\n"), 0.1)
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_hang_sends_nothing(opened):
    reader, writer = opened
    writer.write(chat("demo-hang"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)


async def test_an_error_in_the_middle_ends_in_good_order(opened):
    reader, writer = opened
    writer.write(chat("demo-n4-error", stream=True))
    raw = await reader.readuntil(b"0\r\n\r\n")
    assert raw.count(b'"content":"') == 1 + 2
    assert b'data: {"error":{"message":' in raw
    assert b"[DONE]" not in raw


def test_flaky_works_for_clients_that_try_again(client):
    patient = client.with_options(max_retries=1)
    assert patient.chat.completions.create(model="demo-flaky", messages=HELLO, user="flaky test").choices


async def test_a_large_stream_waits_for_its_reader(opened):
    reader, writer = opened
    writer.write(chat("demo-big2m", stream=True))
    await until_head(reader)
    await asyncio.sleep(0.05)
    total, raw = 0, b""
    while not raw.endswith(b"0\r\n\r\n"):
        raw = raw[-16:] + await reader.read(65536)
        total += len(raw) - 16
    assert total > 2 * 1024 * 1024


async def test_one_big_event(opened):
    reader, writer = opened
    writer.write(chat("demo-big2m-n1", stream=True))
    raw = b""
    while not raw.endswith(b"0\r\n\r\n"):
        raw += await reader.read(2**20)
    assert max(map(len, raw.split(b"\n\n"))) > 2 * 1024 * 1024


async def test_realtime_keeps_the_pace_too(demo):
    async with connect(f"ws://127.0.0.1:{demo.port}/v1/realtime?model=demo-n3d5", compression=None, proxy=None) as socket:
        await socket.send('{"type":"response.create"}')
        kinds = []
        while "response.done" not in kinds:
            kinds.append(json.loads(await socket.recv())["type"])
    assert kinds.count("response.output_text.delta") == 3


class Transport:
    """Where a delivery writes, in memory."""

    def __init__(self):
        self.written = []

    def write(self, data):
        self.written.append(data)


class Line:
    """A connection whose client may stop reading."""

    def __init__(self):
        self.transport, self.paused, self.done = Transport(), False, asyncio.Event()

    def delivered(self):
        assert not self.done.is_set()
        self.done.set()


@pytest.mark.parametrize("gap_s", [0.0, 0.001])
async def test_nothing_is_written_while_the_client_does_not_read(gap_s):
    line = Line()
    deltas = [b"x" * 40_000] * 4
    stream = Stream((b"open",), iter(deltas), 4, (b"close",))
    delivery = Delivery(line, stream, Manners(gap_s=gap_s), Envelope(b"head", bare, b"end"))
    delivery.start()
    line.paused = True
    if gap_s:
        await asyncio.sleep(0.05)
        assert line.transport.written == [b"headopen", deltas[0]]
    line.paused = False
    delivery.resume()
    await asyncio.wait_for(line.done.wait(), 10)
    assert b"".join(line.transport.written) == b"headopen" + b"".join(deltas) + b"closeend"
    delivery.resume()


async def test_a_stopped_delivery_is_silent():
    line = Line()
    delivery = Delivery(line, Answer(b"body"), Manners(first_byte_s=0.001), Envelope(b"head", bare, b""))
    delivery.start()
    delivery.stop()
    await asyncio.sleep(0.02)
    delivery.resume()
    assert (line.transport.written, line.done.is_set()) == ([], False)
