"""OpenAI's chat completions, as the API writes and checks them; thoughts are written as OpenRouter does."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from fake_answers import event
from says import Says, misfit, pieces

ID = "chatcmpl-BvendorA1"
_BODY: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
_NAMES = frozenset(CompletionCreateParamsStreaming.__annotations__) | frozenset(CompletionCreateParamsNonStreaming.__annotations__)
_NAMES |= frozenset(name for base in CompletionCreateParamsStreaming.__orig_bases__ for name in base.__annotations__)


def _finish(says: Says) -> str:
    if says.calls and says.stop == "end":
        return "tool_calls"
    return {"end": "stop", "stop_sequence": "stop", "length": "length", "refusal": "content_filter"}[says.stop]


def _usage(says: Says) -> dict[str, Any]:
    read = says.fresh + says.cached
    return {
        "prompt_tokens": read,
        "completion_tokens": says.output,
        "total_tokens": read + says.output,
        "prompt_tokens_details": {"cached_tokens": says.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": says.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _about(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": ID,
        "object": kind,
        "created": 1_790_000_000,
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def _call(number: int, says: Says) -> dict[str, Any]:
    call = says.calls[number]
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}


def _detail(says: Says) -> dict[str, Any]:
    return {"type": "reasoning.text", "text": says.thought, "signature": says.proof, "format": "anthropic-claude-v1", "index": 0}


def plain(says: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": says.text or None, "refusal": says.refusal or None, "annotations": []}
    if says.calls:
        message["tool_calls"] = [_call(number, says) for number in range(len(says.calls))]
    if says.thought:
        message["reasoning"] = says.thought
        message["reasoning_details"] = [_detail(says)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(says)}
    return _about(body, "chat.completion") | {"choices": [choice], "usage": _usage(says)}


def events(says: Says, body: dict[str, Any]) -> list[bytes]:
    """A stream; calls come one after another, their arguments in pieces."""
    about = _about(body, "chat.completion.chunk")
    counts = body.get("stream_options", {}).get("include_usage")
    found: list[bytes] = []

    def add(delta: dict[str, Any], finish: str | None = None) -> None:
        chunk = about | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        found.append(event(chunk | ({"usage": None} if counts else {}) | {"obfuscation": "abc"}))

    add({"role": "assistant", "content": "" if not says.calls else None, "refusal": None})
    for piece in pieces(says.thought):
        add(
            {
                "reasoning": piece,
                "reasoning_details": [{"type": "reasoning.text", "text": piece, "format": "anthropic-claude-v1", "index": 0}],
            }
        )
    if says.proof:
        add({"reasoning_details": [{"type": "reasoning.text", "signature": says.proof, "format": "anthropic-claude-v1", "index": 0}]})
    for piece in pieces(says.text):
        add({"content": piece})
    for piece in pieces(says.refusal):
        add({"refusal": piece})
    if says.breaks:
        return [*found, *([event(failure(500, "It broke."))] if says.breaks == "error" else [])]
    for number in range(len(says.calls)):
        call = _call(number, says)
        text = call["function"]["arguments"]
        add({"tool_calls": [{"index": number, **call, "function": {**call["function"], "arguments": ""}}]})
        for piece in pieces(text):
            add({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
    add({}, _finish(says))
    if counts:
        found.append(event(about | {"choices": [], "usage": _usage(says), "obfuscation": ""}))
    return [*found, event("[DONE]")]


def failure(status: int, message: str) -> dict[str, Any]:
    """An error."""
    kinds = {400: "invalid_request_error", 401: "invalid_request_error", 429: "tokens", 500: "server_error", 529: "server_error"}
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    return {"error": {"message": message, "type": kinds.get(status, "invalid_request_error"), "param": None, "code": code}}


def wrong(body: dict[str, Any]) -> str:
    """What the API would not take."""
    others = {"reasoning_details", "reasoning_content", "extra_content"}  # of those that copy it
    names = _NAMES | {"include_reasoning", "reasoning"} if "/" in body["model"] else _NAMES
    if unfit := misfit(_BODY, names, body):
        return unfit
    open_calls: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            open_calls.remove(message["tool_call_id"])
            if not isinstance(message["content"], str) and any(part["type"] != "text" for part in message["content"]):
                return "Invalid 'messages': tools give text."
        elif open_calls:
            return (
                f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id': {open_calls}"
            )
        elif message["role"] == "assistant":
            open_calls = [call["id"] for call in message.get("tool_calls", ())]
            if set(message) & others and "/" not in body["model"]:
                return "Unrecognized request argument supplied"
            if any(len(call) > 40 for call in open_calls):
                return "string too long: tool_calls.id"
    return f"unanswered: {open_calls}" if open_calls else ""
