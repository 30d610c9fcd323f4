"""Names: of tools and schemas, made to fit what a provider allows, always in the same way."""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256

NAME_LIMIT = 64
_WRONG = re.compile(r"[^A-Za-z0-9_-]")


def digest(text: str) -> str:
    """A word that stands for a text: 52 small letters and digits, of which the first few do where little is named."""
    return b32encode(sha256(text.encode("utf-8", "surrogatepass")).digest()).decode("ascii").rstrip("=").lower()


def fitted(name: str, limit: int = NAME_LIMIT) -> str:
    """A name of letters, digits, `_` and `-` that is not longer than allowed: `name` itself, or one made of it."""
    plain = _WRONG.sub("_", name)
    if plain == name and 0 < len(name) <= limit:
        return name
    return f"{plain[: limit - 9]}_{digest(name)[:8]}"
