"""Failures: errors of Anthropic's, read and written."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.dialects.anthropic import kind_of
from penstock.upstream.dialects.text import clean, event

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_SHOWN = 500
_MARKUP = re.compile(r"<[^<>]{0,2000}>")
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


def reported(error: Any, status: int = 0) -> Failure:
    """The failure that an `error` object tells of; `status` is 0 in a stream, where the type says it."""
    if not isinstance(error, dict):
        words = error if isinstance(error, str) else ""
        return Failure(status or 502, words or "The provider has reported an error and does not say which.")
    kind, message = error.get("type"), error.get("message")
    kind = kind if isinstance(kind, str) else ""
    if not isinstance(message, str) or not message:
        message = kind or "The provider has reported an error and does not say which."
    param = error.get("param")
    return Failure(status or _STATUSES.get(kind, 502), message, kind, param if isinstance(param, str) else None)


def read_failure(status: int, body: bytes) -> Failure:
    """A provider's error. What is not one of Anthropic's is shown by its own words."""
    try:
        found = msgspec.json.decode(body)
    except _UNREADABLE:
        found = None
    if isinstance(found, dict):
        error = found.get("error")
        if error is None:
            error = next((found[name] for name in ("message", "detail") if isinstance(found.get(name), str)), None)
        if error:
            return reported(error, status)
    words = " ".join(_MARKUP.sub(" ", body[: 16 * _SHOWN].decode("utf-8", "replace")).split())[:_SHOWN]
    return Failure(
        status, f"The provider answered with status {status}: {words}" if words else f"The provider answered with status {status}."
    )


def _written(failure: Failure, request_id: str, status: int) -> dict[str, object]:
    kind = failure.kind if _STATUSES.get(failure.kind) == status else kind_of(status)
    return {"type": "error", "error": {"type": kind, "message": clean(failure.message)}, "request_id": request_id}


def write_failure(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """The client's error: status and body."""
    status = failure.status if 400 <= failure.status < 600 else 502
    return status, msgspec.json.encode(_written(failure, request_id, status))


def failure_event(failure: Failure, request_id: str) -> bytes:
    """The `error` event that ends a stream."""
    return event("error", _written(failure, request_id, failure.status))
