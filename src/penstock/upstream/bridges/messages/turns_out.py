"""Turns that go out: a conversation as Anthropic wants to have it told.

User and assistant take turns, the user begins. What a tool has given stands first in the user's turn after the call, once for
every call: one that is missing is said to be, and one that nobody has asked for becomes text. System turns in the middle become
the user's words. Blocks without text are left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Audio, Document, Image, Part, Refusal, Text, Thought, ToolCall, ToolResult, Turn
from penstock.upstream.bridges.custom_tools import FIELD
from penstock.upstream.bridges.dropped import Dropped, refuse
from penstock.upstream.bridges.messages.media_out import document_block, image_block, marked
from penstock.upstream.bridges.messages.words import call_id, sent_name

OPENING = "(The conversation begins.)"
"""What the user is made to say where the assistant has the first word."""
MISSING = "No result was given."
"""What is said of a tool call that the conversation has no result of."""

Block = dict[str, Any]


class Telling:
    """Puts turns into messages, one after the other."""

    def __init__(self, dropped: Dropped) -> None:
        self.messages: list[dict[str, Any]] = []
        self._dropped = dropped
        self._pending: dict[str, list[str]] = {}
        self._used: set[str] = set()

    def add(self, turn: Turn) -> None:
        """One turn."""
        if turn.role == "assistant":
            for part in turn.parts:
                self._assistant(part)
            return
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        for result in results:
            self._result(result)
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                self._user(part)

    def finish(self) -> list[dict[str, Any]]:
        """The messages."""
        self._answer_calls()
        if self.messages and self.messages[0]["role"] == "assistant":
            self.messages.insert(0, {"role": "user", "content": [{"type": "text", "text": OPENING}]})
        if self.messages and self.messages[-1]["role"] == "assistant":
            last = self.messages[-1]["content"][-1]
            if last["type"] == "text":
                last["text"] = last["text"].rstrip()  # a beginning to be continued must not end with a blank
        return self.messages

    def _content(self, role: str) -> list[Block]:
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        content: list[Block] = self.messages[-1]["content"]
        return content

    def _assistant(self, part: Part) -> None:
        block: Block | None = None
        match part:
            case Text() | Refusal():
                block = text_block(part)
            case Thought():
                block = self._thought(part)
            case ToolCall():
                block = self._call(part)
            case Image() | Document() | Audio():
                self._dropped.note({Image: "image", Document: "file", Audio: "audio"}[type(part)])
            case ToolResult():
                self._result(part)
        if block is not None:
            if not isinstance(part, ToolCall) and self._pending and self.messages[-1]["role"] == "user":
                self._answer_calls()
            self._content("assistant").append(block)

    def _thought(self, thought: Thought) -> Block | None:
        if thought.wire != "messages":
            if thought.signature or thought.redacted:
                self._dropped.note("thinking")
            return None
        if thought.redacted:
            return {"type": "redacted_thinking", "data": thought.redacted}
        if thought.signature:
            return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
        return None

    def _call(self, call: ToolCall) -> Block:
        if self.messages and self.messages[-1]["role"] == "user":
            self._answer_calls()
        sent = call_id(call.id)
        if sent in self._used:
            sent = call_id(f"{call.id} {len(self._used)}")
        self._used.add(sent)
        self._pending.setdefault(call.id, []).append(sent)
        return {"type": "tool_use", "id": sent, "name": sent_name(call.name), "input": input_of(call)}

    def _result(self, result: ToolResult) -> None:
        shown = [one for part in result.parts if (one := self._shown(part)) is not None]
        waiting = self._pending.get(result.id)
        if not waiting:
            heading = {"type": "text", "text": f"Result of the tool call {result.name or result.id}:"}
            self._content("user").extend([heading, *shown])
            return
        block: Block = {"type": "tool_result", "tool_use_id": waiting.pop(0)}
        if not waiting:
            del self._pending[result.id]
        if shown:
            block["content"] = shown
        if result.failed:
            block["is_error"] = True
        self._put_result(marked(block, result.cache))

    def _put_result(self, block: Block) -> None:
        content = self._content("user")
        results = sum(1 for one in content if one["type"] == "tool_result")
        content.insert(results, block)

    def _answer_calls(self) -> None:
        for waiting in self._pending.values():
            for sent in waiting:
                self._put_result({"type": "tool_result", "tool_use_id": sent, "content": MISSING, "is_error": True})
        self._pending.clear()

    def _user(self, part: Part) -> None:
        match part:
            case Text() | Image() | Document():
                block = self._shown(part)
                if block is not None:
                    self._content("user").append(block)
            case Refusal():
                self._user(Text(part.text))
            case Audio():
                raise refuse("Audio", "messages")
            case Thought() | ToolCall() | ToolResult():
                pass  # not a user's

    def _shown(self, part: Text | Image | Document) -> Block | None:
        match part:
            case Text():
                return text_block(part)
            case Image():
                return image_block(part, self._dropped)
            case Document():
                return document_block(part)


def text_block(part: Text | Refusal) -> Block | None:
    """A text, with its cache mark; None for a blank one, which Anthropic refuses."""
    if not part.text.strip():
        return None
    return marked({"type": "text", "text": part.text}, part.cache if isinstance(part, Text) else None)


def input_of(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as an object; an empty one for what is none."""
    if call.custom:
        return {FIELD: call.arguments}
    try:
        found = msgspec.json.decode(call.arguments)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
