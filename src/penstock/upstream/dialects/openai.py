"""The dialect of OpenAI and its many imitators: chat completions, embeddings, images, audio."""

from __future__ import annotations

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.text import clean, event

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}


class OpenAIDialect:
    """`{"error": {"message", "type", "param", "code"}}`; `code` is Penstock's own."""

    name = "openai"
    keep_alive = b": keep-alive\n\n"

    def error(self, exc: PenstockError, request_id: str) -> bytes:
        """The JSON body of an error."""
        return msgspec.json.encode({"error": self.details(exc)})

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The event that ends a stream. No `[DONE]` follows: that would say that all is well."""
        return event(None, {"error": self.details(exc)})

    def details(self, exc: PenstockError) -> dict[str, str | None]:
        """The inner object."""
        kind = _TYPES.get(exc.status, "server_error" if exc.status >= 500 else "invalid_request_error")
        return {"message": clean(exc.message), "type": kind, "param": exc.param, "code": exc.code}


DIALECT = OpenAIDialect()
