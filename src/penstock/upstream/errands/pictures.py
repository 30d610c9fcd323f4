"""Pictures: fetched from where a provider has put them, unpacked from a zip, and written into JSON."""

from __future__ import annotations

import zipfile
import zlib
from base64 import b64encode
from io import BytesIO

from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.complaints import unreadable
from penstock.upstream.errands.errand import Order

FILE_LIMIT = 32 * 1024 * 1024
"""Bytes of one picture."""
ALL_LIMIT = 64 * 1024 * 1024
FILES_LIMIT = 16
_KINDS = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, OverflowError)
"""All that `zipfile` is known to raise for what is no zip, is damaged, encrypted or packed in some other way."""


def kind_of(data: bytes) -> str | None:
    """The media type of a picture by its first bytes; None for what is none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in _KINDS if data.startswith(begin)), None)


def data_url(data: bytes) -> str:
    """A picture as a URL that holds it."""
    return f"data:{kind_of(data) or 'application/octet-stream'};base64,{b64encode(data).decode('ascii')}"


async def as_base64(order: Order, url: str) -> str:
    """The picture at a URL, in base64. Raises ProviderRefusal when it does not come, or is none."""
    if url.startswith("data:"):
        return url.partition(",")[2]
    try:
        answer = await order.download(url)
    except UpstreamError as failure:  # the picture has been made: that says nothing of whoever makes them
        raise unreadable(f"a picture cannot be fetched: {failure}") from failure
    if answer.status >= 300:
        raise unreadable(f"a picture cannot be fetched (status {answer.status})")
    if kind_of(answer.body) is None or len(answer.body) > FILE_LIMIT:
        raise unreadable("what is at a picture's URL is none, or is too large")
    return b64encode(answer.body).decode("ascii")


def unpacked(data: bytes) -> list[bytes]:
    """The pictures in a zip, in order of their names; a picture alone is as good. Raises ProviderRefusal.

    No more is unpacked than the limits allow, whatever the zip says of itself.
    """
    if kind_of(data) is not None:
        return [data]
    try:
        found = _unzipped(data)
    except _BROKEN:
        raise unreadable("it is no zip that can be read") from None
    if not found:
        raise unreadable("there is no picture in it")
    return found


def _unzipped(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    room = ALL_LIMIT
    with zipfile.ZipFile(BytesIO(data)) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > FILES_LIMIT:
            raise unreadable("there are too many files in it")
        for info in sorted(infos, key=lambda info: info.filename):
            with archive.open(info) as member:
                content = member.read(min(FILE_LIMIT, room) + 1)
            if len(content) > min(FILE_LIMIT, room):
                raise unreadable("a file in it is too large")
            room -= len(content)
            if kind_of(content) is not None:
                found.append(content)
    return found
