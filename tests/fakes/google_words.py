"""Google's generateContent, as the API writes and checks it."""

from __future__ import annotations

import json
from typing import Any

from google.genai import types
from pydantic import ValidationError

from says import Says, pieces

_FIELDS = {"contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent", "labels"}


def _usage(says: Says) -> dict[str, Any]:
    read = says.fresh + says.cached
    used: dict[str, Any] = {
        "promptTokenCount": read,
        "candidatesTokenCount": says.output - says.reasoning,
        "totalTokenCount": read + says.output,
    }
    used["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": read}]
    if says.cached:
        used |= {"cachedContentTokenCount": says.cached, "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": says.cached}]}
    return used | ({"thoughtsTokenCount": says.reasoning} if says.reasoning else {})


def _parts(says: Says, body: dict[str, Any]) -> list[dict[str, Any]]:
    thinking = types.GenerationConfig.model_validate(body.get("generationConfig", {})).thinking_config  # either spelling of a name
    shows = thinking is not None and thinking.include_thoughts
    parts: list[dict[str, Any]] = [{"text": says.thought, "thought": True}] if says.thought and shows else []
    if says.text:
        parts.append({"text": says.text})
    for number, call in enumerate(says.calls):
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": call.arguments}}
        parts.append(part | ({"thoughtSignature": says.proof} if says.proof and number == 0 else {}))
    if says.proof and not says.calls and parts:
        parts[-1]["thoughtSignature"] = says.proof
    return parts


def _answer(says: Says, body: dict[str, Any], parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    about = {"usageMetadata": _usage(says), "modelVersion": body.get("model", "gemini-2.5-flash"), "responseId": "r-vendor1"}
    if says.refusal:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **about}
    finish = {"end": "STOP", "stop_sequence": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}[says.stop]
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0} | ({"finishReason": finish} if last else {})
    return {"candidates": [candidate], **about}


def plain(says: Says, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer."""
    return _answer(says, body, _parts(says, body), last=True)


def events(says: Says, body: dict[str, Any]) -> list[bytes]:
    """A stream: texts in pieces, calls whole and together; the last chunk says why it ended."""
    split: list[list[dict[str, Any]]] = []
    for part in _parts(says, body):
        if "text" in part:
            split += [[{**part, "text": piece}] for piece in pieces(part["text"])]
        elif split and "functionCall" in split[-1][0]:
            split[-1].append(part)
        else:
            split.append([part])
    chunks = [_answer(says, body, parts, last=not says.breaks and parts is split[-1]) for parts in split]
    chunks = chunks or [_answer(says, body, [], last=True)]
    found = [b"data: %b\r\n\r\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks]
    if says.breaks == "error":
        found.append(b"data: %b\r\n\r\n" % json.dumps(failure(503, "It broke.")).encode())
    return found


def failure(status: int, message: str) -> dict[str, Any]:
    """An error."""
    names = {
        400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
        529: "UNAVAILABLE",
    }  # fmt: skip
    return {"error": {"code": status, "message": message, "status": names[status]}}


def wrong(body: dict[str, Any], model: str) -> str:
    """What the API would not take."""
    if unknown := sorted(set(body) - _FIELDS):
        return f'Invalid JSON payload received. Unknown name "{unknown[0]}"'
    try:
        for content in body["contents"]:
            types.Content.model_validate(content)
        for tool in body.get("tools", ()):
            types.Tool.model_validate(tool)
        types.GenerationConfig.model_validate(body.get("generationConfig", {}))
        types.ToolConfig.model_validate(body.get("toolConfig", {}))
    except ValidationError as error:
        return str(error)[:2000]
    return _turns(body["contents"], signed=model.startswith("gemini-3"))


def _turns(contents: list[dict[str, Any]], *, signed: bool) -> str:
    before: list[str] = []
    for number, content in enumerate(contents):
        if not content["parts"]:
            return f"contents[{number}].parts must not be empty"
        given = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if sorted(given) != sorted(before):
            return "Please ensure that the number of function response parts is equal to the number of function call parts."
        calls = [part for part in content["parts"] if "functionCall" in part]
        before = [part["functionCall"]["name"] for part in calls]
        if calls and signed and not calls[0].get("thoughtSignature"):
            return "Function call is missing a thought_signature in functionCall parts."
    return "a function call has no response" if before else ""
