"""A teller that writes nothing: it puts together the reply that it is told, so that what a listener has understood can be compared."""

from __future__ import annotations

from penstock.upstream.bridges.conversation import Failure, Image, Part, Refusal, Reply, Stop, Text, Thought, ToolCall
from penstock.upstream.usage import Usage


class Collector:
    """Everything told, as one reply; `failure` if that was told instead."""

    def __init__(self) -> None:
        self.reply = Reply("", "", [], "end", Usage())
        self.failure: Failure | None = None
        self.begun = self.ended = False
        self._calls: dict[int, ToolCall] = {}

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        if not self.begun:
            self.begun = True
            self.reply.id, self.reply.model = reply_id, model

    def _last(self, kind: type[Part]) -> Part | None:
        last = self.reply.parts[-1] if self.reply.parts else None
        return last if isinstance(last, kind) else None

    def _grow(self, kind: type[Text | Refusal], delta: str) -> None:
        assert not self.ended and delta
        if (last := self._last(kind)) is not None:
            last.text += delta
        else:
            self.reply.parts.append(kind(delta))

    def text(self, delta: str) -> None:
        self._grow(Text, delta)

    def refusal(self, delta: str) -> None:
        self._grow(Refusal, delta)

    def thought(self, delta: str) -> None:
        assert not self.ended
        last = self._last(Thought)
        if last is None or last.signature or last.redacted:
            last = Thought()
            self.reply.parts.append(last)
        last.text += delta

    def signed(self, signature: str, wire: str) -> None:
        assert not self.ended
        last = self._last(Thought)
        if last is None or last.signature or last.redacted:
            last = Thought()
            self.reply.parts.append(last)
        last.signature, last.wire = signature, wire

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        assert not self.ended
        self.reply.parts.append(Thought("", "", data, item_id, wire))

    def image(self, image: Image) -> None:
        self.reply.parts.append(image)

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        assert not self.ended and index not in self._calls
        self._calls[index] = ToolCall(call_id, name, "", custom, signature)
        self.reply.parts.append(self._calls[index])

    def arguments(self, index: int, delta: str) -> None:
        assert not self.ended
        self._calls[index].arguments += delta

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        assert not self.ended
        self.ended = True
        self.reply.stop, self.reply.usage, self.reply.stop_sequence = stop, usage, stop_sequence

    def fail(self, failure: Failure) -> None:
        assert not self.ended
        self.ended, self.failure = True, failure

    def take(self) -> bytes:
        return b""
