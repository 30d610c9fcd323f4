"""Unsealed: what a body has of other providers' thoughts, taken out before it goes, as it came, to a provider that cannot read them.

Over a bridge that is the business of the sides. Here a conversation that was begun with a model of another wire goes on with one
whose provider speaks the client's own: to that provider what was sealed is a forged signature.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.gemini.signatures import ANY, generation
from penstock.upstream.bridges.sealed import MARK

IN_BASE64 = "fnBzazEu"
"""How a sealed word begins where signatures are base64 of bytes."""
_TALK = frozenset(("chat", "messages", "count_tokens", "responses"))
_GOOGLE = frozenset(("gemini", "gemini_count"))
_FIRST, _SEALED, _ENCODED = MARK[:1].encode(), MARK.encode(), IN_BASE64.encode()
_MARKS = (MARK, IN_BASE64)
_PROOFS = ("signature", "data", "encrypted_content")
_GOOGLES = ("thoughtSignature", "thought_signature")


def has_sealed(wire: str, body: bytes) -> bool:
    """Something in a body of this wire may be sealed: only then is it worth being read. Some 10 microseconds for a megabyte."""
    if wire in _TALK:
        return _FIRST in body and _SEALED in body
    return wire in _GOOGLE and _ENCODED in body


def without_sealed(body: bytes, model: str = "") -> bytes:
    """The body without sealed thoughts; the body itself if it is no JSON, or has none after all.

    What cannot be without them goes on without thinking: a call of a tool says so to a Gemini (`model` tells whether it has to), and
    Claude is not asked to think in the middle of a loop of tools that it has not begun.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return body
    try:
        cleaned = _without(found)
    except RecursionError:
        return body
    if cleaned == found:
        return body
    if isinstance(cleaned, dict):
        if _thinks_by_budget(cleaned) and _goes_on_without_thought(cleaned.get("messages")):
            del cleaned["thinking"]
        if generation(model) >= 3 and isinstance(contents := cleaned.get("contents"), list):
            for content in contents:
                _excuse(content)
    return msgspec.json.encode(cleaned)


def _thinks_by_budget(body: dict[str, Any]) -> bool:
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _goes_on_without_thought(messages: Any) -> bool:
    """The last turn gives what tools have given to one that does not begin with a thought, which Anthropic refuses."""
    if not isinstance(messages, list) or len(messages) < 2:
        return False
    called, given = (message.get("content") if isinstance(message, dict) else None for message in messages[-2:])
    if not isinstance(called, list) or not isinstance(given, list) or not called:
        return False
    results = any(isinstance(block, dict) and block.get("type") == "tool_result" for block in given)
    return results and not (isinstance(called[0], dict) and called[0].get("type") in ("thinking", "redacted_thinking"))


def _excuse(content: Any) -> None:
    """The first call of a turn says that no Gemini has made it, if nothing proves that one has."""
    parts = content.get("parts") if isinstance(content, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and ("functionCall" in part or "function_call" in part):
            if not any(name in part for name in _GOOGLES):
                part["thoughtSignature"] = ANY
            return


def _without(value: Any) -> Any:
    if isinstance(value, list):
        kept = [_without(item) for item in value if not _is_sealed(item)]
        # A turn of which nothing is left says nothing.
        return [item for item in kept if not (isinstance(item, dict) and item.get("content") == [] and "role" in item)]
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if not (name in _GOOGLES and _begins(item))}
    return value


def _is_sealed(item: Any) -> bool:
    """A thought that only another provider can read: a block, an item, a detail, or a part."""
    if not isinstance(item, dict):
        return False
    if any(_begins(item.get(name)) for name in _PROOFS):
        return "type" in item
    return item.get("thought") is True and any(_begins(item.get(name)) for name in _GOOGLES)


def _begins(word: Any) -> bool:
    return isinstance(word, str) and word.startswith(_MARKS)
