"""Telling: a stream as clients of Gemini's get it: chunks without names, calls whole, and no end but the last chunk's reason."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Failure, Image, Stop, Thought, ToolCall
from penstock.upstream.bridges.gemini import finishes
from penstock.upstream.bridges.gemini.failures import error_of
from penstock.upstream.bridges.gemini.replies import call_part, image_part, thought_part
from penstock.upstream.bridges.gemini.signatures import shown
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean
from penstock.upstream.usage import Usage
from penstock.upstream.wires import gemini_usage

_CHUNK = b'data: {"candidates":[{"content":{"parts":[{"text":%b}],"role":"model"},"index":0}],%b}\n\n'
_THOUGHT = b'data: {"candidates":[{"content":{"parts":[{"text":%b,"thought":true}],"role":"model"},"index":0}],%b}\n\n'
_PARTS = b'data: {"candidates":[{"content":{"parts":%b,"role":"model"},"index":0}],%b}\n\n'
_LAST = b'data: {"candidates":[{"content":{"parts":%b,"role":"model"},"finishReason":"%b","index":0}],"usageMetadata":%b,%b}\n\n'

_encode = msgspec.json.encode


class Pending:
    """A call whose arguments are still coming."""

    __slots__ = ("call", "pieces")

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        self.pieces: list[str] = []

    def whole(self) -> ToolCall:
        """The call with all its arguments so far."""
        self.call.arguments = "".join(self.pieces)
        return self.call

    def is_whole(self) -> bool:
        """Whether its arguments can be all."""
        text = "".join(self.pieces).strip()
        if self.call.custom or not text.endswith("}"):
            return self.call.custom
        try:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            return False
        return True


class GeminiTeller:
    """Writes chunks. Thoughts are shown to those who have asked for them, as Google does; the proof of one that is not shown goes with
    the call that it has led to.
    """

    __slots__ = ("_about", "_about_reply", "_out", "_pending", "_proof", "_thoughts", "ended")

    def __init__(self, about: About) -> None:
        self.ended = False
        self._about = about
        self._about_reply = b""
        self._out: list[bytes] = []
        self._pending: dict[int, Pending] = {}
        self._proof = ""
        self._thoughts = bool(about.asked.shows_thoughts)

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        """The reply begins; nothing is written of that."""
        if not self._about_reply:
            about = {"modelVersion": clean(model or self._about.model), "responseId": clean(reply_id or self._about.request_id)}
            self._about_reply = _encode(about)[1:-1]

    def text(self, delta: str) -> None:
        """More text."""
        if delta and self._goes_on():
            self._out.append(_CHUNK % (_text(delta), self._about_reply))

    def thought(self, delta: str) -> None:
        """More reasoning."""
        if delta and self._thoughts and self._goes_on():
            self._out.append(_THOUGHT % (_text(delta), self._about_reply))

    def signed(self, signature: str, wire: str) -> None:
        """The proof of the last reasoning, in a part of its own, as Google sends it in streams."""
        if signature:
            self._carry(Thought("", signature, wire=wire))

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        """Reasoning that only a provider can read."""
        if data:
            self._carry(Thought("", "", data, item_id, wire))

    def refusal(self, delta: str) -> None:
        """Why the model will not answer, which is text here."""
        self.text(delta)

    def image(self, image: Image) -> None:
        """A picture."""
        if image.data and self._goes_on():
            self._out.append(_PARTS % (_encode([image_part(image)]), self._about_reply))

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        """A tool call begins."""
        if not self.ended and index not in self._pending:
            self.begin()
            self._pending[index] = Pending(ToolCall(call_id, name, "", custom, signature or self._proof))
            self._proof = ""

    def arguments(self, index: int, delta: str) -> None:
        """More of a call's arguments."""
        pending = self._pending.get(index)
        if pending is not None:
            pending.pieces.append(delta)

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        """The reply is whole."""
        if self.ended:
            return
        self.begin()
        parts = _encode(self._calls() or [{"text": ""}])
        finish = finishes.finish_of(stop).encode("ascii")
        self._out.append(_LAST % (parts, finish, _encode(gemini_usage.written(usage)), self._about_reply))
        self.ended = True

    def fail(self, failure: Failure) -> None:
        """The provider has reported an error."""
        if not self.ended:
            self._out.append(b"data: %b\n\n" % _encode(error_of(failure)))
            self.ended = True

    def take(self) -> bytes:
        """What is to be written now."""
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _goes_on(self) -> bool:
        """Whether more may be written. Calls that look whole are written before what comes after them."""
        if self.ended:
            return False
        if not self._about_reply:
            self.begin()
        if self._pending and all(pending.is_whole() for pending in self._pending.values()):
            self._out.append(_PARTS % (_encode(self._calls()), self._about_reply))
        return True

    def _carry(self, thought: Thought) -> None:
        if not self._thoughts:
            self._proof = shown(thought)
        elif self._goes_on():
            self._out.append(_PARTS % (_encode([thought_part(thought)]), self._about_reply))

    def _calls(self) -> list[dict[str, Any]]:
        calls = [call_part(pending.whole(), self._about) for pending in self._pending.values()]
        self._pending.clear()
        return calls


def _text(delta: str) -> bytes:
    try:
        return _encode(delta)
    except UnicodeEncodeError:
        return _encode(clean(delta))
