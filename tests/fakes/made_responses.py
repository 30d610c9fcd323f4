"""Replies made up for bridges to the responses wire, a teller that keeps what it is told, and a reader of response events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from penstock.kit.sse import payload, split
from penstock.upstream.bridges.conversation import Asked, Refusal, Reply, Text, Thought, Tool, ToolCall, Turn
from penstock.upstream.bridges.custom_tools import unwrap
from penstock.upstream.bridges.sealed import seal
from penstock.upstream.bridges.side import About
from penstock.upstream.usage import Usage


class Said:
    """A teller that keeps what it is told, as a reply."""

    def __init__(self) -> None:
        self.ended = False
        self.parts: list[Any] = []
        self.calls: dict[int, ToolCall] = {}
        self.failure: Any = None
        self.id = self.model = self.stop = ""
        self.usage = Usage()

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        self.id, self.model = self.id or reply_id, self.model or model

    def _more(self, kind: type, delta: str) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, kind) and not (isinstance(last, Thought) and (last.signature or last.redacted)):
            last.text += delta
        else:
            self.parts.append(kind(delta))

    def text(self, delta: str) -> None:
        self._more(Text, delta)

    def thought(self, delta: str) -> None:
        if delta:
            self._more(Thought, delta)

    def refusal(self, delta: str) -> None:
        self._more(Refusal, delta)

    def signed(self, signature: str, wire: str) -> None:
        self.parts.append(Thought(signature=signature, wire=wire))

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        last = self.parts[-1] if self.parts else None
        if not isinstance(last, Thought) or last.redacted or wire != "responses":
            last = Thought()
            self.parts.append(last)
        last.redacted, last.wire, last.id = data, wire, item_id

    def image(self, image: Any) -> None:
        self.parts.append(image)

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        self.calls[index] = ToolCall(call_id, name, "", custom, signature)
        self.parts.append(self.calls[index])

    def arguments(self, index: int, delta: str) -> None:
        self.calls[index].arguments += delta

    def end(self, stop: str, usage: Usage, stop_sequence: str | None = None) -> None:
        assert not self.ended
        self.ended, self.stop, self.usage = True, stop, usage

    def fail(self, failure: Any) -> None:
        assert not self.ended
        self.ended, self.failure = True, failure

    def take(self) -> bytes:
        return b""

    def reply(self) -> Reply:
        return Reply(self.id, self.model, self.parts, self.stop, self.usage)


def about_of(asked: Asked | None = None) -> About:
    return About(asked or Asked("m", [Turn("user", [Text("Hi")])]), "public-model", "req_0123", 1_700_000_000)


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each checked: its name is its type, the numbers count from 0, the JSON is on one line."""
    found = []
    for number, event in enumerate(split(stream)):
        head, data, *rest = event.split(b"\n")
        assert rest == [b"", b""]
        decoded = json.loads(payload(event.rstrip(b"\n")))
        assert head == b"event: " + decoded["type"].encode() and data.startswith(b"data: {")
        assert decoded["sequence_number"] == number
        found.append(decoded)
    return found


_word = st.text(min_size=1, max_size=12)
_id = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
_object = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=3).map(json.dumps)
_calls = st.builds(ToolCall, _id, st.sampled_from(["look", "edit"]), _object)
_customs = st.builds(ToolCall, _id, st.just("patch"), st.text(max_size=20), st.just(True))
_thoughts = (
    st.builds(Thought, _word)
    | st.builds(Thought, _word, _id, wire=st.sampled_from(["messages", "gemini"]))
    | st.builds(Thought, redacted=_id, wire=st.just("messages"))
    | st.builds(Thought, _word, redacted=_id, wire=st.just("responses"))
)
_usages = st.builds(
    lambda read, cached, five, hour, wrote, thought: Usage(read, cached, five, hour, wrote, min(thought, wrote)),
    *[st.integers(0, 10**6)] * 6,
)
PARTS = st.lists(st.builds(Text, _word) | st.builds(Refusal, _word) | _thoughts | _calls | _customs, min_size=1, max_size=6)
REPLIES = st.builds(Reply, st.just(""), st.just("served"), PARTS, st.sampled_from(["end", "length", "tools", "refusal"]), _usages)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
TOOLS = [Tool("look"), Tool("patch", kind="custom"), Tool("edit", kind="custom")]


def plain(parts: list[Any], tools: list[Tool]) -> list[Any]:
    """Parts as they come back over this wire: neighbours of one kind are one, the proofs of others are sealed, ids are new."""
    found: list[Any] = []
    customs = {tool.name for tool in tools if tool.kind == "custom"}
    for part in parts:
        last = found[-1] if found else None
        match part:
            case Text() | Refusal():
                if type(last) is type(part):
                    last.text += part.text
                else:
                    found.append(type(part)(part.text))
            case Thought():
                sealed = part.redacted if part.wire == "responses" else ""
                if part.wire not in ("responses", "") and (part.signature or part.redacted):
                    sealed = seal(Thought(signature=part.signature, redacted=part.redacted, wire=part.wire))
                if isinstance(last, Thought) and not last.redacted:
                    last.text += part.text
                    last.redacted = sealed
                else:
                    found.append(Thought(part.text, redacted=sealed))
            case ToolCall():
                seen = {one.id for one in found if isinstance(one, ToolCall)}
                custom = part.custom or part.name in customs
                text = unwrap(part.arguments) if custom and not part.custom else part.arguments
                found.append(ToolCall("" if part.id in seen or part.id.startswith("call_0123") else part.id, part.name, text, custom))
    return found
