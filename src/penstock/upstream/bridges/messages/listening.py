"""Listening: the stream of a provider that speaks Messages, told to a teller."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kit.sse import payload
from penstock.upstream.bridges.conversation import Failure, Stop
from penstock.upstream.bridges.messages.failures import reported
from penstock.upstream.bridges.messages.words import STOPS, arguments_of
from penstock.upstream.bridges.side import Teller
from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.anthropic_usage import Figures, merged, normalised
from penstock.upstream.wires.streams import named


class Begun(msgspec.Struct, gc=False):
    """What is read of the message that a stream begins with."""

    id: Any = None
    model: Any = None
    usage: Figures | None = None


class Heard(msgspec.Struct, gc=False):
    """What is read of an event."""

    type: str = ""
    index: Any = None
    delta: Any = None
    content_block: Any = None
    message: Begun | None = None
    usage: Figures | None = None
    error: Any = None


_HEARD = Reader(Heard)


def _text(found: Any, name: str) -> str:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


class MessagesListener:
    """Reads the events of one stream."""

    __slots__ = ("_calls", "_figures", "_over", "_sequence", "_stop", "_teller")

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._figures: Figures | None = None
        self._stop: Stop | None = None
        self._sequence: str | None = None
        self._calls: dict[int, str] = {}
        """The input of each open call that came with its beginning, until more comes, which is then the input."""
        self._over = False

    def event(self, event: bytes) -> None:
        """One whole event."""
        data = payload(event.rstrip(b"\r\n"))
        if not data or self._over:
            return
        heard = _HEARD.read(data)
        if heard is None:
            return
        match heard.type or named(event, data):
            case "content_block_delta":
                self._delta(heard)
            case "content_block_start":
                self._start(heard)
            case "content_block_stop":
                self._close(heard.index)
            case "message_start":
                self._begin(heard.message or Begun())
            case "message_delta":
                self._reason(heard)
            case "message_stop":
                self._end()
            case "error":
                self._over = True
                self._teller.fail(reported(heard.error))

    def over(self) -> None:
        """The stream has ended."""
        if self._over:
            return
        if self._stop is not None:
            self._end()
            return
        self._over = True
        self._teller.fail(Failure(502, "The provider's stream ended before its answer was whole.", "upstream_broken"))

    def _begin(self, message: Begun) -> None:
        if message.usage is not None:
            self._figures = merged(self._figures, message.usage)
        reply_id, model = (value if isinstance(value, str) else "" for value in (message.id, message.model))
        self._teller.begin(reply_id, model, self._usage() if self._figures is not None else None)

    def _usage(self) -> Usage:
        return normalised(self._figures) if self._figures is not None else Usage()

    def _start(self, heard: Heard) -> None:
        block = heard.content_block
        match _text(block, "type"):
            case "text":
                if words := _text(block, "text"):
                    self._teller.text(words)
            case "thinking":
                if words := _text(block, "thinking"):
                    self._teller.thought(words)
                if signature := _text(block, "signature"):
                    self._teller.signed(signature, "messages")
            case "redacted_thinking":
                if data := _text(block, "data"):
                    self._teller.redacted(data, "messages")
            case "tool_use" if type(heard.index) is int and _text(block, "name"):
                self._calls[heard.index] = arguments_of(block.get("input"))
                self._teller.tool(heard.index, _text(block, "id"), _text(block, "name"))

    def _delta(self, heard: Heard) -> None:
        delta = heard.delta
        match _text(delta, "type"):
            case "text_delta":
                if words := _text(delta, "text"):
                    self._teller.text(words)
            case "input_json_delta":
                piece = _text(delta, "partial_json")
                if piece and type(heard.index) is int and heard.index in self._calls:
                    self._calls[heard.index] = ""
                    self._teller.arguments(heard.index, piece)
            case "thinking_delta":
                if words := _text(delta, "thinking"):
                    self._teller.thought(words)
            case "signature_delta":
                if signature := _text(delta, "signature"):
                    self._teller.signed(signature, "messages")

    def _close(self, index: Any) -> None:
        if type(index) is int and (given := self._calls.pop(index, "")):
            self._teller.arguments(index, given)

    def _reason(self, heard: Heard) -> None:
        if heard.usage is not None:
            self._figures = merged(self._figures, heard.usage)
        if reason := _text(heard.delta, "stop_reason"):
            self._stop = STOPS.get(reason, "end")
        self._sequence = _text(heard.delta, "stop_sequence") or self._sequence

    def _end(self) -> None:
        self._over = True
        for index in [*self._calls]:
            self._close(index)
        self._teller.end(self._stop or "end", self._usage(), self._sequence)
