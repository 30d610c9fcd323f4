"""Patterns: regular expressions that people write, in linear time and bounded memory whatever they are (RE2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from penstock.rules.given import wrong

LENGTH_LIMIT = 500
MEMORY_BYTES = 1 << 19
"""Of one pattern, while it is in use."""
KEPT = 1024
"""Patterns that are kept ready; the memory of all is bounded by this."""
STEPS_LIMIT = 2000
"""Instructions of a pattern once it is translated: counted repetitions multiply."""
_STEPS_PER_UNIT = 8
_MADE_READY, _PER_STEP = 4000, 20


def check_pattern(text: str, param: str) -> None:
    """See that a pattern can be used. Raises PenstockError."""
    if not text or len(text) > LENGTH_LIMIT:
        raise wrong(f"A pattern has 1 to {LENGTH_LIMIT} characters.", param)
    try:
        compiled = _compile(text)
    except UnicodeEncodeError:
        raise wrong("The pattern has half of a surrogate pair in it: send whole characters.", param) from None
    except re2.error as exc:
        why = exc.args[0].decode("utf-8", "replace") if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise wrong(f"The pattern cannot be used: {why[:200]}. It is a regular expression as RE2 knows them.", param) from None
    if compiled.programsize > STEPS_LIMIT:
        raise wrong("The pattern is too large once its repetitions are written out: repeat fewer times.", param)


class Pattern:
    """A pattern that was checked.

    `weight` is how much a character costs, in units of what a simple pattern takes for one; `least` what comes on top, for the pattern may
    have to be made ready again.
    """

    __slots__ = ("least", "text", "weight")

    def __init__(self, text: str) -> None:
        self.text = text
        steps = _kept(text).programsize
        self.weight = 1 + steps // _STEPS_PER_UNIT
        self.least = _MADE_READY + _PER_STEP * steps

    def within(self, text: str) -> bool:
        """Whether the text has a match in it."""
        return _kept(self.text).search(text.encode("utf-8", "replace")) is not None


def _compile(text: str) -> Any:
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    return re2.compile(text, options)


_kept = lru_cache(maxsize=KEPT)(_compile)
