"""WebSocket frames as they pass by: the text messages of one direction, read without changing a byte (RFC 6455 section 5)."""

from __future__ import annotations

from collections.abc import Iterator

MESSAGE_LIMIT = 1024 * 1024
TEXT, CONTINUATION = 0x1, 0x0


class Frames:
    """Feeds on the bytes a server sends (unmasked) and gives the text messages in them; longer ones are passed over."""

    __slots__ = ("_final", "_left", "_pending", "_skip", "_text")

    def __init__(self) -> None:
        self._pending = b""
        self._left = 0
        self._text: list[bytes] | None = None
        self._final = False
        self._skip = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The text messages that become whole with `data`."""
        data = self._pending + data
        self._pending = b""
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self._keep(piece)
            else:
                header = self._header(data)
                if header is None:
                    self._pending = data
                    return
                data = data[header:]
            if not self._left and self._final and self._text is not None and not self._skip:
                yield b"".join(self._text)
                self._text = None

    def _keep(self, piece: bytes) -> None:
        if self._text is not None and not self._skip:
            self._text.append(piece)
            if sum(map(len, self._text)) > MESSAGE_LIMIT:
                self._text = None

    def _header(self, data: bytes) -> int | None:
        """Read a frame's header; its length, or None if it is not whole."""
        if len(data) < 2:
            return None
        opcode, size = data[0] & 0x0F, data[1] & 0x7F
        length = 2 + (2 if size == 126 else 8 if size == 127 else 0) + (4 if data[1] & 0x80 else 0)
        if len(data) < length:
            return None
        if size == 126:
            size = int.from_bytes(data[2:4], "big")
        elif size == 127:
            size = int.from_bytes(data[2:10], "big")
        self._left = size
        self._skip = opcode not in (TEXT, CONTINUATION)
        if not self._skip:
            self._final = bool(data[0] & 0x80)
            if opcode == TEXT:
                self._text = []
        return length
