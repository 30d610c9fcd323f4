"""Telling: a stream of Messages events, written for a client.

One block is open at a time. Whatever is told of another one waits in line: a text or a thought ends when something else begins,
a tool call when its arguments are a whole object and something waits, or at the end.
"""

from __future__ import annotations

import msgspec

from penstock.upstream.bridges.conversation import Failure, Image, Stop, Thought
from penstock.upstream.bridges.messages import words
from penstock.upstream.bridges.messages.failures import failure_event
from penstock.upstream.bridges.messages.figures import counts, whole
from penstock.upstream.bridges.messages.replies import picture
from penstock.upstream.bridges.sealed import seal
from penstock.upstream.bridges.side import About
from penstock.upstream.dialects.text import clean, event
from penstock.upstream.usage import Usage

_ENCODE = msgspec.json.Encoder().encode
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_UNKNOWN = Usage(input_tokens=1)
"""What a message begins with whose input is not known yet: not nothing, and not more than it will be."""
_BEGUN = {"output_tokens": 1}
"""Where no output is known of yet: a message that has begun has some."""

_OPENING, _CLOSING = (msgspec.json.encode(text) for text in ('{"input":"', '"}'))
"""What stands around the text of a custom tool."""

_DELTAS = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}


def _encoded(text: str) -> bytes:
    try:
        return _ENCODE(text)
    except ValueError:  # half of a surrogate pair, UnicodeEncodeError
        return _ENCODE(clean(text))


class _Block:
    """A block, open or in line. `pieces` are what is not written yet."""

    __slots__ = ("arguments", "custom", "head", "is_object", "kind", "pieces", "prefix", "signature", "started")

    def __init__(self, kind: str, head: bytes) -> None:
        self.kind, self.head = kind, head
        self.pieces: list[str] = []
        self.arguments: list[str] = []
        self.custom = False
        self.is_object = False
        """The arguments have begun like an object."""
        self.signature = ""
        self.started = False
        self.prefix = b""
        """The beginning of its deltas, once it is begun."""

    @property
    def settled(self) -> bool:
        """No more of it can come, when something else has come."""
        if self.kind != "tool_use":
            return True
        text = "".join(self.arguments)
        if self.custom or not text.rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        return True


class MessagesTeller:
    """Writes one stream."""

    __slots__ = ("_about", "_began", "_calls", "_hides", "_index", "_line", "_out", "_refused", "ended")

    def __init__(self, about: About) -> None:
        self.ended = False
        self._about = about
        self._began = False
        self._hides = about.asked.shows_thoughts is False
        self._index = 0
        self._line: list[_Block] = []
        """The open block, and those that wait."""
        self._calls: dict[int, _Block] = {}
        self._refused = False
        self._out: list[bytes] = []

    def begin(self, reply_id: str = "", model: str = "", usage: Usage | None = None) -> None:
        """The message begins."""
        if self._began or self.ended:
            return
        self._began = True
        message: dict[str, object] = {
            "id": words.message_id(reply_id, self._about.request_id),
            "type": "message",
            "role": "assistant",
            "model": clean(model or self._about.model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": whole(usage) if usage is not None and usage.output_tokens else whole(usage or _UNKNOWN) | _BEGUN,
        }
        self._out.append(event("message_start", {"type": "message_start", "message": message}))

    def text(self, delta: str) -> None:
        """More text."""
        if delta and not self.ended:
            self._say("text", b'{"type":"text","text":""}', delta)

    def thought(self, delta: str) -> None:
        """More reasoning."""
        if delta and not self._hides and not self.ended:
            self._say("thinking", b'{"type":"thinking","thinking":"","signature":""}', delta)

    def signed(self, signature: str, wire: str) -> None:
        """The proof of the reasoning that was told last."""
        if not signature or self.ended:
            return
        own = wire == "messages"
        proof = signature if own else seal(Thought(signature=signature, wire=wire))
        if self._sign(proof):
            return
        if own:
            self._say("thinking", b'{"type":"thinking","thinking":"","signature":""}', "").signature = proof
        else:
            self._redact(proof)

    def redacted(self, data: str, wire: str, item_id: str = "") -> None:
        """Reasoning that cannot be read."""
        if not data or self.ended:
            return
        if wire == "messages":
            self._redact(data)
            return
        proof = seal(Thought(redacted=data, id=item_id, wire=wire))
        if not self._sign(proof):
            self._redact(proof)

    def refusal(self, delta: str) -> None:
        """More of a refusal."""
        self._refused = True
        self.text(delta)

    def image(self, image: Image) -> None:
        """A picture, as Markdown."""
        self.text(picture(image))

    def tool(self, index: int, call_id: str, name: str, *, custom: bool = False, signature: str = "") -> None:
        """A tool call begins."""
        if self.ended or index in self._calls:
            return
        if signature:
            self._redact(seal(Thought(signature=signature, wire="gemini")))
        name = words.sent_name(self._about.aliases.get(name, name))
        head = {"type": "tool_use", "id": words.call_id(call_id), "name": name, "input": {}}
        block = _Block("tool_use", _ENCODE(head))
        block.custom = custom
        self._calls[index] = block
        self._line.append(block)
        self._move()

    def arguments(self, index: int, delta: str) -> None:
        """More of a call's arguments."""
        block = self._calls.get(index)
        if block is None or not delta or self.ended or block not in self._line:
            return
        block.arguments.append(delta)
        block.pieces.append(delta)
        self._move()

    def end(self, stop: Stop, usage: Usage, stop_sequence: str | None = None) -> None:
        """The message is whole."""
        if self.ended:
            return
        self.begin(usage=usage)
        while self._line:
            self._close(self._line.pop(0))
        reason = "refusal" if self._refused and stop == "end" else words.REASONS[stop]
        delta = {"stop_reason": reason, "stop_sequence": clean(stop_sequence) if stop_sequence is not None else None}
        self._out.append(event("message_delta", {"type": "message_delta", "delta": delta, "usage": counts(usage)}))
        self._out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        self.ended = True

    def fail(self, failure: Failure) -> None:
        """The provider has failed."""
        if not self.ended:
            self._out.append(failure_event(failure, self._about.request_id))
            self.ended = True

    def take(self) -> bytes:
        """What is to be written now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _say(self, kind: str, head: bytes, delta: str) -> _Block:
        last = self._line[-1] if self._line else None
        if last is None or last.kind != kind or last.signature:
            last = _Block(kind, head)
            self._line.append(last)
        if last is self._line[0] and last.started:
            self._out.append(b"%b%b}}\n\n" % (last.prefix, _encoded(delta)))
            return last
        last.pieces.append(delta)
        self._move()
        return last

    def _sign(self, proof: str) -> bool:
        last = self._line[-1] if self._line else None
        if last is None or last.kind != "thinking" or last.signature:
            return False
        last.signature = proof
        return True

    def _redact(self, data: str) -> None:
        self._line.append(_Block("redacted_thinking", _ENCODE({"type": "redacted_thinking", "data": clean(data)})))
        self._move()

    def _move(self) -> None:
        """Close what has ended, and write what is first in line now."""
        while len(self._line) > 1 and self._line[0].settled:
            self._close(self._line.pop(0))
        self._write(self._line[0])

    def _write(self, block: _Block) -> None:
        if not block.started:
            block.started = True
            self.begin()
            self._out.append(_START % (self._index, block.head))
            kind, field = _DELTAS.get(block.kind, (b"", b""))
            block.prefix = _DELTA % (self._index, kind, field)
            if block.custom:
                self._out.append(b"%b%b}}\n\n" % (block.prefix, _OPENING))
        if not block.pieces:
            return
        if block.kind == "tool_use":
            self._write_arguments(block)
            return
        text = "".join(block.pieces)
        block.pieces.clear()
        if text:
            self._out.append(b"%b%b}}\n\n" % (block.prefix, _encoded(text)))

    def _write_arguments(self, block: _Block) -> None:
        text = "".join(block.pieces)
        if block.custom:
            text = _encoded(text)[1:-1].decode()
        elif not block.is_object:
            block.is_object = text.lstrip().startswith("{")
            if not block.is_object:
                return  # no object yet, and perhaps never one: then the input is empty
        block.pieces.clear()
        self._out.append(b"%b%b}}\n\n" % (block.prefix, _encoded(text)))

    def _close(self, block: _Block) -> None:
        self._write(block)
        if block.custom:
            self._out.append(b"%b%b}}\n\n" % (block.prefix, _CLOSING))
        if block.signature:
            signed = _DELTA % (self._index, b"signature_delta", b"signature")
            self._out.append(b"%b%b}}\n\n" % (signed, _encoded(block.signature)))
        self._out.append(_STOP % self._index)
        self._index += 1
