"""Globs: names with `*` (any run of characters) and `?` (any one), case-sensitive, nothing else special."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache

NAME_LIMIT = 512
"""Characters of the longest name that is compared; longer ones match nothing. Bounds the time and the cache."""


def matches(globs: tuple[str, ...], name: str) -> bool:
    """Whether any of the globs matches the whole name; verdicts are remembered, the 16,384 last used."""
    return len(name) <= NAME_LIMIT and _verdict(globs, name)


@lru_cache(maxsize=16_384)
def _verdict(globs: tuple[str, ...], name: str) -> bool:
    return any(_compiled(glob).match(name) for glob in globs)


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    # The standard translation never backtracks over an earlier `*`: time is linear in the name for each part.
    return re.compile(translate(glob.replace("[", "[[]")))
