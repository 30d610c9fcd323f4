"""Output: the items of a response, read as the parts of a reply."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Image, Part, Refusal, Text, Thought, ToolCall


def words_of(parts: Any, *kinds: str) -> list[str]:
    """The texts of those parts of a list that are of one of `kinds`."""
    if not isinstance(parts, list):
        return []
    return [part["text"] for part in parts if isinstance(part, dict) and part.get("type") in kinds and isinstance(part.get("text"), str)]


def thought_of(item: dict[str, Any]) -> Thought:
    """A reasoning item: what it shows, and what only OpenAI can read."""
    text = "\n\n".join(words_of(item.get("summary"), "summary_text")) or "".join(words_of(item.get("content"), "reasoning_text", "text"))
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str) or not sealed:
        return Thought(text)
    return Thought(text, redacted=sealed, id=_string(item.get("id")), wire="responses")


def call_of(item: dict[str, Any]) -> ToolCall | None:
    """A call of a function or of a custom tool; None if it has no name."""
    custom = item.get("type") == "custom_tool_call"
    name = _string(item.get("name"))
    arguments = item.get("input" if custom else "arguments")
    if isinstance(arguments, dict | list):  # some imitators forget that it is a string
        arguments = msgspec.json.encode(arguments).decode()
    call_id = _string(item.get("call_id")) or _string(item.get("id"))
    return ToolCall(call_id, name, _string(arguments), custom=custom) if name else None


def parts_of_message(item: dict[str, Any]) -> list[Part]:
    """What a message says. Annotations are left."""
    found: list[Part] = []
    content = item.get("content")
    if isinstance(content, str):
        return [Text(content)] if content else []
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            continue
        if part.get("type") == "refusal":
            found.append(Refusal(_string(part.get("refusal"))))
        elif isinstance(part.get("text"), str):
            found.append(Text(part["text"]))
    return found


def parts_of_item(item: Any) -> list[Part]:
    """What one item says; nothing for those of OpenAI's own tools, but for pictures."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind == "message":
        return parts_of_message(item)
    if kind == "reasoning":
        thought = thought_of(item)
        return [thought] if thought.text or thought.redacted else []
    if kind in ("function_call", "custom_tool_call"):
        call = call_of(item)
        return [call] if call is not None else []
    if kind == "image_generation_call" and isinstance(item.get("result"), str) and item["result"]:
        return [Image(f"image/{_string(item.get('output_format')) or 'png'}", item["result"])]
    return []


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
