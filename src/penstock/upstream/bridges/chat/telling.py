"""Telling: a reply as the stream of chunks that OpenAI's clients read. The grammar is that of the published API reference."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.chat import details, failures, figures
from penstock.upstream.bridges.chat.replies_out import Shape, call_id_of, finish_of, reply_id_of, url_of
from penstock.upstream.bridges.conversation import Failure, Image, Stop, Thought
from penstock.upstream.bridges.custom_tools import Unwrapping
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean
from penstock.upstream.usage import Usage

_DONE = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class _Call:
    """A tool call that was begun. `field` holds its text; `unwrapping` if what comes is the arguments of a function around it."""

    __slots__ = ("field", "index", "told", "unwrapping")

    def __init__(self, index: int, field: tuple[str, str], unwrapping: Unwrapping | None) -> None:
        self.index, self.field, self.unwrapping = index, field, unwrapping
        self.told = False


class ChatTeller:
    """Writes chunks. Every one of a stream has the same id, time and model."""

    __slots__ = ("_about", "_calls", "_head", "_images", "_out", "_refused", "_shape", "_tail", "_thinking", "_thoughts", "ended")

    def __init__(self, about: About) -> None:
        self._about = about
        self._shape = Shape.of(about)
        self.ended = False
        self._out: list[bytes] = []
        self._head = self._tail = b""
        self._calls: dict[int, _Call] = {}
        self._thinking: list[str] = []
        self._thoughts = self._images = 0
        self._refused = False

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        """The first chunk, with the role."""
        if self._head or self.ended:
            return
        about = {
            "id": reply_id_of(reply_id, self._about),
            "object": "chat.completion.chunk",
            "created": self._about.created,
            "model": clean(model or self._about.model),
            "system_fingerprint": None,
        }
        self._head = b"data: " + _encode(about)[:-1] + b',"choices":['
        self._tail = b',"usage":null}\n\n' if self._about.asked.shows_usage else b"}\n\n"
        self._delta(b'{"role":"assistant","content":"","refusal":null}')

    def _delta(self, delta: bytes, reason: bytes = b"null") -> None:
        self._out.append(b'%b{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]%b' % (self._head, delta, reason, self._tail))

    def _may(self) -> bool:
        """Begin, unless all is over."""
        if self.ended:
            return False
        if not self._head:
            self.begin()
        return True

    def text(self, delta: str) -> None:
        """More content."""
        if delta and self._may():
            self._thinking.clear()
            self._delta(b'{"content":%b}' % _encode(delta))

    def thought(self, delta: str) -> None:
        """More of `reasoning_content`."""
        if delta and self._shape.thoughts and self._may():
            self._thinking.append(delta)
            self._delta(b'{"reasoning_content":%b}' % _encode(delta))

    def signed(self, signature: str, wire: str) -> None:
        """A detail for the client to give back, with the whole text of the thought."""
        self._detail(Thought("".join(self._thinking), signature, wire=wire))
        self._thinking.clear()

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        """A detail that has no text."""
        self._detail(Thought("", "", data, item_id, wire))

    def _detail(self, thought: Thought) -> None:
        detail = details.sealed(thought, self._thoughts) if self._shape.thoughts else None
        if detail is not None and self._may():
            self._thoughts += 1
            self._delta(_encode({"reasoning_details": [detail]}))

    def refusal(self, delta: str) -> None:
        """More of the refusal."""
        if delta and self._may():
            self._refused = True
            self._thinking.clear()
            self._delta(b'{"refusal":%b}' % _encode(delta))

    def image(self, image: Image) -> None:
        """A picture, as OpenRouter gives it."""
        if self._may():
            self._thinking.clear()
            shown = {"index": self._images, "type": "image_url", "image_url": {"url": url_of(image)}}
            self._images += 1
            self._delta(_encode({"images": [shown]}))

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        """The first piece of a call, without arguments."""
        if index in self._calls or not self._may():
            return
        self._thinking.clear()
        own, field = self._shape.named(name, custom=custom)
        wraps = not custom and own in self._shape.customs
        call = self._calls[index] = _Call(len(self._calls), field, Unwrapping() if wraps else None)
        if self._shape.functions:
            if call.index == 0:
                self._delta(_encode({"function_call": {"name": own, "arguments": ""}}))
            return
        found = call_id_of(call_id, self._about, call.index)
        begun: dict[str, Any] = {"index": call.index, "id": found, "type": field[0], field[0]: {"name": own, field[1]: ""}}
        if signature:
            begun["extra_content"] = {"google": {"thought_signature": signature}}
        self._delta(_encode({"tool_calls": [begun]}))

    def arguments(self, index: int, delta: str) -> None:
        """More of a call's arguments."""
        call = self._calls.get(index)
        if call is None or self.ended:
            return
        self._arguments(call, delta if call.unwrapping is None else call.unwrapping.more(delta))

    def _arguments(self, call: _Call, text: str) -> None:
        if not text:
            return
        call.told = True
        if self._shape.functions:
            if call.index == 0:
                self._delta(b'{"function_call":{"arguments":%b}}' % _encode(text))
            return
        kind, name = call.field
        self._delta(b'{"tool_calls":[{"index":%d,"%b":{"%b":%b}}]}' % (call.index, kind.encode(), name.encode(), _encode(text)))

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        """What is left of the calls, the reason, the usage if it was asked for, and `[DONE]`."""
        if not self._may():
            return
        for call in self._calls.values():
            if call.unwrapping is not None:
                self._arguments(call, call.unwrapping.rest())
            elif not call.told and call.field[1] == "arguments":
                self._arguments(call, "{}")  # clients parse it
        reason = finish_of(stop, calls=bool(self._calls), refused=self._refused, functions=self._shape.functions)
        self._delta(b"{}", b'"%b"' % reason.encode())
        if self._about.asked.shows_usage:
            self._out.append(b'%b],"usage":%b}\n\n' % (self._head, _encode(figures.written(usage))))
        self._out.append(_DONE)
        self.ended = True

    def fail(self, failure: Failure) -> None:
        """An error in the place of a chunk. No `[DONE]` follows: that would say that all is well."""
        if not self.ended:
            self._out.append(b"data: %b\n\n" % _encode({"error": failures.details_of(failure)}))
            self.ended = True

    def take(self) -> bytes:
        """The events so far."""
        taken = b"".join(self._out)
        self._out.clear()
        return taken
