"""Stickiness: what in a request says that it goes on with something, so that it should go where the rest of that went.

Providers keep the beginnings of prompts for some minutes, which makes them cheap and fast; each credential has its own. Nothing is
parsed: a wrong guess costs a provider's cache, no more.
"""

from __future__ import annotations

from zlib import crc32

HEAD_BYTES, TAIL_BYTES = 1024, 2048
"""So much is searched at the beginning and at the end of a body, where its own fields are."""
LONG_BYTES = 4096
"""Shorter bodies have nothing that it pays to keep."""
PREFIX_BYTES = 2048
VALUE_BYTES = 256
"""Of a key, if it is longer."""
_FIELDS = (b'"prompt_cache_key"', b'"previous_response_id"')
_HEADERS = (b"x-claude-code-session-id: ", b"session_id: ", b"x-session-affinity: ", b"x-session-id: ", b"conversation_id: ")
_NAMED = tuple(b"\n" + name for name in _HEADERS)


def stickiness(body: bytes, forward: bytes, model: str, who: str) -> bytes | None:
    """The key of whatever the request belongs to; None if nothing says so.

    `forward` are its header lines, with names in small letters; `who` is whoever asks: keys of two callers are never the same.
    """
    found = _field(body) or _header(forward)
    if found is None:
        if len(body) <= LONG_BYTES:
            return None
        found = b"%d" % crc32(body[:PREFIX_BYTES])
    return b"%b\0%b\0%b" % (who.encode(), model.encode(errors="replace"), found)


def _field(body: bytes) -> bytes | None:
    """The value of a field that says it. In the text of a message its quotes would be escaped."""
    size = len(body)
    for name in _FIELDS:
        at = body.rfind(name, 0, HEAD_BYTES)  # faster here than find
        if at < 0 and size > HEAD_BYTES:
            at = body.rfind(name, max(HEAD_BYTES - len(name), size - TAIL_BYTES))
        if at < 0:
            continue
        at += len(name)
        head = body[at : at + VALUE_BYTES].lstrip(b" \t\r\n")
        if not head.startswith(b":"):
            continue  # a value, or the end of one
        value = head[1:].lstrip(b" \t\r\n")
        if value.startswith(b'"') and (text := value[1:].partition(b'"')[0]):
            return text
    return None


def _header(forward: bytes) -> bytes | None:
    """The value of a header that says it."""
    if b"session" not in forward and b"conversation_id" not in forward:
        return None
    for name, named in zip(_HEADERS, _NAMED, strict=True):
        if forward.startswith(name):
            at = 0
        elif (at := forward.find(named)) >= 0:
            at += 1
        else:
            continue
        begin = at + len(name)
        end = forward.find(b"\r", begin, begin + VALUE_BYTES)
        if value := forward[begin : end if end >= 0 else begin + VALUE_BYTES].strip():
            return value
    return None
