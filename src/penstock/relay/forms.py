"""Forms: the plain fields of a multipart or url-encoded body, found in as much of it as has come (RFC 7578)."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl

from penstock.kit.errors import PenstockError

_BOUNDARY = re.compile(rb'[;\s]boundary=(?:"([^"]{1,200})"|([^;\s"]{1,200}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"\r\ncontent-disposition:[ \t]*form-data[ \t]*(;[^\r\n]*)", re.IGNORECASE)
_NAME = re.compile(rb';[ \t]*name=(?:"([^"]{0,200})"|([^;\s"]{1,200}))', re.IGNORECASE)
_FILE = re.compile(rb";[ \t]*filename\*?=", re.IGNORECASE)
FIELD_LIMIT = 64 * 1024
NOWHERE = -1
PARTS_LIMIT = 200
"""No more parts than these are looked at, which bounds the time."""


class Field(NamedTuple):
    """A plain field: its value and where in the body that stands."""

    value: str
    start: int
    end: int

    def replaced(self, body: bytes, value: str) -> bytes:
        """The body, or the beginning of it that the field was found in, with another value in its place."""
        return body[: self.start] + value.encode() + body[self.end :]


def is_multipart(content_type: bytes) -> bool:
    """The body is multipart/form-data."""
    return content_type[:19].lower() == b"multipart/form-data"


def is_urlencoded(content_type: bytes) -> bool:
    """The body is a url-encoded form."""
    return content_type[:33].lower() == b"application/x-www-form-urlencoded"


def is_json(content_type: bytes) -> bool:
    """The body may be JSON: it says so, or says nothing."""
    return not content_type or b"json" in content_type.partition(b";")[0].lower()


def multipart_fields(body: bytes, content_type: bytes, limit: int = FIELD_LIMIT) -> dict[str, Field]:
    """The plain fields that are whole in `body`, which may be only the beginning of one. Files, and what is longer, are passed over.

    Of several with one name the last counts, but a second `model` raises PenstockError `invalid_request`.
    """
    fields: dict[str, Field] = {}
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return fields
    delimiter = b"\r\n--" + (boundary[1] or boundary[2])
    # The first delimiter may stand at the very beginning, without the line end that belongs to it.
    at = -2 if body.startswith(delimiter[2:]) else _find(body, delimiter, 0)
    for _ in range(PARTS_LIMIT):
        head = at + len(delimiter)
        end = _find(body, delimiter, head)
        if NOWHERE in {at, end} or body.startswith(b"--", head):
            break
        blank = body.find(b"\r\n\r\n", head, end)
        start = blank + 4
        if blank >= 0 and end - start <= limit and (name := _plain_name(body, head, start)):
            if name == "model" and name in fields:
                raise _repeated()
            fields[name] = Field(body[start:end].decode("utf-8", "replace"), start, end)
        at = end
    return fields


def _find(body: bytes, delimiter: bytes, at: int) -> int:
    """Where the next delimiter stands: a line that is one, not one that only begins like one."""
    while (at := body.find(delimiter, at)) >= 0:
        after = at + len(delimiter)
        if body[after : after + 2] in {b"\r\n", b"--"}:
            return at
        at += 2
    return NOWHERE


def _plain_name(body: bytes, head: int, start: int) -> str:
    """The name in the header of a part; empty for a file, or when there is none."""
    disposition = _DISPOSITION.search(body, head, start)
    if disposition is None or _FILE.search(disposition[1]):
        return ""
    name = _NAME.search(disposition[1])
    return "" if name is None else (name[1] or name[2] or b"").decode("utf-8", "replace")


def urlencoded_fields(body: bytes) -> dict[str, str]:
    """The fields of a url-encoded form; the last of a name counts. Raises as `multipart_fields` does."""
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        return {}
    if sum(name == "model" for name, _ in pairs) > 1:
        raise _repeated()
    return dict(pairs)


def _repeated() -> PenstockError:
    """Which of several models counts is the provider's secret: neither the price nor the key's permission could be told."""
    return PenstockError("invalid_request", "The form names a model more than once.", param="model")
