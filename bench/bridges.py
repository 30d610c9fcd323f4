"""What a bridge costs: an event of a stream that is told on another wire, and a plain request of 10 KB that is put and answered on one.

    .venv/bin/python bench/bridges.py [--turns 15]

Every pair of wires runs through the whole relay in one process, between two transports that only count, with books that are always
durable, so that nothing is measured but the relay. From a bridged event the cost of one is taken that passes through on the client's
wire or on the provider's, whichever is less; from a bridged request that of one of the same client's on its own wire. Prints the
least of several turns, in microseconds of the processor; ends with 1 if one is beyond its limit.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import uvloop
from uvicorn.server import ServerState

from penstock.app import build, server_config
from penstock.kit.pulse import Pulse
from penstock.relay.edge import Edge
from penstock.relay.plane import Plane
from penstock.settings import Settings
from penstock.upstream.channel import PLAIN, Channel
from penstock.upstream.client.connection import Connection
from penstock.upstream.client.pool import Limits, Pool
from penstock.upstream.names import Names
from penstock.upstream.providers import PROVIDERS

EVENT_LIMIT_US, PLAIN_LIMIT_US = 25.0, 150.0
EVENTS, REQUESTS = 1000, 100
URL = "http://127.0.0.1:9/v1"
TEXT = "A river comes down from the mountains, and somebody has to decide how much of it goes through the turbines. "
LONG = TEXT * 16
"""Six of these make a request of 10 KB."""


class Speech(NamedTuple):
    """How one wire is spoken: `ask` makes a request (model, streams) of 10 KB; a stream is `begin`, `event` many times, `end`."""

    provider: str
    model: str
    path: str
    """With the model in it, where it belongs there; streamed and plain ones differ in the last word."""
    ask: Callable[[str, bool], dict[str, Any]]
    begin: list[str]
    event: str
    end: list[str]
    whole: dict[str, Any]


def sse(data: dict[str, Any], *, named: bool = False) -> str:
    """An event of a stream, with its type as its name where the wire wants that."""
    return (f"event: {data['type']}\n" if named else "") + f"data: {json.dumps(data, separators=(',', ':'))}\n\n"


def turns(user: str, model: str, wrap: Callable[[str], Any]) -> list[dict[str, Any]]:
    """A conversation of five turns."""
    return [{"role": model if number % 2 else user, **wrap(LONG)} for number in range(5)]


def chat() -> Speech:
    """Chat completions."""
    about = {"id": "chatcmpl-1", "created": 1790000000, "model": "deepseek-chat"}
    usage = {"prompt_tokens": 2000, "completion_tokens": 120, "total_tokens": 2120}

    def chunk(delta: dict[str, Any], why: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}
        return {"object": "chat.completion.chunk", **about, "choices": [choice], "usage": None}

    def ask(model: str, streams: bool) -> dict[str, Any]:
        messages = [{"role": "system", "content": LONG}, *turns("user", "assistant", lambda text: {"content": text})]
        return {"model": model, "messages": messages, "max_tokens": 500, **({"stream": True} if streams else {})}

    message = {"role": "assistant", "content": TEXT * 8, "refusal": None}
    return Speech(
        "deepseek", "deepseek-chat", "/v1/chat/completions", ask,
        [sse(chunk({"role": "assistant", "content": ""}))], sse(chunk({"content": " token"})),
        [sse(chunk({}, "stop")), sse({"object": "chat.completion.chunk", **about, "choices": [], "usage": usage}), "data: [DONE]\n\n"],
        {"object": "chat.completion", **about, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage},
    )  # fmt: skip


def messages() -> Speech:
    """Anthropic's messages."""
    usage = {"input_tokens": 2000, "output_tokens": 120}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}

    def ask(model: str, streams: bool) -> dict[str, Any]:
        said = turns("user", "assistant", lambda text: {"content": [{"type": "text", "text": text}]})
        return {"model": model, "max_tokens": 500, "system": LONG, "messages": said, **({"stream": True} if streams else {})}

    def event(kind: str, **more: Any) -> str:
        return sse({"type": kind, **more}, named=True)

    return Speech(
        "anthropic", "claude-sonnet-4-5", "/v1/messages", ask,
        [
            event("message_start", message={**head, "content": [], "stop_reason": None, "usage": usage}),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ],
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": " token"}),
        [
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 120}),
            event("message_stop"),
        ],
        {**head, "content": [{"type": "text", "text": TEXT * 8}], "stop_reason": "end_turn", "usage": usage},
    )  # fmt: skip


def responses() -> Speech:
    """OpenAI's responses."""
    usage = {
        "input_tokens": 2000, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 120,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2120,
    }  # fmt: skip
    head = {"id": "resp_1", "object": "response", "created_at": 1790000000, "model": "gpt-4o", "error": None, "incomplete_details": None}
    text = {"type": "output_text", "text": TEXT * 8, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}

    def ask(model: str, streams: bool) -> dict[str, Any]:
        said = turns("user", "assistant", lambda text: {"content": text})
        return {"model": model, "instructions": LONG, "input": said, "max_output_tokens": 500, **({"stream": True} if streams else {})}

    def event(number: int, kind: str, **more: Any) -> str:
        return sse({"type": kind, "sequence_number": number, **more}, named=True)

    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return Speech(
        "openai", "gpt-4o", "/v1/responses", ask,
        [
            event(0, "response.created", response={**head, "status": "in_progress", "output": [], "usage": None}),
            event(1, "response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []}),
            event(2, "response.content_part.added", **at, part={**text, "text": ""}),
        ],
        event(3, "response.output_text.delta", **at, delta=" token", logprobs=[]),
        [
            event(4, "response.output_text.done", **at, text=TEXT * 8, logprobs=[]),
            event(5, "response.content_part.done", **at, part=text),
            event(6, "response.output_item.done", output_index=0, item=item),
            event(7, "response.completed", response={**head, "status": "completed", "output": [item], "usage": usage}),
        ],
        {**head, "status": "completed", "output": [item], "usage": usage},
    )  # fmt: skip


def gemini() -> Speech:
    """Gemini's own wire."""
    usage = {"promptTokenCount": 2000, "candidatesTokenCount": 120, "totalTokenCount": 2120}

    def said(text: str, **more: Any) -> dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **more, "index": 0}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}

    def ask(_model: str, _streams: bool) -> dict[str, Any]:
        contents = turns("user", "model", lambda text: {"parts": [{"text": text}]})
        return {"systemInstruction": {"parts": [{"text": LONG}]}, "contents": contents, "generationConfig": {"maxOutputTokens": 500}}

    return Speech(
        "gemini", "gemini-2.5-flash", "/v1beta/models/{model}:{verb}", ask,
        [sse(said("The"))], sse(said(" token")), [sse(said(" end", finishReason="STOP"))], said(TEXT * 8, finishReason="STOP"),
    )  # fmt: skip


SPEECHES = {"chat": chat(), "messages": messages(), "responses": responses(), "gemini": gemini()}


class Counting:
    """A transport that takes everything and keeps what was written last."""

    def __init__(self) -> None:
        self.written = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        """Count it."""
        self.written += 1
        self.last = data

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """It never does."""
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Durable:
    """Books in which every charge is durable at once."""

    available = True
    depth = 0
    posted = 0

    def post(self, _charge: object, done: Callable[[None], None]) -> None:
        """It is."""
        self.posted += 1
        done(None)


class Rig:
    """A relay with one channel for every wire, one client and one connection to each provider."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=folder, openai_api_key="sk-placeholder", record=False)
        app, parts = build(settings)
        self.plane: Plane = parts.plane
        self.books = Durable()
        self.plane.books, self.plane.keys = cast("Any", self.books), None
        self.plane.catalog.load()
        self.upstream: dict[str, Connection] = {}
        channels = []
        for wire, speech in SPEECHES.items():
            pool = Pool(Channel.origin(URL), Limits(), Pulse())
            connection = self.upstream[wire] = Connection(pool)
            connection.connection_made(Counting())  # type: ignore[arg-type]
            pool.give_back(connection)
            names = Names([(speech.model, None)])
            terms, provider = replace(PLAIN, wires=(wire,)), PROVIDERS[speech.provider]
            channels.append(Channel(wire, provider, URL, pool, secret="sk-placeholder", names=names, terms=terms))
        self.plane.channels = tuple(channels)
        config = server_config(settings, app)
        config.load()
        self.client = Edge(config, ServerState(), {"plane": self.plane})
        self.shown = Counting()
        self.client.connection_made(self.shown)  # type: ignore[arg-type]

    def ask(self, client: str, target: str, *, streams: bool) -> bytes:
        """A request of a client to the model of another wire's provider."""
        speech, model = SPEECHES[client], SPEECHES[target].model
        body = json.dumps(speech.ask(model, streams)).encode()
        path = speech.path.format(model=model, verb="streamGenerateContent?alt=sse" if streams else "generateContent")
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def event_us(self, client: str, target: str) -> float:
        """One stream: what an event of it costs."""
        speech, upstream = SPEECHES[target], self.upstream[target]
        self.client.data_received(self.ask(client, target, streams=True))
        upstream.data_received(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in speech.begin:
            upstream.data_received(framed(event))
        frame, before = framed(speech.event), self.shown.written
        began_ns = time.thread_time_ns()
        for _ in range(EVENTS):
            upstream.data_received(frame)
        took_ns = time.thread_time_ns() - began_ns
        if self.shown.written - before < EVENTS:
            raise SystemExit(f"{client} to {target}: not every event was told: {self.shown.last!r}")
        for event in speech.end:
            upstream.data_received(framed(event))
        upstream.data_received(b"0\r\n\r\n")
        return took_ns / EVENTS / 1000

    def plain_us(self, client: str, target: str) -> float:
        """Plain requests, one after the other: what one of them costs."""
        upstream, request = self.upstream[target], self.ask(client, target, streams=False)
        body = json.dumps(SPEECHES[target].whole)
        answer = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        posted = self.books.posted
        began_ns = time.thread_time_ns()
        for _ in range(REQUESTS):
            self.client.data_received(request)
            upstream.data_received(answer)
        took_ns = time.thread_time_ns() - began_ns
        if self.books.posted - posted != REQUESTS or b"200 OK" not in self.shown.last:
            raise SystemExit(f"{client} to {target}: not every request was answered: {self.shown.last[:500]!r}")
        return took_ns / REQUESTS / 1000


def framed(text: str) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


async def main() -> None:
    """All pairs, the same wire first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=15)
    given = parser.parse_args()
    well = True
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder))
        pairs = [(client, target) for client in SPEECHES for target in SPEECHES]
        for client, target in pairs:
            rig.event_us(client, target)
            rig.plain_us(client, target)
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 50)
        events: dict[tuple[str, str], float] = dict.fromkeys(pairs, float("inf"))
        plain = dict(events)
        for _ in range(given.turns):
            for pair in pairs:
                events[pair] = min(events[pair], rig.event_us(*pair))
                plain[pair] = min(plain[pair], rig.plain_us(*pair))
        print("microseconds per event of a stream, more than passed through; per plain request of 10 KB, more than on the same wire")
        for client, target in pairs:
            event, request = events[client, target], plain[client, target]
            if client == target:
                print(f"  {client:<10} to itself    {event:8.1f} {'':9} {request:9.1f}")
                continue
            more_event, more_plain = event - min(events[target, target], events[client, client]), request - plain[client, client]
            beyond = more_event > EVENT_LIMIT_US or more_plain > PLAIN_LIMIT_US
            well = well and not beyond
            told = "   beyond the limit" if beyond else ""
            print(f"  {client:<10} to {target:<9} {event:8.1f} {more_event:+9.1f} {request:9.1f} {more_plain:+9.1f}{told}")
    sys.exit(not well)


if __name__ == "__main__":
    uvloop.run(main())
