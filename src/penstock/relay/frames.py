"""WebSocket frames as they pass by: the text messages of one direction, read without changing a byte (RFC 6455 section 5)."""

from __future__ import annotations

MESSAGE_LIMIT = 1024 * 1024
TEXT, CONTINUATION, CLOSE = 0x1, 0x0, 0x8
POLICY = 1008
"""The status of a close that is about something else than the protocol (RFC 6455 section 7.4.1)."""


def frame(opcode: int, content: bytes) -> bytes:
    """One whole frame as a server sends it; `content` is shorter than 64 KiB."""
    size = len(content)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + content


class Frames:
    """Feeds on the bytes a server sends (unmasked) and gives the text messages in them; longer ones are passed over."""

    __slots__ = ("_final", "_left", "_passed_over", "_pending", "_size", "_text")

    def __init__(self) -> None:
        self._pending = b""
        """The start of a header that is not whole."""
        self._left = 0
        """Bytes missing of the frame that is being read."""
        self._text: list[bytes] | None = None
        """The text message so far; None outside of one, or in one that is too long."""
        self._size = 0
        self._final = True
        self._passed_over = False
        """The frame is not part of a text message."""

    @property
    def between(self) -> bool:
        """All that has come are whole messages: something may be said in between."""
        return not self._pending and not self._left and self._final

    def feed(self, data: bytes) -> list[bytes]:
        """The text messages that become whole with `data`."""
        messages: list[bytes] = []
        if self._pending:
            data, self._pending = self._pending + data, b""
        position, size = 0, len(data)
        while position < size:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                self._keep(piece)
            else:
                header = self._header(data, position)
                if not header:
                    self._pending = data[position:]
                    break
                position += header
            if not self._left and self._final and self._text is not None and not self._passed_over:
                messages.append(b"".join(self._text))
                self._text = None
        return messages

    def _keep(self, piece: bytes) -> None:
        if self._text is not None and not self._passed_over:
            self._text.append(piece)
            self._size += len(piece)
            if self._size > MESSAGE_LIMIT:
                self._text = None

    def _header(self, data: bytes, at: int) -> int:
        """Read the frame header that stands at `at`; its length, or 0 if it is not whole."""
        if len(data) < at + 2:
            return 0
        first, size = data[at], data[at + 1] & 0x7F
        extended = 2 if size == 126 else 8 if size == 127 else 0
        length = 2 + extended + (4 if data[at + 1] & 0x80 else 0)
        if len(data) < at + length:
            return 0
        if extended:
            size = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        self._left = size
        opcode = first & 0x0F
        self._passed_over = opcode not in (TEXT, CONTINUATION)
        if opcode < CLOSE:
            self._final = bool(first & 0x80)
        if opcode == TEXT:
            self._text, self._size = [], 0
        return length
