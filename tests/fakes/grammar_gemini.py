"""The golden grammar of Gemini's own protocol. Sources: the published reference, and the types of the official SDK."""

from __future__ import annotations

import json
import re
from typing import Any

from google.genai.types import GenerateContentResponse

from golden import Called, Golden, events


def gemini_stream(stream: bytes, *, shows_usage: bool = True) -> Golden:
    """`:streamGenerateContent?alt=sse`."""
    *chunks, last = events(stream, named=False)
    golden = Golden()
    for chunk in chunks:
        assert "finishReason" not in _candidate(chunk) and "usageMetadata" not in chunk
        _gemini_parts(golden, chunk)
    if "error" in last:
        return Golden(failure=google_error(last), ending="failed")
    assert len({(chunk["responseId"], chunk["modelVersion"]) for chunk in (*chunks, last)}) == 1
    _gemini_parts(golden, last)
    _gemini_ending(golden, last)
    return golden


def _candidate(chunk: dict[str, Any]) -> dict[str, Any]:
    (candidate,) = chunk["candidates"]
    assert candidate["index"] == 0 and candidate["content"]["role"] == "model"
    return dict(candidate)


def _gemini_parts(golden: Golden, chunk: dict[str, Any]) -> None:
    GenerateContentResponse.model_validate_json(json.dumps(chunk))
    for part in _candidate(chunk)["content"]["parts"]:
        (kind,) = part.keys() - {"thought", "thoughtSignature"}
        if kind == "functionCall":
            call = part[kind]
            assert type(call["args"]) is dict and call["name"]
            golden.calls.append(Called(call.get("id", ""), call["name"], json.dumps(call["args"])))
        elif kind == "inlineData":
            golden.pictures.append(part[kind]["data"])
        elif part.get("thought"):
            golden.thought += part["text"]
        else:
            golden.text += part["text"]


def _gemini_ending(golden: Golden, last: dict[str, Any]) -> None:
    finish, usage = _candidate(last)["finishReason"], last["usageMetadata"]
    assert finish in ("STOP", "MAX_TOKENS", "SAFETY")
    golden.ending = {"MAX_TOKENS": "length", "SAFETY": "refusal"}.get(finish, "tools" if golden.calls else "end")
    read, thought = usage["promptTokenCount"], usage.get("thoughtsTokenCount", 0)
    wrote = usage["candidatesTokenCount"] + thought
    assert usage["totalTokenCount"] == read + wrote
    golden.usage = (read, usage.get("cachedContentTokenCount", 0), wrote, thought)


def gemini_whole(body: bytes) -> Golden:
    """`:generateContent`."""
    found, golden = json.loads(body), Golden()
    assert found["responseId"] and found["modelVersion"]
    _gemini_parts(golden, found)
    _gemini_ending(golden, found)
    return golden


def google_error(found: dict[str, Any]) -> str:
    """Google's envelope of errors."""
    error = found["error"]
    assert type(error["code"]) is int and re.fullmatch(r"[A-Z_]+", error["status"])
    return str(error["message"])
