"""Replies: whole messages, read and written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Image, Part, Refusal, Reply, Text, Thought, ToolCall
from penstock.upstream.bridges.messages.figures import whole
from penstock.upstream.bridges.messages.turns_out import input_of
from penstock.upstream.bridges.messages.words import REASONS, STOPS, arguments_of, call_id, message_id, sent_name
from penstock.upstream.bridges.sealed import seal
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean
from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.anthropic_usage import normalised
from penstock.upstream.wires.messages import Message

_USAGE = Reader(Message)
_DECODE = msgspec.json.Decoder().decode

Block = dict[str, Any]


def read_reply(body: bytes) -> Reply:
    """A provider's whole message. Raises ValueError for anything else."""
    try:
        found = _DECODE(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict) or not isinstance(found.get("content"), list):
        raise ValueError("it is not a message")  # noqa: TRY004  what a side raises
    parts = [part for block in found["content"] if isinstance(block, dict) and (part := _part(block)) is not None]
    stated = _USAGE.read(body)
    usage = normalised(stated.usage) if stated is not None and stated.usage is not None else Usage()
    reason, sequence = found.get("stop_reason"), found.get("stop_sequence")
    if not parts and not isinstance(reason, str):
        raise ValueError("there is nothing in it")
    stop = STOPS.get(reason, "end") if isinstance(reason, str) else "end"
    return Reply(_text(found, "id"), _text(found, "model"), parts, stop, usage, 0, sequence if isinstance(sequence, str) else None)


def _text(block: Block, name: str) -> str:
    found = block.get(name)
    return found if isinstance(found, str) else ""


def _part(block: Block) -> Part | None:
    """A block's part; None for what ran at the provider, of which only the text that came of it is shown."""
    match block.get("type"):
        case "text":
            words = _text(block, "text")
            return Text(words) if words else None
        case "thinking":
            words, signature = _text(block, "thinking"), _text(block, "signature")
            return Thought(words, signature, wire="messages" if signature else "") if words or signature else None
        case "redacted_thinking":
            data = _text(block, "data")
            return Thought(redacted=data, wire="messages") if data else None
        case "tool_use" if _text(block, "name"):
            return ToolCall(_text(block, "id"), _text(block, "name"), arguments_of(block.get("input")))
    return None


def write_reply(reply: Reply, about: About) -> bytes:
    """The client's whole message."""
    content: list[Block] = []
    for part in reply.parts:
        content += _blocks(part, about)
    refused = any(isinstance(part, Refusal) for part in reply.parts)
    said = {
        "id": message_id(reply.id, about.request_id),
        "type": "message",
        "role": "assistant",
        "model": reply.model or about.model,
        "content": content,
        "stop_reason": "refusal" if refused and reply.stop == "end" else REASONS[reply.stop],
        "stop_sequence": reply.stop_sequence,
        "usage": whole(reply.usage),
    }
    return msgspec.json.encode(said)


def _blocks(part: Part, about: About) -> list[Block]:
    match part:
        case Text() | Refusal():
            return [{"type": "text", "text": clean(part.text)}] if part.text else []
        case Image():
            return [{"type": "text", "text": picture(part)}]
        case Thought():
            return _thought(part, hidden=about.asked.shows_thoughts is False)
        case ToolCall():
            proof: list[Block] = []
            if part.signature:
                proof = [{"type": "redacted_thinking", "data": seal(Thought(signature=part.signature, wire="gemini"))}]
            name = sent_name(about.aliases.get(part.name, part.name))
            return [*proof, {"type": "tool_use", "id": call_id(part.id), "name": name, "input": input_of(part)}]
    return []


def _thought(thought: Thought, *, hidden: bool) -> list[Block]:
    words = "" if hidden else clean(thought.text)
    if thought.wire == "messages":
        found: list[Block] = []
        if thought.signature or words:
            found = [{"type": "thinking", "thinking": words, "signature": thought.signature}]
        return [*found, {"type": "redacted_thinking", "data": thought.redacted}] if thought.redacted else found
    proof = seal(thought) if thought.signature or thought.redacted else ""
    if words:
        return [{"type": "thinking", "thinking": words, "signature": proof}]
    return [{"type": "redacted_thinking", "data": proof}] if proof else []


def picture(image: Image) -> str:
    """A picture as Markdown: a message cannot hold one."""
    data = f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return f"![image]({image.url or data})"
