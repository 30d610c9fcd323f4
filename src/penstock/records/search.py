"""Search: whether a text is somewhere in the bodies of a record, in capitals or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from penstock.records.readable import decoded
from penstock.records.record import Headers, Record

_ESCAPED = re.compile(r"[^a-z0-9 .,:;_-]")
"""What some encoders of JSON write as an escape; Go's, for one, does it with `<`, `>` and `&`."""
_LETTER = re.compile(r"\\u([0-9a-fA-F]{4})")


class Wanted:
    """A text that is looked for: as it is, and as JSON writes it inside a string."""

    def __init__(self, text: str) -> None:
        self._is_ascii = text.isascii()
        text = text.casefold()
        forms = {text, json.dumps(text, ensure_ascii=False)[1:-1]}
        self._texts = tuple(forms)
        self._bytes = tuple(form.encode(errors="replace") for form in forms)
        self._is_plain = self._is_ascii and not _ESCAPED.search(text)
        """Nobody escapes anything in it."""

    def within(self, record: Record) -> bool:
        """Whether it is in a body of the record."""
        return any(self._in(body) for body in _bodies(record))

    def _in(self, body: bytes) -> bool:
        if self._is_ascii:
            lower = body.lower()
            if any(form in lower for form in self._bytes):
                return True
        if self._is_plain or (self._is_ascii and b"\\u" not in body):
            return False
        folded = _without_escapes(body.decode(errors="replace")).casefold()
        return any(form in folded for form in self._texts)


def _without_escapes(text: str) -> str:
    """A text with letters that JSON writes by their numbers as themselves; two halves of a pair become one letter."""
    if "\\u" not in text:
        return text
    text = _LETTER.sub(lambda found: chr(int(found[1], 16)), text)
    return text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="replace")


def _bodies(record: Record) -> Iterator[bytes]:
    headers = record.response_headers
    yield _plain(record.request_body, record.request_headers)
    yield _plain(b"".join(record.response_body), headers)
    for body in (record.ruled_body, record.sent_body):
        if body:
            yield body
    if record.came_body:
        yield _plain(b"".join(record.came_body), headers)


def _plain(body: bytes, headers: Headers) -> bytes:
    return decoded(body, headers)[0] if body else body
