"""The response object, its items and its usage, as OpenAI writes them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Format, Image, Stop, Thought, Tool
from penstock.upstream.bridges.responses.asks_in import ResponsesAsked
from penstock.upstream.bridges.sealed import seal
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage

_TIERS = frozenset(("auto", "default", "flex", "scale", "priority"))


def tail_of(request_id: str) -> str:
    """What the ids of one response end with."""
    return request_id.removeprefix("req_")


def response_id(about: About, reply_id: str) -> str:
    """The id of a response: the provider's, if it is one, else made of the request's, as all errors of a stream have it."""
    return reply_id if reply_id.startswith("resp_") else f"resp_{tail_of(about.request_id)}"


def base_of(about: About, model: str, service_tier: str | None) -> dict[str, Any]:
    """The fields of a response that are the same from beginning to end: mostly what was asked for."""
    asked = about.asked
    echo = asked.echo if isinstance(asked, ResponsesAsked) else {}
    reasoning = echo.get("reasoning") or {}
    return {
        "background": False,
        "instructions": echo.get("instructions"),
        "max_output_tokens": asked.output_cap,
        "max_tool_calls": echo.get("max_tool_calls"),
        "model": model or about.model,
        "parallel_tool_calls": asked.parallel is not False,
        "previous_response_id": None,
        "prompt_cache_key": asked.cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": echo.get("safety_identifier"),
        "service_tier": tier_of(service_tier),
        "store": False,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": {"format": _format(asked.format), "verbosity": asked.verbosity or "medium"},
        "tool_choice": _flat(echo.get("tool_choice", "auto")),
        "tools": [_whole(tool) for tool in echo["tools"]] if "tools" in echo else [_shown(tool) for tool in asked.tools],
        "top_logprobs": 0,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": "disabled",
        "user": echo.get("user"),
        "metadata": echo.get("metadata") or {},
    }


def _format(form: Format | None) -> dict[str, Any]:
    if form is None:
        return {"type": "text"}
    if form.kind == "json":
        return {"type": "json_object"}
    about = {"type": "json_schema", "name": form.name, "schema": form.schema or {}, "strict": form.strict}
    return about | ({"description": form.description} if form.description else {})


def _flat(value: Any) -> Any:
    """A tool or a choice as this wire has it, where it was sent as chat does."""
    if not isinstance(value, dict):
        return value
    inner = value.get(value.get("type", "function"))
    return {**inner, "type": value.get("type", "function")} if isinstance(inner, dict) else value


def _whole(tool: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = _flat(tool)
    if flat.get("type", "function") != "function":
        return flat
    return {"description": None, "parameters": None, "strict": None, **flat, "type": "function"}


def _shown(tool: Tool) -> dict[str, Any]:
    if tool.raw is not None:
        return tool.raw
    about = {"type": tool.kind, "name": tool.name, "description": tool.description or None}
    return about | ({"parameters": tool.schema, "strict": tool.strict} if tool.kind == "function" else {})


def tier_of(served: str | None) -> str:
    """The service tier, as this wire names it."""
    return served if served is not None and served in _TIERS else "default"


def usage_of(usage: Usage) -> dict[str, Any]:
    """The usage. Here the input contains what was read from the cache and written to it."""
    read = usage.context_tokens()
    written = usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens
    cached = usage.cache_read_tokens + usage.cache_audio_read_tokens
    kept = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    details: dict[str, Any] = {"cached_tokens": cached, "cache_write_tokens": kept}
    if usage.cache_write_1h_tokens:
        details["cache_write_tokens_details"] = {
            "ttl_12h_tokens": usage.cache_write_1h_tokens,
            "ttl_30m_tokens": usage.cache_write_5m_tokens,
        }
    return {
        "input_tokens": read,
        "input_tokens_details": details,
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": read + written,
    }


def ending(stop: Stop, *, refused: bool) -> tuple[str, dict[str, str] | None]:
    """The status of a response and its `incomplete_details`. `refused`: the reply says in words that the model will not answer."""
    if stop == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if stop == "refusal" and not refused:
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def text_part(text: str) -> dict[str, Any]:
    """A part of a message: text."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def refusal_part(text: str) -> dict[str, Any]:
    """A part of a message: a refusal."""
    return {"type": "refusal", "refusal": text}


def message_item(item_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model says."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning_item(item_id: str, text: str, sealed: str | None) -> dict[str, Any]:
    """What the model thinks. `sealed` is what only its provider can read."""
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}] if text else []}
    if sealed is not None:
        item["encrypted_content"] = sealed
    return item


def sealed_of(thought: Thought) -> str | None:
    """The `encrypted_content` of a thought: OpenAI's own as it is, that of others packed; None where there is nothing to prove it."""
    if not thought.signature and not thought.redacted:
        return None
    if thought.wire == "responses":
        return thought.redacted or None
    return seal(thought)


def call_item(item_id: str, status: str, call: tuple[str, str, str], home: tuple[str, str] | None, *, custom: bool) -> dict[str, Any]:
    """A call of a tool: its id, name and arguments. `home` are the namespace and the name there of a tool that is in one."""
    call_id, name, arguments = call
    if item_id.startswith("tsc_"):
        return search_item(item_id, status, call_id, arguments)
    about: dict[str, Any] = {"id": item_id, "type": "custom_tool_call" if custom else "function_call", "status": status}
    about["call_id"] = call_id
    if home is not None:
        about["namespace"], name = home
    return about | {"name": name, "input" if custom else "arguments": arguments}


def search_item(item_id: str, status: str, call_id: str, arguments: str) -> dict[str, Any]:
    """A call of the client's own search for tools. Here the arguments are JSON, not a string."""
    found: Any
    try:
        found = msgspec.json.decode(arguments or "{}")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = {"query": arguments}
    return {"id": item_id, "type": "tool_search_call", "status": status, "call_id": call_id, "execution": "client", "arguments": found}


def image_item(item_id: str, status: str, image: Image | None) -> dict[str, Any]:
    """A picture that the model has made; None as long as it is not there."""
    item: dict[str, Any] = {"id": item_id, "type": "image_generation_call", "status": status, "result": None}
    if image is not None:
        kind = image.media_type.removeprefix("image/")
        item |= {"result": image.data, "output_format": kind if kind in ("png", "webp", "jpeg") else "png"}
    return item
