"""What has arrived at a vendor, read out of requests in the words of each protocol."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from google.genai import types

from model_vendor import Asked


def results(asked: Asked) -> list[tuple[str, str]]:
    """The city that each call in a request has asked for, and what it was given."""
    return {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}[asked.wire](asked.body)


def _chat(body: dict[str, Any]) -> list[tuple[str, str]]:
    made = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    calls = {call["id"]: json.loads(call["function"]["arguments"])["city"] for call in made}
    return [(calls[one["tool_call_id"]], one["content"]) for one in body["messages"] if one["role"] == "tool"]


def _responses(body: dict[str, Any]) -> list[tuple[str, str]]:
    calls = {one["call_id"]: json.loads(one["arguments"])["city"] for one in body["input"] if one.get("type") == "function_call"}
    return [(calls[one["call_id"]], one["output"]) for one in body["input"] if one.get("type") == "function_call_output"]


def _messages(body: dict[str, Any]) -> list[tuple[str, str]]:
    blocks = list(_parts("messages", body))
    calls = {block["id"]: block["input"]["city"] for block in blocks if block["type"] == "tool_use"}
    return [(calls[block["tool_use_id"]], _text(block["content"])) for block in blocks if block["type"] == "tool_result"]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _gemini(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Google tells calls apart by their order."""
    parts = list(_parts("gemini", body))
    calls = [part["functionCall"]["args"]["city"] for part in parts if "functionCall" in part]
    given = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    return list(zip(calls, [str(*one.values()) for one in given], strict=True))


def _parts(wire: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of all turns."""
    for turn in body[{"chat": "messages", "messages": "messages", "responses": "input", "gemini": "contents"}[wire]]:
        parts = turn.get("parts" if wire == "gemini" else "content")
        if isinstance(parts, list):
            yield from parts
        elif wire == "responses" and parts is None:
            yield turn


def shown(asked: Asked) -> list[str]:
    """The pictures and files of a request, each as the URL that it is or would be."""
    return [url for part in _parts(asked.wire, asked.body) if (url := _url(asked.wire, part))]


def _url(wire: str, part: dict[str, Any]) -> str:
    if wire == "gemini":
        read = types.Part.model_validate(part)  # Google takes either spelling of a name
        if read.inline_data is not None:
            return f"data:{read.inline_data.mime_type};base64,{b64encode(read.inline_data.data or b'').decode()}"
        return (read.file_data.file_uri or "") if read.file_data else ""
    if wire == "messages":
        source = part.get("source", {})
        return f"data:{source['media_type']};base64,{source['data']}" if source.get("type") == "base64" else source.get("url", "")
    found = part.get("image_url") or part.get("file_data") or part.get("file", {}).get("file_data") or ""
    return found["url"] if isinstance(found, dict) else found


def proofs(asked: Asked) -> list[str]:
    """The signatures of thoughts that have come back."""
    body = asked.body
    match asked.wire:
        case "chat":
            details = [detail for message in body["messages"] for detail in message.get("reasoning_details") or ()]
            return [detail["signature"] for detail in details if detail.get("signature")]
        case "responses":
            return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]
        case "messages":
            return [block["signature"] for block in _parts("messages", body) if block["type"] == "thinking"]
    return [part["thoughtSignature"] for part in _parts("gemini", body) if part.get("thoughtSignature")]


def form(asked: Asked) -> dict[str, Any]:
    """The JSON Schema that the answer is to follow."""
    body = asked.body
    found: dict[str, Any]
    match asked.wire:
        case "chat":
            found = body["response_format"]["json_schema"]["schema"]
        case "responses":
            found = body["text"]["format"]["schema"]
        case "messages":
            found = body["output_config"]["format"]["schema"]
        case _:
            config = body["generationConfig"]
            assert config["responseMimeType"] == "application/json"
            found = config.get("responseJsonSchema") or config["responseSchema"]
    return found
