"""Anthropic's Messages: /v1/messages."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.kit.sse import payload
from penstock.upstream.dialects import anthropic
from penstock.upstream.usage import Usage
from penstock.upstream.wires import endings
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.anthropic_usage import Figures, merged, normalised
from penstock.upstream.wires.jsonwire import JsonWire
from penstock.upstream.wires.streams import ERROR_MARK, Counting, named
from penstock.upstream.wires.wire import Ask, Cut, Dialect, StreamMeter, Verdict, Wire


class Message(msgspec.Struct, gc=False):
    """What we read of a message, or of an error in its place."""

    type: str = ""
    usage: Figures | None = None
    error: Any = None


class MessageEvent(Message, gc=False):
    """What we read of an event."""

    message: Message | None = None
    delta: Any = None


_MESSAGE = Reader(Message)
_EVENT = Reader(MessageEvent)


class MessagesMeter(Counting):
    """Reads a stream of message events: the input from `message_start`, all from `message_delta`."""

    marks: tuple[bytes, ...] = (b"message_", ERROR_MARK)
    overhead_bytes: ClassVar[int] = 125

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._figures: Figures | None = None

    def event(self, event: bytes) -> Verdict:
        """Learn from one event."""
        data = payload(event)
        found = _EVENT.read(data)
        kind = named(event, data) if found is None or not found.type else found.type
        if found is not None:
            self._learn(found, kind, event)
        if kind == "error":
            self._failed = True
        return Verdict.LAST if kind in ("message_stop", "error") else Verdict.PASS

    def _learn(self, found: MessageEvent, kind: str, event: bytes) -> None:
        figures = found.message.usage if found.message is not None else found.usage
        if figures is not None and figures.stated:
            self._figures = merged(self._figures, figures)
            self._usage = normalised(self._figures)
            self._final = self._final or kind == "message_delta"
        if kind == "content_block_delta" and isinstance(found.delta, dict):
            texts = (found.delta.get(name) for name in ("text", "partial_json", "thinking"))
            self._estimate.read("".join(text for text in texts if isinstance(text, str)), event)


class MessagesWire(JsonWire):
    """POST /v1/messages."""

    name: ClassVar[str] = "messages"
    dialect: Dialect = anthropic.DIALECT
    paths: ClassVar[tuple[str, ...]] = ("/v1/messages",)

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one stream."""
        return MessagesMeter(ask)

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The last events, as if a bound on the output had been reached."""
        return endings.of_messages(error, cut)

    def read(self, body: bytes, ask: Ask) -> tuple[Usage, bool]:
        """The usage of a whole message."""
        message = _MESSAGE.read(body)
        if message is not None and message.usage is not None and message.usage.stated:
            return normalised(message.usage), False
        if message is not None and (message.type == "error" or message.error):
            return Usage(calls=0), False
        return self.guess(ask, len(body)), True


WIRE: Wire = MessagesWire()
