"""Forms: the plain fields of a multipart or url-encoded body, found in as much of it as has come (RFC 7578)."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl

_BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="([^"]{0,200})"', re.IGNORECASE)
_FILE = re.compile(rb"[;\s]filename\*?=", re.IGNORECASE)
FIELD_LIMIT = 64 * 1024


class Field(NamedTuple):
    """A plain field: its value and where in the body that stands."""

    value: str
    start: int
    end: int


def is_multipart(content_type: bytes) -> bool:
    """The body is multipart/form-data."""
    return content_type[:19].lower() == b"multipart/form-data"


def is_urlencoded(content_type: bytes) -> bool:
    """The body is a url-encoded form."""
    return content_type[:33].lower() == b"application/x-www-form-urlencoded"


def multipart_fields(body: bytes, content_type: bytes) -> dict[str, Field]:
    """The plain fields that are whole in `body`, which may be only the beginning of one. Files are passed over."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return {}
    delimiter = b"--" + (found[1] or found[2])
    fields: dict[str, Field] = {}
    at = body.find(delimiter)
    while at >= 0:
        head = at + len(delimiter)
        blank = body.find(b"\r\n\r\n", head)
        following = body.find(b"\r\n" + delimiter, head)
        if blank < 0 or following < 0:
            break
        name = _NAME.search(body, head, blank)
        start = blank + 4
        if name is not None and start <= following <= start + FIELD_LIMIT and not _FILE.search(body, head, blank):
            value = body[start:following].decode("utf-8", "replace")
            fields[name[1].decode("utf-8", "replace")] = Field(value, start, following)
        at = following + 2
    return fields


def urlencoded_fields(body: bytes) -> dict[str, str]:
    """The fields of a url-encoded form; the last of a name counts."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200))
    except ValueError:
        return {}
