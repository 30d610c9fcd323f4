"""JSON and SSE as dialects write them."""

from __future__ import annotations

import msgspec


def clean(text: str) -> str:
    """`text` as any JSON parser takes it: what cannot be encoded (halves of surrogate pairs) is replaced."""
    return text.encode("utf-8", "replace").decode()


def event(name: str | None, data: dict[str, object]) -> bytes:
    """One server-sent event with its blank line."""
    head = b"event: %b\n" % name.encode() if name is not None else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"
