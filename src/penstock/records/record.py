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
    account_id: str | None = None
    """Whose traffic it is; None where nobody was asked for a key."""
    for_owner: bool = True
    for_operator: bool = True
    """Who has asked for it: the account (by its key, its setting or a rule), the operator (who records everything), or both."""
    cost_nano: int = 0
    input_tokens: int = 0
    """With those read from a cache and written to one."""
    output_tokens: int = 0
    is_estimated: bool = False
    """The provider has not said what was used."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that were applied, in that order."""
    shadow_rules: tuple[str, ...] = ()
    """Ids of those that would have been, were they not in shadow mode."""
    ruled_body: bytes | None = None
    """The request's body as the rules have left it; None: as it came."""
    sent_head: bytes = b""
    """What went out: the request line and the headers, up to the empty line. Empty: nothing did."""
    sent_body: bytes | None = None
    """The body that went out; None: the one before it, `ruled_body` or `request_body`."""
    sent_truncated: bool = False
    came_status: int | None = None
    """What the provider has answered, where that is not what the client was shown; its headers are `response_headers`."""
    came_body: list[bytes] | None = None
    """The provider's body, before it was translated; None: as the client got it."""
    came_truncated: bool = False
    phases_us: tuple[int, ...] = ()
    """Microseconds of each of `PHASES`, as many as there were."""


PHASES = ("edge_wait", "admit", "route", "connect", "first_byte", "stream", "settle")
"""From the first byte of the request; `admit` ends when the body is here, `settle` when the charge is durable."""
