"""Anthropic's messages, as the API writes and checks them."""

from __future__ import annotations

import json
import re
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsBase, MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from fake_answers import event
from says import Says, misfit, pieces

_BODY: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
_NAMES = frozenset(MessageCreateParamsBase.__annotations__) | {"stream"}
_ID = re.compile(r"[a-zA-Z0-9_-]+")


def _stop(says: Says) -> str:
    if says.calls and says.stop == "end":
        return "tool_use"
    return {"end": "end_turn", "length": "max_tokens", "stop_sequence": "stop_sequence", "refusal": "refusal"}[says.stop]


def _usage(says: Says) -> dict[str, Any]:
    return {
        "input_tokens": says.fresh,
        "cache_creation_input_tokens": says.written,
        "cache_read_input_tokens": says.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": says.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": says.output,
        "service_tier": "standard",
    }


def _blocks(says: Says, body: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if says.thought and body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        blocks.append({"type": "thinking", "thinking": says.thought, "signature": says.proof})
    if says.text or says.refusal:
        blocks.append({"type": "text", "text": says.text or says.refusal})
    return blocks + [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in says.calls]


def plain(says: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "msg_01vendor",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": _blocks(says, body),
        "stop_reason": _stop(says),
        "stop_sequence": says.sequence,
        "usage": _usage(says),
    }


def events(says: Says, body: dict[str, Any]) -> list[bytes]:
    """A stream, with a ping as there is one."""
    found: list[bytes] = []

    def add(kind: str, **more: Any) -> None:
        found.append(event({"type": kind, **more}, kind))

    begun = plain(says, body) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(says) | {"output_tokens": 1}}
    add("message_start", message=begun)
    add("ping")
    for index, block in enumerate(_blocks(says, body)):
        kind = block["type"]
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}[kind]
        add("content_block_start", index=index, content_block=block | empty)
        text = json.dumps(block["input"]) if kind == "tool_use" else block[kind]
        name, field = {
            "thinking": ("thinking_delta", "thinking"),
            "text": ("text_delta", "text"),
            "tool_use": ("input_json_delta", "partial_json"),
        }[kind]
        for piece in ["", *pieces(text)] if kind == "tool_use" else pieces(text):
            add("content_block_delta", index=index, delta={"type": name, field: piece})
        if kind == "text" and says.breaks:
            if says.breaks == "error":
                add("error", error={"type": "overloaded_error", "message": "It broke."})
            return found
        if kind == "thinking":
            add("content_block_delta", index=index, delta={"type": "signature_delta", "signature": block["signature"]})
        add("content_block_stop", index=index)
    counted = {name: value for name, value in _usage(says).items() if name not in ("cache_creation", "service_tier")}
    add("message_delta", delta={"stop_reason": _stop(says), "stop_sequence": says.sequence}, usage=counted)
    add("message_stop")
    return found


def failure(status: int, message: str) -> dict[str, Any]:
    """An error."""
    kinds = {
        400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 500: "api_error",
        529: "overloaded_error",
    }  # fmt: skip
    error: dict[str, Any] = {"type": kinds[status], "message": message}
    if "thread" in message:
        error["details"] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    return {"type": "error", "error": error, "request_id": "req_vendor"}


def wrong(body: dict[str, Any]) -> str:
    """What the API would not take."""
    if body.get("thread"):
        return "thread: this server holds no conversations"
    if unfit := misfit(_BODY, _NAMES, body):
        return unfit
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        if not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            return "`max_tokens` must be greater than `thinking.budget_tokens`."
        if body.get("temperature", 1) != 1:
            return "`temperature` may only be set to 1 when thinking is enabled."
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            return "Thinking may not be enabled when tool_choice forces tool use."
    if not _closed(body.get("output_config", {}).get("format", {}).get("schema")):
        return "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
    return _turns(body["messages"], thinks=thinking.get("type") == "enabled")


def _turns(messages: list[dict[str, Any]], *, thinks: bool) -> str:
    before: list[str] = []
    for number, message in enumerate(messages):
        blocks = [{"type": "text", "text": message["content"]}] if isinstance(message["content"], str) else message["content"]
        if not blocks or any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            return f"messages.{number}: text content blocks must contain non-whitespace text"
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(results) != sorted(before):
            return f"messages.{number}: `tool_use` ids {before} were found without `tool_result` blocks immediately after: {results}"
        if results and any(block["type"] == "tool_result" for block in blocks[len(results) :]):
            return f"messages.{number}: `tool_result` blocks must come first"
        before = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if not all(_ID.fullmatch(one) for one in before):
            return f"messages.{number}.content.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if thinks and before and number == len(messages) - 2 and blocks[0]["type"] not in ("thinking", "redacted_thinking"):
            return f"messages.{number}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{blocks[0]['type']}`."
    return f"`tool_use` ids were found without `tool_result`: {before}" if before else ""


def _closed(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(map(_closed, schema))
    if not isinstance(schema, dict):
        return True
    return (schema.get("type") != "object" or schema.get("additionalProperties") is False) and all(map(_closed, schema.values()))
