"""Answers of providers as bytes: heads, chunked bodies, and the streams of each wire."""

from __future__ import annotations

import gzip as gzip_module
import json
from collections.abc import Iterable
from typing import Any

SSE = "text/event-stream; charset=utf-8"
CHAT_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def head(status: int = 200, *headers: str, kind: str = "application/json") -> bytes:
    """A head without any framing of its body: `headers` say it, as whole lines."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"content-type: {kind}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer(body: object, status: int = 200, *headers: str, kind: str = "application/json") -> bytes:
    """A whole answer with the right content-length. Anything but bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, f"content-length: {len(content)}", *headers, kind=kind) + content


def chunk(data: bytes, extension: str = "") -> bytes:
    """One chunk; `extension` such as ";a=b" follows its size."""
    return f"{len(data):x}{extension}\r\n".encode() + data + b"\r\n"


def chunked(*pieces: bytes, trailers: str = "") -> bytes:
    """A whole chunked body; `trailers` are whole lines, each ending in CRLF."""
    return b"".join(map(chunk, pieces)) + b"0\r\n" + trailers.encode() + b"\r\n"


def stream(*events: bytes, headers: Iterable[str] = ()) -> bytes:
    """A whole streamed answer, one event per chunk."""
    return stream_head(*headers) + chunked(*events)


def stream_head(*headers: str) -> bytes:
    """The head of a streamed answer, after which come chunks."""
    return head(200, "transfer-encoding: chunked", *headers, kind=SSE)


def gzipped(body: bytes, kind: str = "application/json") -> bytes:
    """A whole answer whose content is gzip."""
    packed = gzip_module.compress(body, mtime=0)
    return head(200, "content-encoding: gzip", f"content-length: {len(packed)}", kind=kind) + packed


def event(value: object, name: str | None = None) -> bytes:
    """One SSE event; `value` is JSON unless it is a string."""
    data = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def chat_answer(text: str = "Hello there.", usage: dict[str, Any] | None = CHAT_USAGE) -> dict[str, Any]:
    """The JSON of a chat completion; `usage` None leaves it out."""
    about = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1_790_000_000, "model": "gpt-4o-2024-08-06"}
    choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "logprobs": None, "finish_reason": "stop"}
    return about | {"choices": [choice]} | ({"usage": usage} if usage else {})


def chat_chunk(delta: dict[str, Any], finish: str | None = None, **more: object) -> bytes:
    """One event of a chat stream."""
    about = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-4o-2024-08-06"}
    return event(about | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]} | more)


def chat_usage(usage: dict[str, Any] = CHAT_USAGE) -> bytes:
    """The event that ends a chat stream for which usage was asked."""
    about = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "gpt-4o-2024-08-06"}
    return event(about | {"choices": [], "usage": usage})


DONE = b"data: [DONE]\n\n"


def chat_events(count: int = 10, usages: int = 1) -> list[bytes]:
    """A chat stream of `count` content events, with so many usage events (normally one) and [DONE]."""
    content = [chat_chunk({"content": f" word{number}"}) for number in range(count)]
    return [chat_chunk({"role": "assistant", "content": ""}), *content, chat_chunk({}, "stop"), *[chat_usage()] * usages, DONE]


def responses_events(count: int = 10, *, usage: bool = True) -> list[bytes]:
    """A responses stream with its opening and closing events."""
    base: dict[str, Any] = {"id": "resp_fake", "object": "response", "created_at": 1_790_000_000, "model": "gpt-4o-2024-08-06"}
    base |= {"status": "in_progress", "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None}
    where = {"item_id": "msg_fake", "output_index": 0, "content_index": 0}
    item = {"id": "msg_fake", "type": "message", "role": "assistant"}
    text = "".join(f" word{number}" for number in range(count))
    part = {"type": "output_text", "annotations": [], "text": text}
    done = item | {"status": "completed", "content": [part]}
    tokens = {"input_tokens": 19, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": count}
    tokens |= {"output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19 + count}
    values: list[dict[str, Any]] = [
        {"type": "response.created", "response": base},
        {"type": "response.in_progress", "response": base},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress", "content": []}},
        {"type": "response.content_part.added"} | where | {"part": part | {"text": ""}},
        *({"type": "response.output_text.delta"} | where | {"delta": f" word{number}", "logprobs": []} for number in range(count)),
        {"type": "response.output_text.done"} | where | {"text": text, "logprobs": []},
        {"type": "response.content_part.done"} | where | {"part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": base | {"status": "completed", "output": [done], "usage": tokens if usage else None}},
    ]
    return [event(value | {"sequence_number": number}, value["type"]) for number, value in enumerate(values)]


def messages_events(count: int = 10) -> list[bytes]:
    """A messages stream, ping included."""
    usage = {"input_tokens": 19, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f" word{number}"}}
            for number in range(count)
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": count}},
        {"type": "message_stop"},
    ]
    return [event(value, value["type"]) for value in values]
