"""Names: ids of calls, made to fit what chat providers allow, always in the same way."""

from __future__ import annotations

import re

from penstock.upstream.bridges.names import digest

ID_LIMIT = 40
"""OpenAI refuses longer ids of tool calls in chats."""
_SHORT = re.compile(r"[A-Za-z0-9]{9}")


def call_id(found: str, *, short: bool = False) -> str:
    """An id of a tool call that is allowed: `found` itself, or one made of it. `short`: exactly nine letters and digits."""
    if short:
        return found if _SHORT.fullmatch(found) else digest(found)[:9]
    return found if 0 < len(found) <= ID_LIMIT else f"call_{digest(found)[:24]}"
