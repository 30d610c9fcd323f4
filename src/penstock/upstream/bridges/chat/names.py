"""Names: of tools and calls, made to fit what chat providers allow, always in the same way."""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256

ID_LIMIT = 40
"""OpenAI refuses longer ids of tool calls in chats."""
NAME_LIMIT = 64
_SHORT = re.compile(r"[A-Za-z0-9]{9}")
_WRONG = re.compile(r"[^A-Za-z0-9_-]")


def call_id(found: str, *, short: bool = False) -> str:
    """An id of a tool call that is allowed: `found` itself, or one made of it. `short`: exactly nine letters and digits."""
    if short:
        return found if _SHORT.fullmatch(found) else _digest(found)[:9]
    return found if 0 < len(found) <= ID_LIMIT else f"call_{_digest(found)[:24]}"


def fitted(name: str) -> str:
    """A name of a tool (or a schema) that is allowed: `name` itself, or one made of it."""
    plain = _WRONG.sub("_", name)
    if plain == name and 0 < len(name) <= NAME_LIMIT:
        return name
    return f"{plain[: NAME_LIMIT - 9]}_{_digest(name)[:8]}"


def _digest(text: str) -> str:
    return b32encode(sha256(text.encode("utf-8", "replace")).digest()).decode("ascii").lower()
