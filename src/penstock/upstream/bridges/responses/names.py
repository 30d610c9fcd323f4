"""Names: ids of calls and words of the client's, made to fit what OpenAI allows, always in the same way."""

from __future__ import annotations

from penstock.upstream.bridges.names import digest

LIMIT = 64


def fitted_id(call_id: str) -> str:
    """An id of a call that is allowed: itself, or one made of it."""
    return call_id if 0 < len(call_id) <= LIMIT else f"call_{digest(call_id)[:32]}"


def fitted_word(word: str) -> str:
    """A word of the client's (a user, a cache key) that is short enough: itself, or one made of it."""
    return word if len(word) <= LIMIT else digest(word)
