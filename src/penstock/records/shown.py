"""Shown: an entry and its record as people and programs read them, in the API, in exports and behind shared links."""

from __future__ import annotations

from typing import Any

from penstock.kit.clock import iso_ms
from penstock.records.layers import got_headers, sent_headers
from penstock.records.readable import body_shown, headers_shown
from penstock.records.record import PHASES, Headers, Record
from penstock.records.service import Entry, Opened


def entry_shown(entry: Entry) -> dict[str, Any]:
    """What the index knows of an exchange."""
    return {
        "id": entry.id,
        "created_at": iso_ms(entry.created_at_ms),
        "account_id": entry.account_id,
        "key_id": entry.key_id,
        "method": entry.method,
        "path": entry.path,
        "wire": entry.wire,
        "model": entry.model,
        "served_model": entry.served,
        "channel": entry.channel,
        "status": entry.status,
        "outcome": entry.outcome,
        "streamed": entry.is_stream,
        "duration_ms": entry.duration_ms,
        "first_byte_us": entry.first_byte_us,
        "cost_nano": entry.cost_nano,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "request_bytes": entry.request_bytes,
        "response_bytes": entry.response_bytes,
        "rules": list(entry.rules),
    }


def opened_shown(opened: Opened) -> dict[str, Any]:
    """An entry and its record; where that cannot be read `missing` says why."""
    record = None if opened.record is None else record_shown(opened.record)
    return {**entry_shown(opened.entry), "record": record, "missing": opened.missing or None}


def record_shown(record: Record) -> dict[str, Any]:
    """The exchange on the wire, each body as text; null is as the one before it, or nothing at all. It takes its time: use a thread."""
    answer = b"".join(record.response_body)
    return {
        "request": message(record.request_body, record.request_headers, truncated=record.request_truncated),
        "ruled": None if record.ruled_body is None else message(record.ruled_body, [], truncated=False),
        "sent": _sent(record),
        "answer": None if record.came_body is None else {"status": record.came_status, **_came(record)},
        "response": None
        if record.response_status is None
        else {"status": record.response_status, **message(answer, got_headers(record), truncated=record.response_truncated)},
        "attempts": list(record.attempts),
        "rules": list(record.rules),
        "shadow_rules": list(record.shadow_rules),
        "estimated": record.is_estimated,
        "phases_us": dict(zip(PHASES, record.phases_us, strict=False)),
    }


def message(body: bytes, headers: Headers, *, truncated: bool) -> dict[str, Any]:
    """One side of an exchange."""
    return {"headers": headers_shown(headers), "body": body_shown(body, headers, truncated=truncated), "truncated": truncated}


def _sent(record: Record) -> dict[str, Any] | None:
    if not record.sent_head:
        return None
    headers = sent_headers(record)
    line = record.sent_head.partition(b"\r\n")[0].decode("latin-1")
    body = None if record.sent_body is None else body_shown(record.sent_body, headers, truncated=record.sent_truncated)
    return {"line": line, "headers": headers_shown(headers), "body": body, "truncated": record.sent_truncated}


def _came(record: Record) -> dict[str, Any]:
    """The provider's answer before it was translated."""
    return message(b"".join(record.came_body or []), record.response_headers, truncated=record.came_truncated)
