"""Names: of tools and calls, made to fit what OpenAI allows, always in the same way."""

from __future__ import annotations

import re
from hashlib import sha256

LIMIT = 64
_WRONG = re.compile(r"[^A-Za-z0-9_-]")


def digest(text: str) -> str:
    """A word that stands for a text: 64 hex digits."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def fitted(name: str) -> str:
    """A name of a tool or a schema that is allowed: `name` itself, or one made of it."""
    plain = _WRONG.sub("_", name)
    if plain == name and 0 < len(name) <= LIMIT:
        return name
    return f"{plain[: LIMIT - 9]}_{digest(name)[:8]}"


def fitted_id(call_id: str) -> str:
    """An id of a call that is allowed: itself, or one made of it."""
    return call_id if 0 < len(call_id) <= LIMIT else f"call_{digest(call_id)[:32]}"


def fitted_word(word: str) -> str:
    """A word of the client's (a user, a cache key) that is short enough: itself, or one made of it."""
    return word if len(word) <= LIMIT else digest(word)
