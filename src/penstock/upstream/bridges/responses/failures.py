"""Failures: the errors of this wire, plain and as the end of a stream, both ways."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.dialects.text import clean

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
_CODES = {
    "overloaded_error": "server_is_overloaded",
    "overloaded": "server_is_overloaded",
    "server_is_overloaded": "server_is_overloaded",
    "slow_down": "slow_down",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "UNAVAILABLE": "server_is_overloaded",
    "rate_limit_error": "rate_limit_exceeded",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "billing_error": "insufficient_quota",
    "insufficient_quota": "insufficient_quota",
    "insufficient_funds": "insufficient_quota",
    "usage_not_included": "usage_not_included",
    "context_length_exceeded": "context_length_exceeded",
    "invalid_prompt": "invalid_prompt",
    "upstream_broken": "server_error",
}
"""The codes that clients act upon, Codex above all, by what other providers call the same."""
_EVENT_CODES = frozenset(_CODES.values())
_CODES_BY_STATUS = {402: "insufficient_quota", 429: "rate_limit_exceeded", 503: "server_is_overloaded", 529: "server_is_overloaded"}
_STATUSES = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "usage_not_included": 403,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
}
_TOO_LONG = re.compile(
    r"prompt is too long|context[ _](?:length|window)|maximum context|input token count|too many (?:input )?tokens|input is too long",
    re.IGNORECASE,
)
_SHOWN = 2000
_TAG = re.compile(r"<[^<>]{0,1000}>")


def code_of(failure: Failure) -> str | None:
    """The code that a client of this wire knows the failure by; None if there is none."""
    if failure.status < 500 and _TOO_LONG.search(failure.message):
        return "context_length_exceeded"
    return _CODES.get(failure.kind) or _CODES_BY_STATUS.get(failure.status) or failure.kind or None


def event_error(failure: Failure) -> dict[str, str]:
    """The `error` of a response that has failed."""
    code = code_of(failure)
    if code not in _EVENT_CODES:
        # The codes of a response that has failed are a closed list; of these two the first is tried again.
        code = "server_error" if failure.status >= 500 else "invalid_prompt"
    return {"code": code, "message": clean(failure.message)}


def write_failure(failure: Failure) -> tuple[int, bytes]:
    """The status and the body of an error. What no client of OpenAI's expects (529, or no error at all) becomes its next of kin."""
    status = {529: 503}.get(failure.status, failure.status) if 400 <= failure.status < 600 else 502
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    code = code_of(failure)
    error = {"message": clean(failure.message), "type": kind, "param": _cleaned(failure.param), "code": _cleaned(code)}
    return status, msgspec.json.encode({"error": error})


def _cleaned(text: str | None) -> str | None:
    return clean(text) if text is not None else None


def read_failure(status: int, body: bytes) -> Failure:
    """A provider's error. Those that imitate OpenAI write it in many ways; a page is taken for its words."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Failure(status, _words(body) or f"The provider has answered with status {status}.")
    if isinstance(found, list) and found:
        found = found[0]
    error: Any = found
    if isinstance(found, dict):
        error = next((found[name] for name in ("error", "errors", "detail", "message") if found.get(name)), found)
    if isinstance(error, list) and error:
        error = error[0]
    return failure_of(error, status) or Failure(status, _words(body) or f"The provider has answered with status {status}.")


def failure_of(error: Any, status: int) -> Failure | None:
    """The failure in an error object, or in a text that stands for one. `status` 0: by its code. None if it says nothing."""
    if isinstance(error, str) and error:
        return Failure(status or 502, error)
    if not isinstance(error, dict):
        return None
    message = error.get("message") or error.get("msg") or error.get("detail")
    kind = error.get("code") or error.get("type") or ""
    kind = str(kind) if isinstance(kind, str | int) else ""
    if not isinstance(message, str) or not message:
        if not kind:
            return None
        message = kind
    param = error.get("param")
    return Failure(status or _STATUSES.get(kind, 502), message, kind, param if isinstance(param, str) else None)


def _words(body: bytes) -> str:
    return " ".join(_TAG.sub(" ", body[: 4 * _SHOWN].decode("utf-8", "replace")).split())[:_SHOWN]
