"""Search: whether a text is somewhere in the bodies of a record, in capitals or not."""

from __future__ import annotations

import json
from collections.abc import Iterator

from penstock.records.readable import decoded
from penstock.records.record import Headers, Record


class Wanted:
    """A text that is looked for: as it is, and as JSON writes it inside a string."""

    def __init__(self, text: str) -> None:
        text = text.casefold()
        forms = {text, json.dumps(text)[1:-1].casefold(), json.dumps(text, ensure_ascii=False)[1:-1]}
        self._ascii = text.isascii()
        self._texts = tuple(forms)
        self._bytes = tuple(form.encode(errors="replace") for form in forms)

    def within(self, record: Record) -> bool:
        """Whether it is in a body of the record."""
        return any(self._in(body) for body in _bodies(record))

    def _in(self, body: bytes) -> bool:
        if self._ascii:
            lower = body.lower()
            return any(form in lower for form in self._bytes)
        folded = body.decode(errors="replace").casefold()
        return any(form in folded for form in self._texts)


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
