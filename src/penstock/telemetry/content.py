"""Content: the messages of a request and of its answer in the form of the GenAI conventions, for those who have asked for them.

What is not JSON, was cut off, or is of a kind that is not known here is given as one text, as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from penstock.kit.sse import payload, split

CONTENT_LIMIT = 16 * 1024
"""Bytes of each body that go along."""


def input_messages(body: bytes) -> str:
    """`gen_ai.input.messages` of a request's body, as JSON."""
    asked = _object(body)
    if asked is None:
        return _raw("user", body)
    messages = [_message("system", asked[name]) for name in ("instructions", "system") if asked.get(name)]
    said = asked.get("messages", asked.get("contents", asked.get("input", asked.get("prompt"))))
    if isinstance(said, str):
        messages.append(_message("user", said))
    elif isinstance(said, list):
        messages += [
            _message(str(item.get("role", "user")), item.get("content", item.get("parts", item)))
            if isinstance(item, dict)
            else _message("user", item)
            for item in said
        ]
    return json.dumps(messages, ensure_ascii=False)


def output_messages(body: bytes) -> str:
    """`gen_ai.output.messages` of an answer's body, plain or an event stream, as JSON."""
    answer = _object(body)
    if answer is None:
        texts = "".join(text for event in split(body) if (said := _object(payload(event.rstrip()))) is not None for text in _deltas(said))
        return json.dumps([_message("assistant", texts)], ensure_ascii=False) if texts else _raw("assistant", body)
    spoken = [
        choice.get("message", choice.get("content", choice.get("text")))
        for name in ("choices", "candidates")
        for choice in _dicts(answer.get(name))
    ] or [answer.get("content", answer.get("output"))]
    messages = [
        _message("assistant", item.get("content", item.get("parts", item)) if isinstance(item, dict) else item)
        for item in spoken
        if item is not None
    ]
    return json.dumps(messages, ensure_ascii=False) if messages else _raw("assistant", body)


def _deltas(event: dict[str, Any]) -> Iterator[str]:
    """The pieces of text in one event of a stream."""
    delta = event.get("delta")
    if isinstance(delta, str) and event.get("type") == "response.output_text.delta":
        yield delta
    elif isinstance(delta, dict) and isinstance(delta.get("text"), str):
        yield delta["text"]
    for choice in _dicts(event.get("choices")):
        if isinstance(choice.get("delta"), dict) and isinstance(choice["delta"].get("content"), str):
            yield choice["delta"]["content"]
    for candidate in _dicts(event.get("candidates")):
        for part in _dicts(candidate["content"].get("parts")) if isinstance(candidate.get("content"), dict) else ():
            if isinstance(part.get("text"), str):
                yield part["text"]


def _message(role: str, content: Any) -> dict[str, Any]:
    items = content if isinstance(content, list) else [content]
    return {"role": role, "parts": [_part(item) for item in items]}


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "content": item}
    if isinstance(item, dict) and isinstance(item.get("text"), str):
        return {"type": "text", "content": item["text"]}
    return {"type": "other", "content": item}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _raw(role: str, body: bytes) -> str:
    return json.dumps([_message(role, body.decode("utf-8", "replace"))], ensure_ascii=False)
