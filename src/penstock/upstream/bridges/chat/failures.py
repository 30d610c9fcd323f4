"""Failures: errors of chat providers in all their shapes, and as OpenAI writes them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import msgspec

from penstock.kit.errors import CODES
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.dialects.text import clean

_LIMIT = 2000
_TITLE = re.compile(rb"<title[^>]{0,200}>(.{1,500}?)</title", re.IGNORECASE | re.DOTALL)
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
_BY_STATUS = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    503: "server_is_overloaded",
}
_OPENAI_CODES = frozenset((
    "billing_hard_limit_reached",
    "content_filter",
    "content_policy_violation",
    "context_length_exceeded",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_prompt",
    "invalid_value",
    "model_not_found",
    "rate_limit_exceeded",
    "server_error",
    "server_is_overloaded",
    "unsupported_parameter",
    "unsupported_value",
))  # fmt: skip
_TOO_LONG = re.compile(
    r"prompt is too long|context[ _]length|context window|maximum context|too many (?:input )?tokens|input token count", re.IGNORECASE
)


def read_failure(status: int, body: bytes) -> Failure:
    """A provider's error."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Failure(status, _of_page(status, body))
    return of_object(status, found)


def of_object(status: int, found: Any) -> Failure:
    """The error in a JSON value."""
    if isinstance(found, list) and found:
        found = found[0]
    if not isinstance(found, dict):
        return Failure(status, found[:_LIMIT] if isinstance(found, str) and found.strip() else _nothing(status))
    # `errors` is Cloudflare's, a list or an object; `detail` FastAPI's, a string or a list.
    for name in ("error", "errors", "detail"):
        value = found.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            return _of_details(status, value, found)
        if isinstance(value, str) and value.strip():
            message = found.get("message") if name == "error" else None
            text = message if isinstance(message, str) and message.strip() else value
            return Failure(status, text[:_LIMIT], value if text is message else _kind(found))
    return _of_details(status, found, found)


def _of_details(status: int, value: dict[str, Any], around: dict[str, Any]) -> Failure:
    message = next(
        (text for name in ("message", "msg", "error", "detail") if isinstance(text := value.get(name), str) and text.strip()), ""
    )
    if not message and isinstance(around.get("message"), str):
        message = around["message"]
    param = value.get("param")
    return Failure(status, message[:_LIMIT] or _nothing(status), _kind(value), param if isinstance(param, str) else None)


def _kind(value: dict[str, Any]) -> str:
    for name in ("code", "type", "status"):
        found = value.get(name)
        if isinstance(found, str) and found and not found.isdigit():
            return found[:100]
    return ""


def _of_page(status: int, body: bytes) -> str:
    """A page of HTML is known by its title; any other text is the message."""
    title = _TITLE.search(body[:20_000])
    if title is not None:
        return f"The provider answered with a page instead of JSON: {unescape(title[1].decode('utf-8', 'replace')).strip()}"
    text = body[:_LIMIT].decode("utf-8", "replace").strip()
    return _nothing(status) if not text or text.startswith("<") else text


def _nothing(status: int) -> str:
    return f"The provider answered with status {status} and did not say why."


def write_failure(failure: Failure) -> tuple[int, bytes]:
    """The status that OpenAI's clients understand, and the body."""
    status = failure.status if 400 <= failure.status < 600 else 502
    # Anthropic's own status for an overload.
    return 503 if status == 529 else status, msgspec.json.encode({"error": details_of(failure)})


def details_of(failure: Failure) -> dict[str, str | None]:
    """The inner object of an error."""
    status = 503 if failure.status == 529 else failure.status
    kind = _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "server_error")
    code = failure.kind if failure.kind in _OPENAI_CODES or failure.kind in CODES else _BY_STATUS.get(status)
    if code is None and status in (400, 413) and _TOO_LONG.search(failure.message):
        code = "context_length_exceeded"
    return {"message": clean(failure.message), "type": kind, "param": failure.param, "code": code}
