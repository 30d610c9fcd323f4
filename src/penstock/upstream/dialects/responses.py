"""The dialect of OpenAI's Responses: errors as elsewhere at OpenAI, but a stream ends with `response.failed`.

Codex knows a failed stream by that event alone; after `event: error` it waits for the end and then tries five times more.
It acts on some codes and reads the delay out of the message.
"""

from __future__ import annotations

import time

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.openai import OpenAIDialect
from penstock.upstream.dialects.text import clean, event

_CODES = {
    "insufficient_funds": "insufficient_quota",
    "too_many_requests": "rate_limit_exceeded",
    "overloaded": "server_is_overloaded",
    "shutting_down": "server_is_overloaded",
}


class ResponsesDialect(OpenAIDialect):
    """OpenAI's, with its own end of a stream."""

    name = "responses"

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The `response.failed` event that ends a stream."""
        wait = f" Please try again in {exc.retry_after_s}s." if exc.retry_after_s is not None else ""
        response = {
            "id": f"resp_{request_id.removeprefix('req_')}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "failed",
            "error": {"code": _CODES.get(exc.code, exc.code), "message": clean(exc.message) + wait},
            "incomplete_details": None,
            "output": [],
            "usage": None,
        }
        return event("response.failed", {"type": "response.failed", "sequence_number": 0, "response": response})


DIALECT = ResponsesDialect()
