"""A record: one exchange as it was on the wire."""

from __future__ import annotations

import msgspec

Headers = list[tuple[bytes, bytes]]


class Record(msgspec.Struct, array_like=True, gc=False):
    """The raw request and response of one exchange.

    Stored as a list of these fields, in this order: a new field goes to the end and has a default. `path` has the query
    string. Bodies are as they came, content-encoding and all; `truncated` says that only their beginning is here.
    """

    id: str
    created_at_ms: int
    key_id: str | None
    method: str
    path: str
    wire: str
    original_model: str | None
    rewritten_model: str | None
    request_headers: Headers
    request_body: bytes
    response_status: int | None
    """None: nothing was answered."""
    response_headers: Headers
    response_body: list[bytes]
    duration_ms: int
    is_stream: bool
    outcome: str
    request_truncated: bool = False
    response_truncated: bool = False
    channel: str = ""
    """Which has answered."""
    attempts: tuple[str, ...] = ()
    """Which channels have failed before that one, and why."""
