"""Tape: the beginning of a body that passes by, kept for the record."""

from __future__ import annotations


class Tape:
    """At most `limit_bytes` of a body. `cut`: there was more.

    One piece is kept as it came; several become one buffer, since thousands of open streams with a piece per event would scatter
    small objects over memory that could then not be given back.
    """

    __slots__ = ("_buffer", "_first", "cut", "limit")

    def __init__(self, limit_bytes: int) -> None:
        self.limit = limit_bytes
        self._first = b""
        self._buffer: bytearray | None = None
        self.cut = False

    @property
    def pieces(self) -> list[bytes]:
        """What was kept, none of it empty."""
        if self._buffer is not None:
            return [bytes(self._buffer)]
        return [self._first] if self._first else []

    def add(self, data: bytes) -> None:
        """Keep a piece, as far as there is room."""
        buffer = self._buffer
        if buffer is not None:
            if not self.cut:
                buffer += data
                if len(buffer) > self.limit:
                    self.cut = True
                    del buffer[self.limit :]
        elif self._first:
            self._buffer = bytearray(self._first)
            self.add(data)
        else:
            self.cut = len(data) > self.limit
            self._first = data[: self.limit] if self.cut else data
