"""OpenAI's Realtime: JSON messages over a WebSocket, many responses in one session."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.usage import Usage
from penstock.upstream.wires import endings
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.openai_figures import Answer
from penstock.upstream.wires.openai_usage import added, normalised
from penstock.upstream.wires.passthrough import PassthroughWire
from penstock.upstream.wires.wire import Ask, Cut, StreamMeter, Verdict, Wire

_BYTES_PER_AUDIO_TOKEN = 3200
"""Base64 of 50 ms of 24 kHz PCM, which is what OpenAI counts as a token of speech."""


class RealtimeEvent(msgspec.Struct, gc=False):
    """What we read of a server event."""

    type: str = ""
    response: Answer | None = None


_EVENT = Reader(RealtimeEvent, b'{"response":{')


class RealtimeMeter:
    """Reads the server's events; `event` gets the JSON text of one. Each `response.done` states its own response's usage.

    What input transcription costs is stated elsewhere and charged by another model's price; it is not counted.
    """

    marks: tuple[bytes, ...] = (b'"response.created"', b'"response.done"')
    learned = True

    def __init__(self) -> None:
        self._usage: Usage | None = None
        self._open = 0
        self._unstated_size = 0

    def event(self, event: bytes) -> Verdict:
        """Learn from one event. All are passed: a session has no last one."""
        found = _EVENT.read(event)
        if found is None:
            return Verdict.PASS
        if found.type == "response.created":
            self._open += 1
            self._unstated_size = 0
        elif found.type == "response.done":
            self._open = max(0, self._open - 1)
            figures = found.response.figures if found.response is not None else None
            if figures is not None:
                self._usage = added(self._usage, normalised(figures))
        return Verdict.PASS

    def skip(self, size_bytes: int, events: int) -> None:
        """Count what was forwarded unread."""
        self._unstated_size += size_bytes

    def usage(self) -> tuple[Usage, bool]:
        """The sum over the responses. One that was cut off is estimated as if it were speech."""
        usage = msgspec.structs.replace(self._usage) if self._usage is not None else Usage()
        if not self._open:
            return usage, False
        usage.output_audio_tokens += self._unstated_size // _BYTES_PER_AUDIO_TOKEN
        return usage, True


class RealtimeWire(PassthroughWire):
    """GET /v1/realtime with an upgrade: no path of `wire_for`, for there is no POST. The model is in the query."""

    name: ClassVar[str] = "realtime"
    accepts_forms: ClassVar[bool] = False

    def meter(self, ask: Ask) -> StreamMeter:
        """A reader for one session."""
        return RealtimeMeter()

    def cut_short(self, error: PenstockError, cut: Cut) -> bytes:
        """The text of an error message."""
        return endings.of_realtime(error)


WIRE: Wire = RealtimeWire()
