"""The splice of an event stream: forwarded as it arrives, read only where a mark says that there is something to learn."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from penstock.kit.sse import end_of_events, split
from penstock.kit.walker import Signal
from penstock.relay.exchange import stopping
from penstock.relay.guard import NEVER, Guard
from penstock.relay.headers import answer_lines
from penstock.relay.outcome import COMPLETE, OUT_OF_FUNDS, STOPPED, UPSTREAM_DIED, UPSTREAM_TIMEOUT
from penstock.relay.splice import refusal
from penstock.relay.tape import Tape
from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.usage import Usage
from penstock.upstream.wires.estimate import event_size
from penstock.upstream.wires.streams import TOKENS_MARK
from penstock.upstream.wires.wire import Cut, Verdict

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.upstream.client.connection import Connection
    from penstock.upstream.client.head import Head
    from penstock.upstream.wires.wire import Ask

LEARNED, LEARNED_AT_MOST = 2, 16
"""So many events are read at the beginning, until the estimate is calibrated by one with text in it."""
PARTIAL_LIMIT = 1024 * 1024
"""An event longer than this is forwarded in pieces before it is whole."""
TAIL_LIMIT = 64 * 1024
HELD_LIMIT = 4 * 1024 * 1024
FIRST_LIMIT = 64 * 1024
"""How much of the first event is kept to write the last one like it, should we have to."""
MEDIA_FROM = 2048
"""Events longer than this may hold sound or pictures."""
EVENT_ENDS = (b"\n\n", b"\n\r\n")
_UNBUFFERED = b"x-accel-buffering: no\r\n"
"""For an nginx in front of us; some providers say it themselves."""
END = re.compile(rb"(?>\r\n|\n|\r){2}")
"""The blank line that ends an event."""
_HALF_END = b"\n\r"
"""Where lines end in CR LF, a CR after a LF has a LF to come."""


class Events:
    """An SSE answer. The head is written at once; what tells the client that it is complete is held back."""

    refused = False
    __slots__ = (
        "_ask", "_connection", "_error", "_exchange", "_first", "_framed", "_guard", "_held", "_held_size", "_last", "_learning", "_long",
        "_long_head", "_marks", "_meter", "_one_size", "_opening", "_partial", "_plain", "_read", "_room", "_skipped_events",
        "_skipped_size", "_slow", "_tail", "_waiting", "commented_tick", "ended", "tape",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, ask: Ask, head: Head, connection: Connection, record_limit: int, guard: Guard | None = None
    ) -> None:
        self._exchange = exchange
        self._ask = ask
        self._connection = connection
        self._meter = exchange.wire.meter(ask)
        self._marks = self._meter.marks
        self._partial = b""
        self._long = False
        """In the middle of an event whose beginning has left already."""
        self._tail = self._long_head = b""
        self._held: deque[bytes] | None = None
        self._held_size = 0
        self._read = 0
        self._learning = True
        """Every event is read, whatever is in it."""
        self._plain = False
        """Whole chunks that end on an event may be forwarded as they are."""
        self._skipped_size = self._skipped_events = 0
        self._one_size = 0
        """What is no longer than this is one event of text: half again as long as the shortest that was counted."""
        self._guard = guard
        self._room = NEVER if guard is None else 0
        """After more skipped bytes than this the guard is asked."""
        self._waiting: list[bytes] | None = None
        """What came after the funds had ended, while more are asked for."""
        self._first = self._last = self._opening = b""
        self._slow = False
        self._error: UpstreamError | None = None
        self.ended = Signal()
        self.commented_tick = connection.stamp
        self.tape = Tape(record_limit) if record_limit else None
        self._framed = not exchange.http10
        framing = b"transfer-encoding: chunked\r\n"
        if exchange.http10:
            exchange.close, framing = True, b""
        lines = answer_lines(head.headers, length=False)
        if _UNBUFFERED not in lines:
            lines.append(_UNBUFFERED)
        exchange.receiver = self
        exchange.write(exchange.head(head.status, lines, framing))

    # from the connection

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        """Whole chunks: the way of almost every byte of almost every stream."""
        # What stands in two chunks is whole only without their framing.
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        size = len(data)
        skipped_size = self._skipped_size + size
        if self._plain and skipped_size <= self._room and data.endswith(EVENT_ENDS):
            for mark in self._marks:
                if mark in data:
                    break
            else:
                if size <= self._one_size:
                    self._skipped_size = skipped_size
                    self._skipped_events += 1
                else:
                    self._skip(data)
                if self.tape is not None:
                    self.tape.add(data)
                self._exchange.edge.transport.write(framed)
                return
        self.body(data)

    def body(self, data: bytes) -> None:
        """Bytes of the stream, cut anywhere."""
        if self.ended.done:
            return
        if self.tape is not None:
            self.tape.add(data)
        self._read_on(data)

    def end(self) -> None:
        """The stream is whole."""
        self._let_pass()
        if self._partial and self._held is None:
            self._forward(self._partial)
        self._partial = b""
        self.ended.set(COMPLETE)

    def broken(self, error: UpstreamError) -> None:
        """The stream breaks off. After its last event that harms nobody."""
        self._let_pass()
        self._error = error
        if self._held is not None:
            self.ended.set(COMPLETE)
        else:
            self.ended.set(UPSTREAM_TIMEOUT if error.kind == "timeout" else UPSTREAM_DIED)

    # reading

    def _read_on(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append(data)
        elif self._held is not None:
            self._hold(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self._long:
            data = self._rest_of_long(data)
        data = self._partial + data
        end = end_of_events(data[:-1] if data.endswith(_HALF_END) else data)
        region, self._partial = data[:end], data[end:]
        goes_on = not region or self._forward(region)
        if not goes_on:
            self._keep(self._partial)
            self._partial = b""
        elif len(self._partial) > PARTIAL_LIMIT:
            self._begin_long()
        self._plain = goes_on and self._framed and not self._partial and not self._long and self._held is None and not self._learning

    def _forward(self, region: bytes) -> bool:
        """Forward whole events, without those to be hidden, up to the last one, or the one that the funds end with.

        Whether what follows may be forwarded too.
        """
        if not self._learning and self._skipped_size + len(region) <= self._room and not any(mark in region for mark in self._marks):
            self._skip(region)
            self._send(region)
            return True
        out: list[bytes] = []
        events = split(region)
        for index, event in enumerate(events):
            if not self._learning and not any(mark in event for mark in self._marks):
                self._skip(event)
                out.append(event)
            else:
                verdict = self._learn(event)
                if verdict is Verdict.LAST:
                    self._send(b"".join(out))
                    self._held = deque()
                    for rest in events[index:]:
                        self._hold(rest)
                    return False
                if verdict is Verdict.PASS:
                    out.append(event)
            if self._skipped_size > self._room:
                self._send(b"".join(out))
                out.clear()
                if not self._check(event):
                    for rest in events[index + 1 :]:
                        self._keep(rest)
                    return False
        self._send(b"".join(out))
        return True

    def _learn(self, event: bytes) -> Verdict:
        if not self._read:
            self._opening = event[:1024]
        self._read += 1
        if self._guard is not None:
            # What the provider states may be more than what has passed shows, such as thoughts that are kept from us.
            self._room = -1 if TOKENS_MARK in event else self._room - len(event)
            self._first = self._first or event[:FIRST_LIMIT]
        verdict = self._meter.event(event.rstrip(b"\r\n"))
        if self._learning and self._read >= LEARNED:
            self._learning = not self._meter.learned and self._read < LEARNED_AT_MOST
        return verdict

    def _skip(self, data: bytes) -> None:
        events = data.count(b"\n\n") or len(split(data))
        size = len(data)
        self._skipped_size += size if size <= MEDIA_FROM * events else event_size(data)
        self._skipped_events += events
        one_size = min(size // events * 3 // 2, MEDIA_FROM)
        self._one_size = min(self._one_size, one_size) if self._one_size else one_size

    def _send(self, data: bytes) -> None:
        if data:
            self._exchange.write(b"%x\r\n%b\r\n" % (len(data), data) if self._framed else data)

    def _hold(self, data: bytes) -> None:
        """Keep back; of more than the limit only the end, without which nothing is complete."""
        held = self._held
        if held is None:
            return
        held.append(data)
        self._held_size += len(data)
        while self._held_size - len(held[0]) > HELD_LIMIT:
            self._held_size -= len(held[0])
            self._send(held.popleft())

    def _begin_long(self) -> None:
        """The event is too long to wait for: its beginning leaves unless it is the last event, and its end is kept to be read."""
        self._long_head = self._partial[:1024]
        if self._meter.event(self._long_head) is Verdict.LAST:
            self._held = deque()
            self._hold(self._partial)
        else:
            self._long = True
            self._tail = self._partial[-TAIL_LIMIT:]
            self._send(self._partial)
        self._partial = b""

    def _rest_of_long(self, data: bytes) -> bytes:
        """Forward more of a long event; what follows it is left."""
        before = self._tail[-3:]
        seen = before + data
        found = END.search(seen, 0, len(seen) - seen.endswith(_HALF_END))
        end = found.end() - len(before) if found else len(data)
        self._send(data[:end])
        self._tail = (self._tail + data[:end])[-TAIL_LIMIT:]
        if found:
            self._long = False
            self._meter.event(self._long_head + self._tail)
        return data[end:]

    # funds

    def _check(self, shown: bytes) -> bool:
        """Ask the guard how far the funds reach. Where they have ended the stream has too, unless more of them are on their way."""
        guard = self._guard
        if guard is None:
            return True
        usage, estimated = self._seen()
        # Once the provider has said what all of it costs, nothing can be saved by ending it.
        self._room = guard.room(usage) if estimated else NEVER
        if self._room:
            return True
        self._plain = False
        self._last = shown
        if guard.wait(self._go_on):
            if self._waiting is None:
                self._waiting = []
                self._connection.pause()
        else:
            self._waiting = None
            self._connection.abort()
            self.ended.set(OUT_OF_FUNDS)
        return False

    def _go_on(self) -> None:
        """The guard has been answered."""
        waiting = self._waiting
        if waiting is None or not self._check(self._last):
            return
        self._waiting = None
        self._take(b"".join(waiting))
        if not self._slow and not self._waits() and not self.ended.done:
            self._connection.resume()

    def _waits(self) -> bool:
        """The guard has been asked, and what has come since is kept."""
        return self._waiting is not None

    def _let_pass(self) -> None:
        """The provider says no more: what it has said is shown, and the connection is no longer ours."""
        waiting, self._waiting = self._waiting, None
        self._guard = None
        self._room = NEVER
        if waiting:
            self._take(b"".join(waiting))

    def _keep(self, data: bytes) -> None:
        """What stands behind the event that stopped it: held back, or waiting for funds; where these have ended it is lost."""
        if self._waiting is not None:
            self._waiting.append(data)
        else:
            self._hold(data)

    # to the client

    def pause(self) -> None:
        """The client is slow. Once the answer is whole, its connection is somebody else's."""
        self._slow = True
        if not self.ended.done:
            self._connection.pause()

    def resume(self) -> None:
        """The client has caught up."""
        self._slow = False
        if not self.ended.done and self._waiting is None:
            self._connection.resume()

    def leave(self) -> None:
        """The client has left, and the rest is only metered."""
        self._plain = self._framed = False
        self.resume()

    def keep_alive(self, tick: int, every_ticks: int) -> None:
        """After a long silence of the provider, send what keeps the client waiting; only ever between two events.

        After the last event nobody waits: a provider that does not end its answer then is left, and the client told the end.
        """
        if self._held is not None and not self.ended.done and not self._connection.loop_paused:
            if tick - self._connection.stamp >= every_ticks:
                self._connection.fail(UpstreamError("timeout", "the provider did not end its answer after the last event"))
            return
        quiet_since = max(self._connection.stamp, self.commented_tick)
        if tick - quiet_since < every_ticks or self._long or self._held is not None or self._connection.loop_paused:
            return
        self.commented_tick = tick
        self._send(self._exchange.dialect.keep_alive)

    def usage(self) -> tuple[Usage, bool]:
        """What the meter has read, or estimates. Nothing more is shown after this: what waits for funds comes too late."""
        self._waiting = None
        if self._long_head and self._held:
            self._meter.event(self._long_head + b"".join(self._held)[-TAIL_LIMIT:])
        return self._seen()

    def came(self) -> Tape | None:
        """It goes on as it came."""
        return None

    def beginning(self, limit_bytes: int) -> bytes:
        """Nothing: a stream is no error."""
        return b""

    def glimpse(self, limit_bytes: int) -> tuple[bytes, bytes]:
        """Of the first event, and of those that were held back."""
        return self._opening[:limit_bytes], b"".join(self._held)[-limit_bytes:] if self._held else b""

    def so_far(self) -> Usage:
        """An estimate while the stream runs."""
        return self._seen()[0]

    def _seen(self) -> tuple[Usage, bool]:
        self._meter.skip(self._skipped_size, self._skipped_events)
        self._room -= self._skipped_size
        self._skipped_size = self._skipped_events = 0
        return self._meter.usage()

    def finish(self, outcome: str, lines: list[bytes]) -> None:
        """Write the last events and the end; a broken stream ends with an error event, never silently."""
        exchange = self._exchange
        if outcome == COMPLETE:
            last = b"".join(self._held or ()) + b"".join(lines)
        elif outcome == OUT_OF_FUNDS and self._guard is not None:
            cut = Cut(self._ask, exchange.body or b"", exchange.id, self._first, self._last, self.so_far())
            last = (b"\n\n" if self._long else b"") + exchange.wire.cut_short(self._guard.refusal, cut) + b"".join(lines)
        else:
            error = stopping() if outcome == STOPPED else refusal(self._error)
            last = (b"\n\n" if self._long else b"") + exchange.dialect.stream_error(error, exchange.id)
        end = b"0\r\n\r\n" if self._framed else b""
        framed = b"%x\r\n%b\r\n" % (len(last), last) if last and self._framed else last
        exchange.write(framed + end)
        exchange.finish()
