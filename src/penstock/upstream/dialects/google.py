"""The dialect of Google: Gemini's own protocol, and every other API of Google's.

A stream is kept alive with blank lines, which mean nothing in server-sent events: of Google's SDKs some take a comment for the
beginning of an error.
"""

from __future__ import annotations

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.text import clean, event

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
"""Google's name of an HTTP status."""


def status_name(status: int) -> str:
    """Google's name of any HTTP status of an error."""
    return STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


class GoogleDialect:
    """`{"error": {"code", "message", "status", "details"}}`; the details have Penstock's own code, and how long to wait."""

    name = "google"
    keep_alive = b"\n\n"

    def error(self, exc: PenstockError, request_id: str) -> bytes:
        """The JSON body of an error."""
        return msgspec.json.encode(_body(exc, request_id))

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The event that ends a stream."""
        return event(None, _body(exc, request_id))


def _body(exc: PenstockError, request_id: str) -> dict[str, object]:
    metadata = {"code": exc.code, "request_id": request_id}
    if exc.param is not None:
        metadata["param"] = exc.param
    info = "type.googleapis.com/google.rpc.ErrorInfo"
    details: list[dict[str, object]] = [{"@type": info, "reason": exc.code.upper(), "domain": "penstock", "metadata": metadata}]
    if exc.retry_after_s is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{exc.retry_after_s}s"})
    return {"error": {"code": exc.status, "message": clean(exc.message), "status": status_name(exc.status), "details": details}}


DIALECT = GoogleDialect()
