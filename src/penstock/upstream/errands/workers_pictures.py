"""One call for a picture: how it is written for Workers AI, and what comes back."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any, NamedTuple

import msgspec

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges.conversation import Failure
from penstock.upstream.bridges.workers.failures import failure_in, read_failure, unreadable
from penstock.upstream.errands.errand import Fetched

_HEAD = 32


class Picture(NamedTuple):
    """A picture as base64."""

    data: str
    media_type: str

    @property
    def url(self) -> str:
        """As a `data:` URL, which needs no place to keep it."""
        return f"data:{self.media_type};base64,{self.data}"


def as_json(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """Header lines and body of a JSON request. Raises PenstockError for numbers that JSON readers do not take."""
    try:
        return b"content-type: application/json\r\n", msgspec.json.encode(fields)
    except (OverflowError, RecursionError, ValueError, msgspec.MsgspecError):
        raise PenstockError("invalid_json", "The body has a number or a nesting beyond what JSON readers take.") from None


def as_form(fields: dict[str, Any]) -> tuple[bytes, bytes]:
    """Header lines and body of a multipart form."""
    boundary = b"penstock-%b" % secrets.token_hex(16).encode("ascii")
    pieces = [
        b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name.encode("ascii"), _plain(value))
        for name, value in fields.items()
    ]
    return b"content-type: multipart/form-data; boundary=%b\r\n" % boundary, b"%b--%b--\r\n" % (b"".join(pieces), boundary)


def read_picture(fetched: Fetched) -> Picture | Failure:
    """The picture in an answer: its bytes, or base64 in JSON. What it is, its first bytes say: the label is often wrong."""
    body = fetched.body
    if fetched.status >= 400:
        return read_failure(fetched.status, body)
    kind = media_type(body)
    if kind:
        return Picture(b64encode(body).decode("ascii"), kind)
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return unreadable("neither a picture nor JSON" if body else "nothing")
    failure = failure_in(answer)
    if failure is not None:
        return failure
    found = _image(answer.get("result", answer) if isinstance(answer, dict) else answer)
    if not found:
        return unreadable("an empty result")
    data = found.partition(",")[2] if found.startswith("data:") else found
    try:
        kind = media_type(b64decode(data[: _HEAD * 2]))
    except (NotBase64, ValueError):
        return unreadable("a picture that is not base64")
    return Picture(data, kind or "image/png")


def media_type(begin: bytes) -> str:
    """What a file is by its first bytes; empty if it is no picture that is known here."""
    if begin.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if begin.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if begin.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
        return "image/webp"
    if begin[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return ""


def _image(result: Any) -> str:
    """The base64 in a result, by the names it goes by."""
    if isinstance(result, str):
        return result
    if not isinstance(result, dict):
        return ""
    for name in ("image", "images", "b64_json", "data"):
        found = result.get(name)
        if isinstance(found, list) and found:
            found = _image(found[0])
        if isinstance(found, str) and found:
            return found
    return ""


def _plain(value: Any) -> bytes:
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace")
