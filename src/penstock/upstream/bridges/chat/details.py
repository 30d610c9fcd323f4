"""Reasoning details: thoughts as OpenRouter writes them in chats, a provider's own and those that are sealed for a client to carry.

A provider's detail is kept whole in the thought's `signature` (or `redacted`, if there is nothing in it to be read) as JSON, but for
its text, so that it can be given back as it came. Shapes: the published schemas of OpenRouter's own SDK.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Thought
from penstock.upstream.bridges.sealed import MARK, seal, unseal

TEXT, ENCRYPTED = "reasoning.text", "reasoning.encrypted"
_TEXTS = ("text", "summary")


def text_of(detail: dict[str, Any]) -> str:
    """What can be read of a detail."""
    for name in _TEXTS:
        if isinstance(text := detail.get(name), str):
            return text
    return ""


def proof_of(detail: dict[str, Any]) -> str:
    """All of a provider's detail but its text; empty if it proves nothing."""
    if not _word(detail, "signature") and not _word(detail, "data"):
        return ""
    return msgspec.json.encode({name: value for name, value in detail.items() if name not in _TEXTS and name != "index"}).decode()


def read(details: Any, text: str, *, unseals: bool) -> list[Thought]:
    """The thoughts of a message whose reasoning, as text, is `text`: from its details, else from the text alone.

    `unseals`: a client has sent it, so what was sealed here is opened. A provider's is its own, be it sealed (by another Penstock).
    """
    found = [_thought(detail, unseals=unseals) for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    found = [thought for thought in found if thought.text or thought.signature or thought.redacted]
    if not found:
        return [Thought(text)] if text else []
    if text and not any(thought.text for thought in found):
        found[0].text = text
    return found


def _thought(detail: dict[str, Any], *, unseals: bool) -> Thought:
    text = text_of(detail)
    word = _word(detail, "signature") or _word(detail, "data")
    if unseals and word.startswith(MARK):
        thought = unseal(word)
        if thought is None:
            return Thought(text)
        thought.text = text
        return thought
    proof = proof_of(detail)
    if not proof:
        return Thought(text)
    item_id = _word(detail, "id")
    return Thought(text, "", proof, item_id, "chat") if _word(detail, "data") else Thought(text, proof, "", item_id, "chat")


def sealed(thought: Thought, index: int) -> dict[str, Any] | None:
    """A thought for a client to carry; None if there is nothing to it but its text."""
    if not thought.signature and not thought.redacted:
        return None
    if thought.text:
        return {"type": TEXT, "text": thought.text, "signature": seal(thought), "index": index}
    return {"type": ENCRYPTED, "data": seal(thought), "index": index}


def given_back(thoughts: list[Thought]) -> list[dict[str, Any]]:
    """The details of a chat provider's thoughts, as it had given them."""
    found: list[dict[str, Any]] = []
    for thought in thoughts:
        if thought.wire != "chat":
            continue
        if thought.signature:
            found.append(_detail(thought.signature, TEXT, "signature", thought.text))
        if thought.redacted:
            found.append(_detail(thought.redacted, ENCRYPTED, "data", "" if thought.signature else thought.text))
    for index, detail in enumerate(found):
        detail["index"] = index
    return found


def _detail(proof: str, kind: str, name: str, text: str) -> dict[str, Any]:
    try:
        detail = msgspec.json.decode(proof)
    except msgspec.MsgspecError:
        detail = None
    if not isinstance(detail, dict):
        detail = {"type": kind, name: proof}
    if text:
        detail["summary" if detail.get("type") == "reasoning.summary" else "text"] = text
    return detail


def _word(detail: dict[str, Any], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""
