"""Endings: the last events of streams that are cut short, written like the provider's own."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload, split
from penstock.upstream.dialects.text import clean, event
from penstock.upstream.usage import Usage
from penstock.upstream.wires import asks
from penstock.upstream.wires.wire import Cut

DONE = b"data: [DONE]\n\n"
_ABOUT_CHAT = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_BLOCK = re.compile(rb'"type" ?: ?"content_block_(start|delta|stop)"')
_INDEX = re.compile(rb'"index" ?: ?(\d{1,9})')
_RESPONSE_ID = re.compile(rb'"response" ?: ?\{ ?"id" ?: ?"([\w-]{1,200})"')
_NUMBER = re.compile(rb'"sequence_number" ?: ?(\d{1,15})')
_CHOICES = msgspec.json.Decoder(dict[str, msgspec.Raw])


def of_chat(error: PenstockError, cut: Cut, piece: dict[str, Any]) -> bytes:
    """A chunk that ends every choice with the reason `length`, the usage if it was asked for, and `[DONE]`.

    `piece` is what an empty choice has. The error is in the choices: at the top level OpenAI's SDK would raise it, and the
    answer so far be lost to whoever uses its helpers.
    """
    about = {name: value for name, value in _last_object(cut).items() if name in _ABOUT_CHAT}
    reason = {"message": clean(error.message), "type": "insufficient_quota", "param": None, "code": error.code}
    choices = [{"index": index, **piece, "finish_reason": "length", "error": reason} for index in range(_choices(cut.request))]
    end = event(None, {**about, "choices": choices})
    if not cut.ask.hides_usage:
        end += event(None, {**about, "choices": [], "usage": _chat_usage(cut.usage)})
    return end + DONE


def of_messages(error: PenstockError, cut: Cut) -> bytes:
    """The end of the open block, a `message_delta` with the reason `max_tokens`, and `message_stop`. The error is in the delta."""
    end = b""
    for one in reversed(split(cut.last)):
        if kind := _BLOCK.search(one):
            index = _INDEX.search(one)
            if kind[1] != b"stop" and index is not None:
                end = event("content_block_stop", {"type": "content_block_stop", "index": int(index[1])})
            break
    delta: dict[str, object] = {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens", "stop_sequence": None},
        "usage": {"output_tokens": cut.usage.output_tokens},
        "error": {"type": "billing_error", "code": error.code, "message": clean(error.message)},
    }
    return end + event("message_delta", delta) + event("message_stop", {"type": "message_stop"})


def of_complete(error: PenstockError, cut: Cut) -> bytes:
    """The last piece of an old completion, with the reason `max_tokens`."""
    about = {name: value for name, value in _last_object(cut).items() if name in ("id", "model", "log_id")}
    reason = {"type": "billing_error", "code": error.code, "message": clean(error.message)}
    last = {"completion": "", "stop_reason": "max_tokens", "stop": None, "error": reason}
    return event("completion", {"type": "completion", **about, **last})


def of_responses(error: PenstockError, cut: Cut) -> bytes:
    """The `response.incomplete` event with the reason `max_output_tokens`. The error is where a response has one.

    What was written is in the events before it: it is not kept, and not repeated here.
    """
    created = _object(payload(cut.first.rstrip(b"\r\n")))
    response = created.get("response")
    if not isinstance(response, dict):
        found = _RESPONSE_ID.search(cut.first)
        response = {"id": found[1].decode() if found else f"resp_{cut.request_id.removeprefix('req_')}", "object": "response", "output": []}
    numbers = _NUMBER.findall(cut.last)
    usage = cut.usage
    end = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "error": {"code": error.code, "message": clean(error.message)},
        "usage": {
            "input_tokens": usage.context_tokens(),
            "input_tokens_details": {"cached_tokens": usage.cache_read_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.context_tokens() + usage.output_tokens,
        },
    }
    number = int(numbers[-1]) + 1 if numbers else 0
    kind = "response.incomplete"
    return event(kind, {"type": kind, "sequence_number": number, "response": {**response, **end}})


def of_realtime(error: PenstockError) -> bytes:
    """The JSON text of an `error` message."""
    about = {"type": "insufficient_quota", "code": error.code, "message": clean(error.message), "param": None, "event_id": None}
    return msgspec.json.encode({"type": "error", "event_id": "event_end", "error": about})


def _chat_usage(usage: Usage) -> dict[str, Any]:
    read, written = usage.context_tokens(), usage.output_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _choices(request: bytes) -> int:
    """How many answers were asked for: `n`."""
    try:
        return asks.choices(msgspec.json.decode(_CHOICES.decode(request)["n"]))
    except (msgspec.MsgspecError, KeyError):
        return 1


def _last_object(cut: Cut) -> dict[str, Any]:
    """The last event that was shown and is a JSON object, else the first one."""
    for one in (*reversed(split(cut.last)), cut.first):
        if found := _object(payload(one.rstrip(b"\r\n"))):
            return found
    return {}


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
