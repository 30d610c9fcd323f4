"""Failures: Google's errors, read and written."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.dialects.google import status_name
from penstock.upstream.dialects.text import clean

_SHOWN = 1000


def read_failure(status: int, body: bytes) -> Failure:
    """A provider's error, of whatever shape."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    failure = failure_in(found, status)
    if failure is not None:
        return failure
    words = body[:_SHOWN].decode("utf-8", "replace").strip()
    if not words or words.startswith("<"):  # nothing, or a page for people to look at
        words = f"The provider answered with status {status} and no words."
    return Failure(status, words)


def failure_in(found: Any, status: int = 0) -> Failure | None:
    """The error in a JSON value: an object with `error`, or a list of one such. `status` 0: as it says itself, else 502."""
    if isinstance(found, list) and found:
        found = found[0]
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str) and error:
        return Failure(status or 502, error)
    if not isinstance(error, dict):
        return None
    code, message, kind = error.get("code"), error.get("message"), error.get("status")
    if not status:
        status = code if isinstance(code, int) and 400 <= code < 600 else 502
    kind = kind if isinstance(kind, str) else ""
    words = message if isinstance(message, str) and message else kind or f"The provider answered with status {status}."
    return Failure(status, words, kind, _param(error.get("details")))


def _param(details: Any) -> str | None:
    """The field that a BadRequest among the details complains of."""
    for detail in details if isinstance(details, list) else ():
        violations = detail.get("fieldViolations") if isinstance(detail, dict) else None
        for violation in violations if isinstance(violations, list) else ():
            field = violation.get("field") if isinstance(violation, dict) else None
            if isinstance(field, str) and field:
                return field
    return None


def status_of(failure: Failure) -> int:
    """A status that an error can have."""
    return failure.status if 400 <= failure.status < 600 else 502


def error_of(failure: Failure) -> dict[str, Any]:
    """The body of a client's error."""
    status = status_of(failure)
    error: dict[str, Any] = {"code": status, "message": clean(failure.message), "status": status_name(status)}
    if failure.param is not None:
        violation = {"field": clean(failure.param), "description": clean(failure.message)}
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    return {"error": error}


def write_failure(failure: Failure) -> tuple[int, bytes]:
    """The client's error: status and body."""
    return status_of(failure), msgspec.json.encode(error_of(failure))
