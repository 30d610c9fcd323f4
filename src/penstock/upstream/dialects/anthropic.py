"""The dialect of Anthropic: messages, token counts, and the old text completions."""

from __future__ import annotations

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.text import clean, event

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Source: the API's page on errors. The rest are `invalid_request_error` below 500 and `api_error` above."""
_UNTHREADED = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
"""By this the official SDK's runner of tools knows that it has to send the whole conversation each time, and goes on."""


class AnthropicDialect:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""

    name = "anthropic"
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'

    def error(self, exc: PenstockError, request_id: str) -> bytes:
        """The JSON body of an error."""
        return msgspec.json.encode(_body(exc, request_id))

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The `error` event that ends a stream."""
        return event("error", _body(exc, request_id))


def kind_of(status: int) -> str:
    """Anthropic's type for an error of a status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def _body(exc: PenstockError, request_id: str) -> dict[str, object]:
    error: dict[str, object] = {"type": kind_of(exc.status), "message": clean(exc.message)}
    if exc.code == "cannot_translate" and exc.param == "thread":
        error["details"] = _UNTHREADED
    return {"type": "error", "error": error, "request_id": request_id}


DIALECT = AnthropicDialect()
