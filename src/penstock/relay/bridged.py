"""The splice of an answer that comes over a bridge: read in the provider's words, charged by them, and told in the client's."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from penstock.kit.sse import split
from penstock.relay.compression import expand
from penstock.relay.events import END, FIRST_LIMIT, Events
from penstock.relay.headers import answer_lines
from penstock.relay.outcome import COMPLETE
from penstock.relay.splice import Plain
from penstock.relay.tape import Tape
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.wire import Verdict

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.relay.guard import Guard
    from penstock.upstream.bridges.bridge import Crossing
    from penstock.upstream.channel import Channel
    from penstock.upstream.client.connection import Connection
    from penstock.upstream.client.head import Head
    from penstock.upstream.wires.wire import Ask

WHOLE_LIMIT = 64 * 1024 * 1024
"""A plain answer, or one event of a stream, cannot be told before it is whole; a longer one is an error."""
STREAM_LIMIT = 256 * 1024 * 1024
"""No model's answer is longer. Some protocols repeat an answer at its end, so that it has to be kept."""
PIECES_FROM = 64 * 1024
"""The beginning of a longer event is not looked at again with each piece that comes."""
_TYPE = b"content-type: "
_LENGTHLESS = (_TYPE, b"content-encoding: ")


class Told(Events):
    """A stream: every event of the provider's is told as none, one or several of the client's."""

    __slots__ = ("_came", "_left", "_pieces", "_pieces_size", "_said", "_seam", "_stream")

    def __init__(  # noqa: PLR0913, PLR0917  those of `Events`, and the crossing
        self, exchange: Exchange, ask: Ask, head: Head, connection: Connection, record_limit: int, guard: Guard | None, crossing: Crossing
    ) -> None:  # fmt: skip
        self._stream = crossing.stream()
        self._said = False
        """The client has been told something before the end."""
        self._pieces: list[bytes] = []
        """The beginning of a long event. It has to be waited for: it may hold a picture."""
        self._pieces_size = 0
        self._seam = b""
        """The last of its bytes."""
        self._left = STREAM_LIMIT
        self._came = Tape(record_limit) if record_limit else None
        super().__init__(exchange, ask, head, connection, record_limit, guard)
        self._meter = crossing.wire.meter(crossing.ask)
        self._marks = self._meter.marks

    def body(self, data: bytes) -> None:
        """Bytes of the provider's stream, cut anywhere."""
        if not self.ended.done:
            if self._came is not None:
                self._came.add(data)
            self._read_on(data)

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._connection.fail(UpstreamError("invalid", f"its stream is longer than {STREAM_LIMIT} bytes"))
            return
        if self._pieces:
            seen = self._seam + data
            if not ((b"\n" in seen or b"\r" in seen) and END.search(seen)):
                self._put_by(data)
                return
            data = self._put_together() + data
        super()._take(data)
        self._plain = False  # nothing leaves as it came
        if len(self._partial) > PIECES_FROM:
            partial, self._partial = self._partial, b""
            self._put_by(partial)

    def _put_by(self, data: bytes) -> None:
        self._pieces.append(data)
        self._pieces_size += len(data)
        self._seam = (self._seam + data)[-3:]
        if self._pieces_size > WHOLE_LIMIT:
            self._put_together()
            self._connection.fail(UpstreamError("invalid", f"an event of its stream is longer than {WHOLE_LIMIT} bytes"))

    def _put_together(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        self._pieces_size, self._seam = 0, b""
        return whole

    def _forward(self, region: bytes) -> bool:
        """Tell whole events, up to the one that ends the client's stream, or the one that the funds end with."""
        events = split(region)
        for index, event in enumerate(events):
            verdict = Verdict.PASS
            if self._learning or any(mark in event for mark in self._marks):
                verdict = self._learn(event)
            else:
                self._skip(event)
            told = self._stream.event(event)
            if verdict is Verdict.LAST or self._stream.ended:
                self._held = deque()
                self._said = self._said or bool(told and not self._stream.ended)
                self._hold_told(told)
                return False
            self._tell(told)
            if self._skipped_size > self._room and not self._check(told or self._last):
                for rest in events[index + 1 :]:
                    self._keep(rest)
                return False
        return True

    def _tell(self, told: bytes) -> None:
        if not told:
            return
        self._said = True
        if self._guard is not None:
            self._first = self._first or split(told)[0][:FIRST_LIMIT]
            self._last = told
        if self.tape is not None:
            self.tape.add(told)
        self._send(told)

    def _learn(self, event: bytes) -> Verdict:
        first = self._first
        verdict = super()._learn(event)
        self._first = first  # the client's, not the provider's
        return verdict

    def _hold_told(self, told: bytes) -> None:
        if told:
            if self.tape is not None:
                self.tape.add(told)
            super()._hold(told)

    def _hold(self, data: bytes) -> None:
        """What the provider sends after its last event is for nobody."""

    def _begin_long(self) -> None:
        """It is not passed on in pieces."""

    def end(self) -> None:
        """The stream is whole."""
        self._let_pass()
        self._partial = self._put_together() + self._partial
        if self._partial and self._held is None:
            self._forward(self._partial)
        self._partial = b""
        self._conclude()
        self.ended.set(COMPLETE)

    def broken(self, error: UpstreamError) -> None:
        """The stream breaks off, perhaps after its last event."""
        self._let_pass()
        if self._held is not None:
            self._conclude()
        super().broken(error)

    def _conclude(self) -> None:
        """What has not been said of the end is told now, and held back."""
        if not self._stream.ended:
            self._held = self._held if self._held is not None else deque()
            self._hold_told(self._stream.over())

    def came(self) -> Tape | None:
        """The provider's stream."""
        return self._came

    def usage(self) -> tuple[Usage, bool]:
        """What the provider states. A stream that has nothing in it that can be told is an error to the client, who owes nothing for it."""
        usage, estimated = super().usage()
        if estimated and not self._said and self.ended.done and self._error is None:
            return Usage(calls=0), False
        return usage, estimated


class Translated(Plain):
    """A plain answer, or an error, in the client's words; a stream of its own where one was asked for and did not come."""

    __slots__ = ("_answer", "_crossing", "_passes")

    def __init__(
        self, exchange: Exchange, crossing: Crossing, head: Head, connection: Connection, record_limit: int, channel: Channel | None = None
    ) -> None:  # fmt: skip
        super().__init__(exchange, crossing.ask, head, connection, record_limit, channel)
        self._crossing = crossing
        self._wire = crossing.wire
        self._answer: tuple[int, bytes, bytes] | None = None
        """What the client gets: status, content-type, body."""
        self._passes = crossing.passes and head.status < 300
        if not self._passes:
            self._gather_limit = WHOLE_LIMIT

    def _stream(self) -> None:
        if self._passes:
            super()._stream()
        elif not self.ended.done:
            self._gathered.clear()
            self._connection.fail(UpstreamError("invalid", f"its answer is longer than {WHOLE_LIMIT} bytes"))

    def _told(self) -> tuple[int, bytes, bytes]:
        """The answer, told anew; once."""
        if self._answer is None:
            crossing, head = self._crossing, self._head
            body = b"".join(self._gathered)
            if head.content_encoding:
                body = expand(body, head.content_encoding, WHOLE_LIMIT) or body
            stream = crossing.replay(body) if crossing.ask.stream and head.status < 300 else None
            if stream is None:
                self._answer = crossing.whole(head.status, head.content_type, body)
            else:
                self._answer = head.status, b"text/event-stream; charset=utf-8", stream
        return self._answer

    def came(self) -> Tape | None:
        """The provider's answer, where it was told anew."""
        if self.tape is None or self._passes:
            return None
        came = Tape(self.tape.limit)
        came.add(b"".join(self._gathered))
        return came

    @property
    def refused(self) -> bool:
        """What cannot be told is an error to the client, who then owes nothing."""
        return not self._passes and self._head.status < 300 and self.ended.done and self._error is None and self._told()[0] >= 400

    def usage(self) -> tuple[Usage, bool]:
        """What the provider states."""
        return (Usage(calls=0), False) if self.refused else super().usage()

    def _whole(self, lines: list[bytes]) -> None:
        if self._passes:
            super()._whole(lines)
            return
        status, kind, body = self._told()
        if self.tape is not None:
            self.tape.add(body)
        kept = [line for line in answer_lines(self._head.headers, length=False) if not line.startswith(_LENGTHLESS)]
        head_lines = [b"%b%b\r\n" % (_TYPE, kind), *kept, *lines]
        exchange = self._exchange
        exchange.write(exchange.head(status, head_lines, b"content-length: %d\r\n" % len(body)) + body)
