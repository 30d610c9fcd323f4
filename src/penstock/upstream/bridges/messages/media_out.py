"""Media that go out: pictures and documents as Anthropic takes them, and the marks of its cache."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any

from penstock.upstream.bridges.conversation import Document, Image
from penstock.upstream.bridges.dropped import Dropped, refuse

_DATA_URL = re.compile(r"data:([\w/+.-]*)(?:;[\w=-]+)*;base64,", re.ASCII)
_PICTURES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_READABLE = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript")

Block = dict[str, Any]


def marked(block: Block, cache: str | None) -> Block:
    """The block with its cache mark."""
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}
    return block


def image_block(image: Image, dropped: Dropped) -> Block:
    """A picture."""
    if image.detail not in ("", "auto"):
        dropped.note("detail")
    media_type, data = image.media_type, image.data
    if found := _DATA_URL.match(image.url):
        media_type, data = found[1], image.url[found.end() :]
    if data:
        media_type = media_type.lower()
        source = {"type": "base64", "media_type": _PICTURES.get(media_type, media_type) or "image/png", "data": data}
    elif image.url:
        source = {"type": "url", "url": image.url}
    else:
        raise refuse("A picture by the id of another vendor's file", "messages")
    return marked({"type": "image", "source": source}, image.cache)


def document_block(document: Document) -> Block:
    """A document. Only PDF and text can be said."""
    media_type = document.media_type.lower().partition(";")[0]
    source: Block
    if document.text:
        source = {"type": "text", "media_type": "text/plain", "data": document.text}
    elif document.data and media_type in ("application/pdf", ""):
        source = {"type": "base64", "media_type": "application/pdf", "data": document.data}
    elif document.data and media_type.startswith(_READABLE):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(document.data)}
    elif document.data:
        raise refuse(f"A file of type {media_type}", "messages")
    elif document.url:
        source = {"type": "url", "url": document.url}
    elif document.file_id:
        raise refuse("A file by the id of another vendor's", "messages")
    else:
        source = {"type": "text", "media_type": "text/plain", "data": "(empty)"}
    block: Block = {"type": "document", "source": source}
    if document.name:
        block["title"] = document.name
    return marked(block, document.cache)


def _decoded(data: str) -> str:
    try:
        return b64decode(data).decode("utf-8", "replace") or "(empty)"
    except (binascii.Error, ValueError):
        return data


def keep_last_marks(blocks: list[Block], limit: int) -> None:
    """Take the cache marks from all but the last `limit` of `blocks`, which are in the order of the prompt."""
    with_mark = [block for block in blocks if "cache_control" in block]
    for block in with_mark[: max(0, len(with_mark) - limit)]:
        del block["cache_control"]
