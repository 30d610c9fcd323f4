"""Said: what a provider's message or delta has in it, for each of the ways in which vendors write it. Nothing here raises."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from penstock.upstream.bridges.chat import details
from penstock.upstream.bridges.chat.parts_in import from_data_url
from penstock.upstream.bridges.conversation import Image, Refusal, Stop, Text, Thought

_STOPS: dict[str, Stop | Literal["error"]] = {
    "stop": "end",
    "eos": "end",
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "insufficient_system_resource": "length",
    "tool_calls": "tools",
    "tool_call": "tools",
    "tool_use": "tools",
    "function_call": "tools",
    "content_filter": "refusal",
    "sensitive": "refusal",
    "safety": "refusal",
    "recitation": "refusal",
    "refusal": "refusal",
    "error": "error",
}

Piece = Text | Thought | Image | Refusal


def stop_of(reason: Any) -> Stop | Literal["error"]:
    """Why it ended. A reason that nobody knows is as good as an end."""
    return _STOPS.get(reason.lower(), "end") if isinstance(reason, str) else "end"


def settled(stop: Stop, *, calls: bool, refused: bool) -> Stop:
    """The reason that fits what was said, for some vendors stop where they mean something else."""
    if calls and stop == "end":
        return "tools"
    if stop == "tools" and not calls:
        return "end"
    return "refusal" if refused and stop == "end" else stop


def pieces(content: Any) -> list[Piece]:
    """The content: a string, a number, or a list of parts (Mistral's thoughts are among them)."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if isinstance(content, list):
        return [piece for one in content for piece in _piece(one)]
    if isinstance(content, dict):
        return _piece(content)
    return [] if content is None else [Text(as_text(content))]


def _piece(value: Any) -> list[Piece]:
    if not isinstance(value, dict):
        return [Text(value)] if isinstance(value, str) and value else []
    kind = value.get("type")
    if kind in ("image_url", "image"):
        image = picture(value)
        return [] if image is None else [image]
    if kind in ("thinking", "reasoning"):
        inner = pieces(value.get("thinking", value.get("text")))
        thought = "".join(piece.text for piece in inner if isinstance(piece, Text))
        return [Thought(thought)] if thought else []
    if kind == "refusal":
        return [Refusal(refusal)] if isinstance(refusal := value.get("refusal"), str) and refusal else []
    text = value.get("text")
    return [Text(text)] if isinstance(text, str) and text else []


def as_text(value: Any) -> str:
    """Text, or JSON where a vendor has put a value in its place."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except (OverflowError, RecursionError):
        return ""


def reasoning(content: Any, other: Any, given: Any) -> str:
    """The text of `reasoning_content`, else of `reasoning`, else of `reasoning_details`: who sends several says the same in each."""
    if isinstance(content, str) and content:
        return content
    if isinstance(other, str) and other:
        return other
    return "".join(details.text_of(detail) for detail in given if isinstance(detail, dict)) if isinstance(given, list) else ""


def picture(value: Any) -> Image | None:
    """A picture that the model has made, as OpenRouter gives it."""
    found = value.get("image_url") if isinstance(value, dict) else None
    url = found.get("url") if isinstance(found, dict) else found
    if not isinstance(url, str) or not url:
        return None
    media_type, data = from_data_url(url)
    return Image(media_type or "image/png", data) if data else Image(url=url)


def word(value: Any) -> str:
    """A string; empty for anything else."""
    return value if isinstance(value, str) else ""
