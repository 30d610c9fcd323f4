"""How a response body ends: three strict readers (RFC 9112 section 6), without input or output.

Each is fed the bytes after the head. `feed` returns the bytes that lie beyond the body, or None while the body goes on.
"""

from __future__ import annotations

import re
from typing import Protocol

LINE_LIMIT = 4096
TRAILER_LIMIT = 16 * 1024
_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_sizes: dict[bytes, int] = {}


class FramingError(Exception):
    """The body is not framed as RFC 9112 says."""


class Sink(Protocol):
    """Who receives a body."""

    def body(self, data: bytes) -> None:
        """Some bytes of the body."""

    def chunks(self, framed: bytes, parts: list[bytes]) -> None:
        """One or more whole chunks: as they were framed (plain `size CRLF data CRLF`) and their contents."""


def chunk_size(line: bytes) -> int:
    """The size in a chunk's first line, or -1 if it has extensions, which are then to be cut off. Raises FramingError."""
    size = _sizes.get(line)
    if size is None:
        if b";" in line:
            return -1
        if not _SIZE.fullmatch(line):
            raise FramingError("a chunk size is not a hexadecimal number")
        size = int(line, 16)
        if len(_sizes) < 8192:
            _sizes[line] = size
    return size


class Length:
    """A body of a stated number of bytes."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Deliver what belongs to the body."""
        size = len(data)
        if size < self.left:
            self.left -= size
            sink.body(data)
            return None
        rest = b""
        if size > self.left:
            data, rest = data[: self.left], data[self.left :]
        self.left = 0
        if data:
            sink.body(data)
        return rest

    def close(self) -> None:
        """The connection ended before the body did."""
        raise FramingError("the connection closed before the whole body had come")


class UntilClose:
    """A body that ends with the connection."""

    __slots__ = ()

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Deliver everything."""
        if data:
            sink.body(data)
        return None

    def close(self) -> None:
        """The end of the connection is the end of the body."""


class Chunked:
    """A body in chunks. Whole chunks are handed on framed as they came, so that they need not be framed again."""

    __slots__ = ("_left", "_line", "_trailer_size", "_trailing")

    def __init__(self) -> None:
        self._left = 0
        """Bytes missing of the chunk that is being read, its final CRLF included."""
        self._line = b""
        """The start of a line that has not ended."""
        self._trailing = False
        self._trailer_size = 0

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Deliver whole chunks framed, pieces of chunks bare."""
        if self._line:
            data, self._line = self._line + data, b""
        while data:
            if self._left:
                data = self._go_on(data, sink)
            elif self._trailing:
                return self._trailers(data)
            elif data := self._whole(data, sink):
                data = self._begin(data)
        return None

    def _whole(self, data: bytes, sink: Sink) -> bytes:
        """Deliver the whole chunks that `data` starts with; what is left starts with another kind of chunk."""
        position, size = 0, len(data)
        parts: list[bytes] = []
        while position < size:
            eol = data.find(b"\r\n", position, position + LINE_LIMIT)
            if eol < 0:
                self._keep_line(data[position:])
                break
            length = chunk_size(data[position:eol])
            start = eol + 2
            after = start + length + 2
            if length <= 0 or after > size:
                break
            if data[after - 2 : after] != b"\r\n":
                raise FramingError("a chunk does not end where its size says")
            parts.append(data[start : after - 2])
            position = after
        if parts:
            sink.chunks(data if position == size else data[:position], parts)
        return b"" if self._line else data[position:]

    def _begin(self, data: bytes) -> bytes:
        """Take the first line of a chunk that is the last one, incomplete, or has extensions."""
        eol = data.find(b"\r\n")
        length = chunk_size(data[:eol].partition(b";")[0].rstrip(b" \t"))
        if length == 0:
            self._trailing = True
        else:
            self._left = length + 2
        return data[eol + 2 :]

    def _go_on(self, data: bytes, sink: Sink) -> bytes:
        """Deliver more of the chunk that is being read; what is left belongs to the next one."""
        content = self._left - 2
        if content > 0:
            piece = data[:content]
            data = data[len(piece) :]
            self._left -= len(piece)
            if piece:
                sink.body(piece)
        if data and self._left <= 2:
            end = data[: self._left]
            if end != b"\r\n"[2 - self._left :][: len(end)]:
                raise FramingError("a chunk does not end where its size says")
            self._left -= len(end)
            data = data[len(end) :]
        return data

    def _keep_line(self, line: bytes) -> None:
        if len(line) >= LINE_LIMIT:
            raise FramingError("the first line of a chunk is too long")
        if b"\n" in line:
            raise FramingError("a line of the chunked body ends in a bare line feed")
        self._line = line

    def _trailers(self, data: bytes) -> bytes | None:
        """Skip trailer fields, which nobody downstream expects, to the empty line that ends the body."""
        while True:
            eol = data.find(b"\r\n")
            if eol < 0:
                self._trailer_size += len(data)
                self._keep_line(data)
                if self._trailer_size > TRAILER_LIMIT:
                    raise FramingError("the trailers are too long")
                return None
            line, data = data[:eol], data[eol + 2 :]
            if not line:
                return data
            self._trailer_size += eol
            if self._trailer_size > TRAILER_LIMIT:
                raise FramingError("the trailers are too long")

    def close(self) -> None:
        """The connection ended before the last chunk."""
        raise FramingError("the connection closed in the middle of the chunked body")
