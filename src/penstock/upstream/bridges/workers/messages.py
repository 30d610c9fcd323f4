"""Messages of a request as Workers AI takes them: text as strings, no nulls, roles it knows."""

from __future__ import annotations

from typing import Any

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.dropped import refuse
from penstock.upstream.bridges.workers.calls import argument_text

_TEXTS = frozenset(("text", "input_text", "output_text"))
_FOREIGN = frozenset(("annotations", "audio", "refusal", "reasoning_details", "cache_control", "extra_content", "phase"))
"""What answers of other providers have and clients send back; nobody here reads it."""
_ROLES = {"developer": "system"}


def plain_messages(given: Any) -> list[dict[str, Any]]:
    """The messages. Raises PenstockError for what is none, and for parts that no model here can read."""
    if not isinstance(given, list) or not given:
        raise PenstockError("invalid_request", 'The field "messages" must be a list of at least one message.', param="messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(given)]


def _message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise PenstockError("invalid_request", f"{where} must be an object.", param=where)
    kept = {key: value for key, value in message.items() if value is not None and key not in _FOREIGN}
    role = kept.get("role")
    if not isinstance(role, str) or not role:
        raise PenstockError("invalid_request", f"{where} must have a role.", param=f"{where}.role")
    kept["role"] = _ROLES.get(role, role)
    kept["content"] = _content(kept.get("content"), f"{where}.content")
    if not kept["content"] and isinstance(message.get("refusal"), str):
        kept["content"] = message["refusal"]
    calls = kept.pop("tool_calls", None)
    if isinstance(calls, list) and calls:
        kept["tool_calls"] = [_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]
    return kept


def _content(content: Any, where: str) -> Any:
    """Text where it is only text; parts only where a picture is among them."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, bool | int | float):
        return argument_text(content)
    if not isinstance(content, list):
        raise PenstockError("invalid_request", f"{where} must be a string or a list of parts.", param=where)
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any, where: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise PenstockError("invalid_request", f"{where} must be an object with a type.", param=where)
    if kind in _TEXTS or kind == "refusal":
        text = part.get("refusal" if kind == "refusal" else "text")
        return {"type": "text", "text": text if isinstance(text, str) else argument_text(text)}
    if kind not in ("image_url", "input_image"):
        raise refuse(f"A part of the type {kind[:64]!r}", "workers_chat", f"{where}.type")
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    if not isinstance(image, dict) or not isinstance(image.get("url"), str):
        raise PenstockError("invalid_request", f"{where} must have a URL of a picture.", param=f"{where}.image_url")
    return {"type": "image_url", "image_url": {key: value for key, value in image.items() if value is not None}}


def _call(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise PenstockError("invalid_request", f"{where} must name a function.", param=f"{where}.function.name")
    call_id = call.get("id")
    return {
        **({"id": call_id} if isinstance(call_id, str) else {}),
        "type": "function",
        "function": {"name": function["name"], "arguments": argument_text(function.get("arguments")) or "{}"},
    }
