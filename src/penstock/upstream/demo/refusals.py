"""The provider's errors, as each dialect writes them."""

from __future__ import annotations

from typing import Any

from penstock.upstream.demo.answer import Answer, RefusedError, encode
from penstock.upstream.demo.request import Request

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OPENAI_KINDS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    429: ("requests", "rate_limit_exceeded"),
}


def anthropic_type(status: int) -> str:
    """The `type` of an error of this status."""
    return _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def refusal_json(dialect: str, refusal: RefusedError, digest: str) -> dict[str, Any]:
    """The JSON body of an error."""
    if dialect == "anthropic":
        error = {"type": anthropic_type(refusal.status), "message": refusal.message}
        return {"type": "error", "error": error, "request_id": f"req_{digest}"}
    kind, code = _OPENAI_KINDS.get(refusal.status, ("invalid_request_error" if refusal.status < 500 else "server_error", None))
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code or code}}


def refused(request: Request, refusal: RefusedError) -> Answer:
    """The answer that tells of the refusal."""
    return Answer(encode(refusal_json(request.dialect, refusal, request.digest)), refusal.status, headers=refusal.headers)
