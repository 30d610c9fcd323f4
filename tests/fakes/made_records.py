"""Records that were made and not relayed: whole exchanges, with all layers, and what the index would say of them."""

from __future__ import annotations

import itertools
from typing import Any

from penstock.kit.ids import new_id
from penstock.records.entries import Entry, entry_of, row_of
from penstock.records.record import Record
from penstock.records.service import Opened

NOON_MS = 1_700_000_000_123
_NUMBERS = itertools.count()
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'
ANSWER = (
    b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi!"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":2}}'
)


def made(**given: Any) -> Record:
    """A record; what is given replaces what it would have."""
    at_ms = given.get("created_at_ms", NOON_MS + next(_NUMBERS))
    fields: dict[str, Any] = {
        "id": new_id("req", at_ms),
        "created_at_ms": at_ms,
        "key_id": "key_1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "wire": "chat",
        "original_model": "gpt-4o",
        "rewritten_model": "gpt-4o",
        "request_headers": [(b"content-type", b"application/json"), (b"user-agent", b"tester/1")],
        "request_body": CHAT,
        "response_status": 200,
        "response_headers": [(b"content-type", b"application/json")],
        "response_body": [ANSWER],
        "duration_ms": 12,
        "is_stream": False,
        "outcome": "complete",
        "channel": "openai",
        "account_id": "acc_operator",
    }
    return Record(**(fields | given))


def entry(record: Record) -> Entry:
    """What the index says of it."""
    return entry_of(row_of(record, 0, 0))


def opened(record: Record, missing: str = "") -> Opened:
    """It, as it is read; without its bodies where it says what is missing."""
    return Opened(entry(record), None if missing else record, missing)
