"""A mock provider that costs as little as it can: chat completions, plain and streaming, and a list of models.

    mock.py PORT

A word in square brackets anywhere in the request shapes a stream: [n64d0.02] is 64 events, 20 ms apart, the first at once; [n100] is 100
events as fast as they are taken; [n50000s4000] is 50,000 events of 4,000 bytes each. A perfect paced stream of n events lasts n x d
seconds: what a client sees beyond that is the gateway's.
"""

from __future__ import annotations

import asyncio
import re
import sys

import httptools
import uvloop

ABOUT = (
    '"id":"chatcmpl-abc123","created":1790000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_44added55e"'
)
PLAIN = (
    '{"object":"chat.completion",' + ABOUT + ',"choices":[{"index":0,"message":{"role":"assistant","content":"'
    + "The quick brown fox jumps. " * 20
    + '","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":120,'
    '"total_tokens":139,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
)  # fmt: skip
EVENT = (
    'data: {"object":"chat.completion.chunk",' + ABOUT + ',"choices":[{"index":0,"delta":{"content":" %s"},"logprobs":null,'
    '"finish_reason":null}],"usage":null,"obfuscation":"abcd"}\n\n'
)  # fmt: skip
USAGE = (
    'data: {"object":"chat.completion.chunk",' + ABOUT + ',"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":100,'
    '"total_tokens":119}}\n\ndata: [DONE]\n\n'
)  # fmt: skip
MODELS = '{"object":"list","data":[{"id":"gpt-4o","object":"model","created":1,"owned_by":"mock"}]}'
SHAPE = re.compile(rb"\[n(\d+)(?:d([\d.]+))?(?:s(\d+))?\]")
STREAMS = re.compile(rb'"stream":\s*true')


def framed(text: str) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


def answer(body: str) -> bytes:
    """A whole JSON answer."""
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


PLAIN_ANSWER, MODELS_ANSWER, OK_ANSWER = answer(PLAIN), answer(MODELS), answer("{}")
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT_FRAME, LAST_FRAME = framed(EVENT % "token"), framed(USAGE) + b"0\r\n\r\n"


class Mock(asyncio.Protocol):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpRequestParser(self)
        self.body: list[bytes] = []
        self.url = b""
        self.gone = False
        self.flows = asyncio.Event()
        self.flows.set()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.flows.set()

    def pause_writing(self) -> None:
        self.flows.clear()

    def resume_writing(self) -> None:
        self.flows.set()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        body, self.body = b"".join(self.body), []
        if not self.url.endswith(b"/chat/completions"):
            self.transport.write(MODELS_ANSWER if self.url.endswith(b"/models") else OK_ANSWER)
        elif not STREAMS.search(body):
            self.transport.write(PLAIN_ANSWER)
        else:
            shape = SHAPE.search(body)
            events, delay_s, size = (int(shape[1]), float(shape[2] or 0), int(shape[3] or 0)) if shape else (100, 0.0, 0)
            self.transport.write(STREAM_HEAD)
            if delay_s:
                self.pace(events, delay_s, self.loop.time() + delay_s)
            else:
                self.flood = self.loop.create_task(self.flow(events, framed(EVENT % ("x" * size)) if size else EVENT_FRAME))

    def pace(self, left: int, delay_s: float, due_s: float) -> None:
        """Write an event now and the rest on time, whatever the delay of this call."""
        if self.gone:
            return
        if left == 0:
            self.transport.write(LAST_FRAME)
            return
        self.transport.write(EVENT_FRAME)
        self.loop.call_at(due_s, self.pace, left - 1, delay_s, due_s + delay_s)

    async def flow(self, events: int, frame: bytes) -> None:
        """Write events as fast as they are taken."""
        for _ in range(events):
            await self.flows.wait()
            if self.gone:
                return
            self.transport.write(frame)
        self.transport.write(LAST_FRAME)


async def main(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Mock(loop), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
