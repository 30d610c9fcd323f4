"""The dialect of the platform's own calls under /api/v1: one envelope for what is done and for what is refused."""

from __future__ import annotations

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.dialects.text import clean, event

_TYPES = {"insufficient_funds": "insufficient_balance_error", "forbidden": "no_permission_error", "internal_error": "internal_error"}


def error_type(code: str) -> str:
    """The platform's word for one of our codes."""
    return _TYPES.get(code, f"{code}_error")


def done(data: object, message: str = "Success") -> bytes:
    """The envelope of a call that has succeeded."""
    return msgspec.json.encode({"statusCode": 200, "message": message, "data": data})


class PlatformDialect:
    """`{"statusCode", "message", "errorType", "data": null}`."""

    name = "platform"
    keep_alive = b": keep-alive\n\n"

    def error(self, exc: PenstockError, request_id: str) -> bytes:
        """The JSON body of an error."""
        return msgspec.json.encode(_body(exc))

    def stream_error(self, exc: PenstockError, request_id: str) -> bytes:
        """The event that ends a stream; none of these calls has streams of its own."""
        return event(None, _body(exc))


def _body(exc: PenstockError) -> dict[str, object]:
    return {"statusCode": exc.status, "message": clean(exc.message), "errorType": error_type(exc.code), "data": None}


DIALECT = PlatformDialect()
