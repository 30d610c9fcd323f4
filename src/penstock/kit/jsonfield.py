"""One top-level field of a JSON object, read and replaced in its bytes: every other byte stays as it is."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_COLON = rb'"[ \t\r\n]*+:[ \t\r\n]*+'
_STRING = rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")'
_AFTER_VALUE = b",} \t\r\n"
_EMPTY = re.compile(rb"[ \t\r\n]*+\}")
_ESCAPED_LETTER = re.compile(rb"\\u00(?:5[fF]|[46][1-9a-fA-F]|[57][0-9aA])")


class Field:
    """The top-level field `name` (ASCII letters and underscores) of JSON objects.

    Bodies must be JSON objects that msgspec reads, else `msgspec.DecodeError` (or `RecursionError`) is raised. Of several
    fields of the same name the last one counts, as it does for msgspec, Python and most servers; the others stay. Keys
    may be spelled with escapes.
    """

    def __init__(self, name: str) -> None:
        key = name.encode("ascii")
        self._key = re.compile(b'"' + key + _COLON)
        self._escaped_key = re.compile(b'"' + b"".join(map(_spellings, key)) + _COLON)
        self._text = re.compile(b'"' + key + _COLON + _STRING)
        self._member = b'"' + key + b'":'
        shape = msgspec.defstruct("Field", [("value", msgspec.Raw, msgspec.Raw())], rename={"value": name}, gc=False)
        self._decode: Any = msgspec.json.Decoder(shape).decode

    def raw(self, body: bytes) -> bytes | None:
        """The JSON text of the value; None if there is no such field."""
        value: msgspec.Raw = self._decode(body).value
        return bytes(value) or None

    def replaced(self, body: bytes, value: bytes) -> bytes:
        """`body` with `value` (JSON text, other than the present one) in place of the value, or added where there is none."""
        # Nearly always the first text of that name is the one, and decoding the result proves it.
        match = self._text.search(body)
        if match is not None:
            start, end = match.span(1)
            result = _spliced(body, [start], end - start, value)
            if self.raw(result) == value:
                return result
        old = self.raw(body)
        return self.added(body, value) if old is None else self._searched(body, old, value)

    def added(self, body: bytes, value: bytes) -> bytes:
        """`body` with the field put in front. There must be none of that name."""
        inside = body.index(b"{") + 1
        comma = b"" if _EMPTY.match(body, inside) else b","
        return _spliced(body, [inside], 0, self._member + value + comma)

    def _searched(self, body: bytes, old: bytes, value: bytes) -> bytes:
        key = self._escaped_key if _ESCAPED_LETTER.search(body) else self._key
        size = len(old)
        # What looks like the field may be nested, or be overruled by a later one. Each start is that of a whole JSON value, so
        # any of them can be replaced and the result be decoded: halving the list finds the one that counts.
        starts = [match.end() for match in key.finditer(body)]
        starts = [start for start in starts if body.startswith(old, start) and body[start + size] in _AFTER_VALUE]
        while len(starts) > 1:
            half = len(starts) // 2
            counts = self.raw(_spliced(body, starts[half:], size, value)) == value
            starts = starts[half:] if counts else starts[:half]
        return _spliced(body, starts, size, value)


def _spellings(code: int) -> bytes:
    """A pattern of the ways to write one ASCII character inside a JSON string."""
    digits = b"".join(b"[%c%c]" % (digit, digit ^ 0x20) if digit > 0x39 else b"%c" % digit for digit in b"%02x" % code)
    return rb"(?:%c|\\u00%b)" % (code, digits)


def _spliced(body: bytes, starts: list[int], size: int, value: bytes) -> bytes:
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    done = 0
    for start in starts:
        pieces += (view[done:start], value)
        done = start + size
    pieces.append(view[done:])
    return b"".join(pieces)
