"""Known heads: a client that keeps its connection sends the same head again and again, but for the content-length.

A head that llhttp has read and found valid needs no second reading when it comes again byte for byte; only the digits of
its content-length may differ. The SDKs' requests are of this kind from the second one on. Only heads of bodies that are held
are remembered: what is streamed or read as a form when it is not empty must not be taken for JSON here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from penstock.records.door import without_secrets
from penstock.relay.forms import is_json

if TYPE_CHECKING:
    from penstock.relay.exchange import Exchange
    from penstock.relay.headers import Sifted
    from penstock.relay.paths import Target

HEAD_LIMIT = 8 * 1024
"""No longer head is remembered: each connection has one."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,7})(?=\r\n)", re.IGNORECASE)


class KnownHead:
    """A head as bytes before and after the digits of its content-length, and what it says."""

    __slots__ = ("after", "before", "headers", "sifted", "target")

    def __init__(self, before: bytes, after: bytes, target: Target, headers: list[tuple[bytes, bytes]], sifted: Sifted) -> None:
        self.before = before
        self.after = after
        self.target = target
        self.headers = headers
        self.sifted = sifted

    def body(self, data: bytes) -> bytes | None:
        """The body, if `data` is exactly one request with this head; else None."""
        before = self.before
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r\n", start, start + 8)
        digits = data[start:end] if end >= 0 else b""
        if not digits.isdigit() or not data.startswith(self.after, end):
            return None
        at = end + len(self.after)
        return data[at:] if len(data) - at == int(digits) else None


def remember(data: bytes, exchange: Exchange) -> KnownHead | None:
    """What there is to remember of a request that `data` is the whole of; None if it is not of the simple kind."""
    end = data.find(b"\r\n\r\n") + 4
    found = _LENGTH.search(data, 0, end)
    body = exchange.body
    if found is None or body is None or end > HEAD_LIMIT or not is_json(exchange.sifted.content_type):
        return None
    if len(body) != int(found[1]) or data[end:] != body:
        return None
    # They are only recorded from now on, so their secrets are taken out once instead of in each record.
    headers = without_secrets([pair for pair in exchange.headers if pair[0] != b"content-length"])
    return KnownHead(data[: found.start(1)], data[found.end(1) : end], exchange.target, headers, exchange.sifted)
