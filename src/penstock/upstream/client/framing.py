"""How a response body ends: three strict readers (RFC 9112 sections 6 and 7), without input or output.

Each is fed the bytes after the head. `feed` returns the bytes that lie beyond the body, or None while the body goes on.
However the bytes are cut, the same content is delivered, and the same framing is refused after the same content.
"""

from __future__ import annotations

import re
from typing import Protocol

LINE_LIMIT = 4096
"""Bytes of the longest line of a chunked body, its CRLF included."""
TRAILER_LIMIT = 16 * 1024
SIZES_KEPT = 8192

_SIZE = re.compile(rb"[0-9a-fA-F]{1,15}")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*+"'
# Nothing here gives back what it has taken, so time is linear in the line.
_EXTENSIONS = re.compile(rb"(?:[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?+)*+" % (_TOKEN, _TOKEN, _QUOTED))
_TRAILER = re.compile(rb"%b:[\t -\x7e\x80-\xff]*+" % _TOKEN)
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
    """The size in a chunk's first line; extensions are passed over. Raises FramingError."""
    size = _SIZE.match(line)
    if size is None or not _EXTENSIONS.fullmatch(line, size.end()):
        raise FramingError("a chunk does not begin with a hexadecimal size")
    return int(size[0], 16)


def _plain_size(line: bytes) -> int:
    """The size in a chunk's first line if that is all there is, which is remembered; else 0, which is not."""
    if not _SIZE.fullmatch(line):
        return 0
    size = int(line, 16)
    if len(_sizes) < SIZES_KEPT:
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
        sink.body(data)
        return None

    def close(self) -> None:
        """The end of the connection is the end of the body."""


class Chunked:
    """A body in chunks. Whole plain chunks are handed on framed as they came, so that they need not be framed again."""

    __slots__ = ("_left", "_line", "_trailer_size", "_trailing")

    def __init__(self) -> None:
        self._left = 0
        """Bytes missing of the chunk that is being read, its final CRLF included."""
        self._line = b""
        """The start of a line that has not ended."""
        self._trailing = False
        self._trailer_size = 0

    def feed(self, data: bytes, sink: Sink) -> bytes | None:
        """Deliver whole plain chunks framed, others and pieces of chunks bare."""
        if self._line:
            data, self._line = self._line + data, b""
        elif not (self._left or self._trailing):
            # One whole plain chunk is what almost every read of a stream brings.
            eol = data.find(b"\r\n")
            length = _sizes.get(data[:eol])
            if length and eol + length + 4 == len(data) and data.endswith(b"\r\n"):
                sink.chunks(data, [data[eol + 2 : -2]])
                return None
        position, size = 0, len(data)
        while position < size:
            if self._left:
                position = self._go_on(data, position, sink)
            elif self._trailing:
                return self._trailers(data, position)
            else:
                position = self._whole(data, position, sink)
                if position < size:
                    position = self._begin(data, position)
        return None

    def _whole(self, data: bytes, begin: int, sink: Sink) -> int:
        """Deliver the whole plain chunks that stand at `begin`; the position of what is not one, to be read strictly."""
        position, size = begin, len(data)
        parts: list[bytes] = []
        while position < size:
            eol = data.find(b"\r\n", position, position + LINE_LIMIT)
            if eol < 0:
                break
            line = data[position:eol]
            length = _sizes.get(line)
            if length is None:
                length = _plain_size(line)
            start = eol + 2
            end = start + length
            if not length or data[end : end + 2] != b"\r\n":
                break
            parts.append(data[start:end])
            position = end + 2
        if parts:
            sink.chunks(data if position - begin == size else data[begin:position], parts)
        return position

    def _begin(self, data: bytes, position: int) -> int:
        """Take the first line of a chunk that is not whole, not plain, or the last."""
        eol = data.find(b"\r\n", position, position + LINE_LIMIT)
        if eol < 0:
            return self._keep_line(data, position)
        line = data[position:eol]
        length = _sizes.get(line)
        if length is None:
            length = chunk_size(line)
        if length:
            self._left = length + 2
        else:
            self._trailing = True
        return eol + 2

    def _go_on(self, data: bytes, position: int, sink: Sink) -> int:
        """Deliver more of the chunk that is being read; the position of what belongs to the next one."""
        content = self._left - 2
        if content > 0:
            piece = data[position : position + content]
            position += len(piece)
            self._left -= len(piece)
            sink.body(piece)
        if self._left <= 2:
            end = data[position : position + self._left]
            if not b"\r\n"[2 - self._left :].startswith(end):
                raise FramingError("a chunk does not end where its size says")
            self._left -= len(end)
            position += len(end)
        return position

    def _trailers(self, data: bytes, position: int) -> bytes | None:
        """Skip trailer fields, which nobody downstream expects, to the empty line that ends the body."""
        while True:
            eol = data.find(b"\r\n", position, position + LINE_LIMIT)
            if eol < 0:
                self._keep_line(data, position)
                return None
            if eol == position:
                return data[eol + 2 :]
            self._trailer_size += eol + 2 - position
            if self._trailer_size > TRAILER_LIMIT:
                raise FramingError("the trailers are too long")
            if not _TRAILER.fullmatch(data, position, eol):
                raise FramingError("a trailer is not a header field")
            position = eol + 2

    def _keep_line(self, data: bytes, position: int) -> int:
        line = data[position:]
        if len(line) >= LINE_LIMIT:
            raise FramingError("a line of the chunked body is too long")
        if b"\n" in line:
            raise FramingError("a line of the chunked body ends in a bare line feed")
        self._line = line
        return len(data)

    def close(self) -> None:
        """The connection ended before the last chunk."""
        raise FramingError("the connection closed in the middle of the chunked body")
