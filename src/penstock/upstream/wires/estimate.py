"""Estimates: tokens from sizes, for answers whose provider did not say what they consumed.

A token is about 4 bytes of English or code. Elsewhere one character of Chinese, Japanese or Korean is about one token: 3
bytes of UTF-8, or 6 bytes where JSON escapes it. Measured against what providers report this is right to within a third,
which is why a charge made from it is flagged `estimated`.
"""

from __future__ import annotations

from penstock.upstream.usage import Usage
from penstock.upstream.wires.asks import MEDIA_DISCOUNT
from penstock.upstream.wires.wire import Ask

BYTES_PER_TOKEN = 4
WIDE_BYTES_PER_TOKEN = 3
ESCAPED_BYTES_PER_TOKEN = 6
SMALL_PIECE = 24
"""Events with fewer bytes of text than this hold one token each: that is how most providers stream, and then what an event
carries around the text (ids, padding against eavesdroppers) differs by more than the text itself."""
PLAIN_OVERHEAD = 400
"""Bytes around the text of a plain answer."""
BLANK_LINE = 2
MEDIA_STRING = 512
"""A JSON string of so many bytes without a blank is not prose: it is sound, a picture, or something encrypted."""


def input_tokens(ask: Ask) -> int:
    """The input of a request, from the size of its body."""
    return -(-ask.input_size // BYTES_PER_TOKEN)


def event_size(data: bytes) -> int:
    """The bytes of events that the output is estimated from: base64 counts as a 64th."""
    media = sum(
        len(string)
        for string in data.split(b'"')
        if len(string) >= MEDIA_STRING and string.isascii() and b" " not in string and b"\\u" not in string
    )
    return len(data) - media + media // MEDIA_DISCOUNT


def plain(ask: Ask, answer_bytes: int) -> Usage:
    """The usage of a plain answer that does not state any, from its size. An empty answer has no output."""
    output = max(1, (answer_bytes - PLAIN_OVERHEAD) // BYTES_PER_TOKEN) if answer_bytes else 0
    return Usage(input_tokens=input_tokens(ask), output_tokens=output)


class Estimate:
    """The output of a stream so far, in constant memory.

    The events that were read tell how much of an event is not text; of the others only sizes are known. `overhead_bytes`
    is the wire's usual figure, for when no event with text was read.
    """

    __slots__ = ("_bytes_per_token", "_overhead", "_pieces", "_skipped_events", "_skipped_size", "_text_size", "learned")

    def __init__(self, overhead_bytes: int) -> None:
        self._overhead = overhead_bytes
        self.learned = False
        """An event with text was read."""
        self._bytes_per_token = BYTES_PER_TOKEN
        self._pieces = 0
        self._text_size = 0
        self._skipped_size = 0
        self._skipped_events = 0

    def read(self, text: str, event: bytes) -> None:
        """Count an event that was read, and learn from it."""
        if not text:
            return
        size = len(text)
        if not text.isascii():
            self._bytes_per_token = ESCAPED_BYTES_PER_TOKEN if event.isascii() else WIDE_BYTES_PER_TOKEN
            size *= self._bytes_per_token
        overhead = max(0, len(event) + BLANK_LINE - size)
        self._overhead = min(self._overhead, overhead) if self.learned else overhead
        self.learned = True
        self._pieces += 1
        self._text_size += size

    def skip(self, size_bytes: int, events: int) -> None:
        """Count events that were not read."""
        self._skipped_size += size_bytes
        self._skipped_events += events

    @property
    def began(self) -> bool:
        """Whether there is any output."""
        return self._pieces + self._skipped_events > 0

    def output_tokens(self) -> int:
        """At least one token per event that has text; 0 if there was none."""
        pieces = self._pieces + self._skipped_events
        if not pieces:
            return 0
        size = self._text_size + max(0, self._skipped_size - self._skipped_events * self._overhead)
        if size < pieces * SMALL_PIECE:
            return pieces
        return max(pieces, size // self._bytes_per_token)
