"""Single: crossings of plain calls that have no side, such as a search: one request, one answer that is the client's as it is."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.bridge import StreamCrossing
from penstock.upstream.complaints import refusal, unreadable
from penstock.upstream.wires import asks
from penstock.upstream.wires.wire import Ask, Dialect, Wire

JSON = b"application/json"
JSON_LINE = b"content-type: application/json\r\n"
_FIELDS = msgspec.json.Decoder(dict[str, object])


@dataclass(slots=True)
class Single:
    """One such call. What it consumes is known from its request, so the client's own wire meters it."""

    wire: Wire
    ask: Ask
    dialect: Dialect
    request_id: str
    path: str
    method: bytes = b"POST"
    query: bytes = b""
    body: bytes = b""
    headers: bytes = JSON_LINE
    dropped: bytes = b""
    passes: bool = False
    """The answer is sound; else it is JSON, and looked at."""

    def whole(self, status: int, content_type: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """A plain answer as it is, or the error in the client's words."""
        if status >= 300:
            return self._refused(refusal(status, body))
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._refused(unreadable("it is not JSON"))
        return status, JSON, body

    def stream(self) -> StreamCrossing:
        """A stream, where none was asked for."""
        return Unwanted(self.dialect.stream_error(unreadable("it is a stream of events"), self.request_id))

    def replay(self, body: bytes) -> bytes | None:
        """Nothing: these calls have no streams."""
        return None

    def _refused(self, error: PenstockError) -> tuple[int, bytes, bytes]:
        return error.status, JSON, self.dialect.error(error, self.request_id)


class Unwanted:
    """A stream that nobody has asked for."""

    def __init__(self, error: bytes) -> None:
        self.ended = False
        self._error = error

    def event(self, event: bytes) -> bytes:
        """Nothing of it is shown."""
        return b""

    def over(self) -> bytes:
        """The error."""
        self.ended = True
        return self._error


def fields_of(body: bytes) -> dict[str, object]:
    """The fields of a JSON object; none for an empty body. Raises PenstockError `invalid_json`."""
    return asks.read_fields(_FIELDS, body) if body.strip() else {}


def text_of(fields: dict[str, object], *names: str) -> str:
    """The text of the first of these fields that has some, be it a number; empty if none has. Raises PenstockError `invalid_request`."""
    for name in names:
        value = fields.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise PenstockError("invalid_request", f"{name} must be text.", param=name)
        return str(value).strip()
    return ""
