"""HAR: records as an HTTP archive, version 1.2 (http://www.softwareishard.com/blog/har-12-spec/), which browsers and proxies read."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import penstock
from penstock.kit.clock import iso_ms
from penstock.records.layers import got_headers
from penstock.records.readable import BASE64, body_shown, headers_shown
from penstock.records.record import PHASES, Record
from penstock.records.service import Entry, Opened

HOST = "http://penstock"
"""HAR knows whole URLs only, and a record has no host."""
_VERSION = "HTTP/1.1"
_UPSTREAM = ("connect", "first_byte", "stream")


def creator() -> dict[str, Any]:
    """Who has made the archive."""
    return {"name": "Penstock", "version": penstock.__version__}


def har_entry(opened: Opened) -> dict[str, Any]:
    """One entry of an archive. Without its record there are no bodies, and the comment says why."""
    entry, record, missing = opened
    timings = _timings(entry, record)
    return {
        "startedDateTime": iso_ms(entry.created_at_ms - entry.duration_ms),
        "time": round(sum(value for value in timings.values() if value > 0), 3),
        "request": _request(entry, record),
        "response": _response(entry, record),
        "cache": {},
        "timings": timings,
        "comment": missing or entry.outcome,
        "_id": entry.id,
        "_account_id": entry.account_id,
        "_key_id": entry.key_id,
        "_wire": entry.wire,
        "_model": entry.model,
        "_served_model": entry.served,
        "_channel": entry.channel,
        "_cost_nano": entry.cost_nano,
        "_input_tokens": entry.input_tokens,
        "_output_tokens": entry.output_tokens,
    }


def _request(entry: Entry, record: Record | None) -> dict[str, Any]:
    path = entry.path if record is None else record.path
    facts: dict[str, Any] = {
        "method": entry.method,
        "url": HOST + path,
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": [] if record is None else _pairs(headers_shown(record.request_headers)),
        "queryString": [{"name": name, "value": value} for name, value in parse_qsl(path.partition("?")[2], keep_blank_values=True)],
        "headersSize": -1,
        "bodySize": entry.request_bytes,
    }
    if record is not None and record.request_body:
        kind = headers_shown(record.request_headers).get("content-type", "")
        text = body_shown(record.request_body, record.request_headers, truncated=record.request_truncated)
        facts["postData"] = {"mimeType": kind, "params": [], "text": text}
    return facts


def _response(entry: Entry, record: Record | None) -> dict[str, Any]:
    headers = {} if record is None else headers_shown(got_headers(record))
    content: dict[str, Any] = {"size": entry.response_bytes, "mimeType": headers.get("content-type", "")}
    if record is not None:
        text = body_shown(b"".join(record.response_body), got_headers(record), truncated=record.response_truncated)
        if text.startswith(BASE64) and not record.response_truncated:
            content["encoding"] = "base64"
            text = text.removeprefix(BASE64)
        content["text"] = text
    return {
        "status": entry.status or 0,
        "statusText": "",
        "httpVersion": _VERSION,
        "cookies": [],
        "headers": _pairs(headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": entry.response_bytes,
    }


def _timings(entry: Entry, record: Record | None) -> dict[str, float]:
    """Milliseconds. What was not measured is -1, or all of it is waiting."""
    phases = {} if record is None else dict(zip(PHASES, record.phases_us, strict=False))
    named = ("blocked", "dns", "connect", "send", "wait", "receive", "ssl")
    timings: dict[str, float] = dict.fromkeys(named, -1)
    timings["send"] = timings["receive"] = 0
    timings["wait"] = entry.duration_ms
    if phases:
        timings["blocked"] = sum(us for phase, us in phases.items() if phase not in _UPSTREAM) / 1000
        timings["connect"], timings["wait"], timings["receive"] = (phases.get(phase, 0) / 1000 for phase in _UPSTREAM)
    return timings


def _pairs(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers.items()]
