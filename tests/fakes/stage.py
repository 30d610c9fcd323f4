"""A stage: a gateway, the scripted provider behind it, and what must be true of a request when it is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec

from fake_answers import chat_answer, chat_events, chunk, messages_events, responses_events, stream_head
from fake_faults import PLAIN
from fake_provider import FakeProvider, Step
from live_gateway import LiveGateway
from loop_thread import LoopThread
from penstock.kit.sse import event_name, payload, split
from penstock.upstream.usage import Usage
from raw_client import Answer, RawClient, request

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
WIRES = tuple(PATHS)
MODELS = {"chat": "gpt-4o", "responses": "gpt-4o", "messages": "claude-sonnet-4-5"}
EVENTS: dict[str, Callable[[int], list[bytes]]] = {"chat": chat_events, "responses": responses_events, "messages": messages_events}
CONTENT_FROM = {"chat": 1, "responses": 4, "messages": 3}
"""The place of the first event with text in it."""
USED = Usage(input_tokens=19, output_tokens=10)
"""What the good answers of `plain` and streams of ten words have consumed."""
COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
"""The quantities that have columns of their own."""
_JSON = "content-type: application/json"


def asked(wire: str, **more: Any) -> dict[str, Any]:
    """A good request body."""
    said: dict[str, Any] = {"input": "Hello"} if wire == "responses" else {"messages": [{"role": "user", "content": "Hello"}]}
    return {"model": MODELS[wire]} | said | ({"max_tokens": 64} if wire == "messages" else {}) | more


def plain(wire: str) -> dict[str, Any]:
    """A whole answer of a provider, with usage of 19 tokens in and 10 out."""
    if wire == "chat":
        return chat_answer()
    if wire == "responses":
        answer: dict[str, Any] = json.loads(payload(responses_events(10)[-1].rstrip()))["response"]
        return answer
    usage = {"input_tokens": 19, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 10}
    content = [{"type": "text", "text": "Hello there."}]
    about = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content}
    return about | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def begun(wire: str, words: int = 4) -> bytes:
    """The beginning of a stream, up to and with so many words."""
    return stream_head() + b"".join(map(chunk, EVENTS[wire](10)[: CONTENT_FROM[wire] + words]))


def hidden(events: list[bytes]) -> list[bytes]:
    """The events of a chat stream that a client gets to see which did not ask for usage."""
    return [one for one in events if b'"choices":[]' not in one]


def shown(wire: str, events: list[bytes]) -> bytes:
    """What a client gets to see of a stream."""
    return b"".join(hidden(events) if wire == "chat" else events)


FORM = "content-type: multipart/form-data; boundary=b"


def form(**fields: str | bytes) -> bytes:
    """A multipart body for `FORM`; bytes are files."""
    parts = []
    for name, value in fields.items():
        file = '; filename="f"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        parts.append(f'--b\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n")
    return b"".join(parts) + b"--b--\r\n"


class Stage:
    """One gateway in front of `vendor`, which stands for OpenAI and for Anthropic."""

    def __init__(self, gateway: LiveGateway, vendor: FakeProvider, thread: LoopThread) -> None:
        self.gateway = gateway
        self.vendor = vendor
        self._thread = thread

    # asking

    def client(self, **options: Any) -> RawClient:
        """A new connection to the gateway."""
        return RawClient(self.gateway.port, **options)

    def raw(self, wire: str, *headers: str, body: bytes | None = None, **more: Any) -> bytes:
        """A request as bytes."""
        key = f"x-api-key: {self.gateway.key}" if wire == "messages" else f"authorization: Bearer {self.gateway.key}"
        return request(f"POST {PATHS[wire]}", key, _JSON, *headers, body=json.dumps(asked(wire, **more)).encode() if body is None else body)

    def speech(self) -> bytes:
        """A request for sound, of eleven characters."""
        said = {"model": "tts-1", "voice": "alloy", "input": "Hello there"}
        return request("POST /v1/audio/speech", f"authorization: Bearer {self.gateway.key}", _JSON, body=json.dumps(said).encode())

    def ask(self, wire: str, *headers: str, **more: Any) -> Answer:
        """The answer to a good request, on a connection of its own that stays usable afterwards."""
        with self.client() as client:
            answer = client.ask(self.raw(wire, *headers, **more))
            if not answer.closes:
                self.vendor.script(PLAIN)
                assert client.ask(self.raw("chat")).status == 200
            return answer

    def script(self, *steps: Step, early: bool = False) -> None:
        """What the provider does with the next request, on a connection that was not used before."""
        self.forget_connections()
        self.vendor.script(*steps, early=early)

    def forget_connections(self) -> None:
        """Close the gateway's idle connections to the provider."""

        async def forget() -> None:
            for channel in self.gateway.plane.channels:
                channel.pool.close()

        self.gateway.run(forget())

    def await_vendor(self, coroutine: Any) -> None:
        """Wait for something at the provider, such as `vendor.until_requests(1)`."""
        self._thread.run(coroutine)

    def let_go(self, gate: asyncio.Event) -> None:
        """Set an event that the provider waits for."""

        async def let() -> None:
            gate.set()

        self._thread.run(let())

    # afterwards

    def row(self, answer: Answer) -> dict[str, Any] | None:
        """The charge of an answered request as it is in the database at this moment; None if there is none."""
        rows = [row for row in self.gateway.charges() if row["id"] == answer.header("x-request-id")]
        assert len(rows) <= 1
        return rows[0] if rows else None

    def charge(self, answer: Answer) -> dict[str, Any]:
        """The charge of an answer that has ended: it is there already."""
        row = self.row(answer)
        assert row is not None, "the answer was finished before its charge was durable"
        assert 0 <= row["upload_ms"] <= row["first_byte_ms"] <= row["duration_ms"]
        assert row["attempts"] == 1
        return row

    def check_cost(self, row: dict[str, Any], usage: Usage, *, estimated: bool = False) -> None:
        """The charge is for exactly this usage, at the price of the catalog."""
        assert {name: row[name] for name in COUNTS} == {name: getattr(usage, name) for name in COUNTS}
        extra = json.loads(row["extra_usage"] or "{}")
        rare = {name: value for name, value in msgspec.structs.asdict(usage).items() if value and name not in (*COUNTS, "calls")}
        assert extra == rare | ({} if usage.calls == 1 else {"calls": usage.calls})
        price = self.gateway.plane.catalog.price(row["provider"], row["served_model"], row["model"])
        assert (row["cost_nano"], row["price_version"]) == ((price.cost(usage), price.version) if price else (0, None))
        assert bool(row["estimated"]) is estimated

    def guess(self, wire: str, words: int, **more: Any) -> Usage:
        """What is estimated for a good request with so many tokens in its answer."""
        return Usage(input_tokens=-(-len(json.dumps(asked(wire, **more)).encode()) // 4), output_tokens=words)

    def check_guess(self, row: dict[str, Any], wire: str, words: int) -> None:
        """The charge is an estimate of a stream that broke off after so many words. Events without words may count as one."""
        assert words <= row["output_tokens"] <= words + 3
        usage = self.guess(wire, row["output_tokens"], stream=True)
        if wire == "messages":
            usage.input_tokens = 19  # `message_start` has said so
        self.check_cost(row, usage, estimated=True)

    def check_quiet(self) -> None:
        """Nothing is left behind, on either side: but for idle ones, which are closed now, no connection is open."""
        self.gateway.check_quiet()
        self.forget_connections()
        self.await_vendor(self.vendor.until_closed())


def check_refusal(wire: str, answer: Answer, status: int, code: str) -> None:
    """The answer is our error, whole and in the dialect of the wire."""
    assert (answer.status, answer.header("content-type")) == (status, "application/json")
    error = answer.json["error"]
    if wire == "messages":
        assert answer.json == {"type": "error", "error": error, "request_id": answer.header("x-request-id")}
        assert error == {"type": {502: "api_error", 503: "overloaded_error", 504: "timeout_error"}[status], "message": error["message"]}
    else:
        assert error == {"message": error["message"], "type": "server_error", "param": None, "code": code}
    assert len(error["message"]) > 10


def check_broken_end(wire: str, events: list[bytes], code: str) -> None:
    """A stream's last event, and no other, is our error in the dialect of the wire."""
    *before, last = events
    assert last.endswith(b"\n\n")
    value = json.loads(payload(last.rstrip()))
    if wire == "chat":
        assert event_name(last) == b""
        assert value == {"error": {"message": value["error"]["message"], "type": "server_error", "param": None, "code": code}}
    elif wire == "responses":
        assert event_name(last) == b"response.failed" == value["type"].encode()
        assert (value["response"]["status"], value["response"]["error"]["code"]) == ("failed", code)
    else:
        assert event_name(last) == b"error" == value["type"].encode()
        assert value["error"]["type"] == {"upstream_timeout": "timeout_error"}.get(code, "api_error")
    assert not any(b"error" in event or b"DONE" in event for event in before)


def events_of(answer: Answer) -> list[bytes]:
    """The events of a streamed answer, all of them whole."""
    events = split(answer.body)
    assert all(event.endswith((b"\n\n", b"\r\n\r\n")) for event in events)
    return events
