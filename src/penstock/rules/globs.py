"""Globs in conditions: `*` is any run of characters, `?` any one, nothing else is special. Texts may be of any length.

`kit.globs` is for names, which are short and few: it keeps verdicts and compiled patterns, of which members' rules could have millions.
"""

from __future__ import annotations

import re

_LITERAL = re.compile(r"[^?]+")


def is_glob(text: str) -> bool:
    """Whether a glob is more than a plain name."""
    return "*" in text or "?" in text


class Glob:
    """A glob made ready. `weight` is how often it may go through a text."""

    __slots__ = ("_end", "_least", "_middle", "_start", "weight")

    def __init__(self, text: str) -> None:
        parts = [_Part(part) for part in text.split("*")]
        self.weight = sum(len(part.literals) + 1 for part in parts)
        self._least = sum(part.size for part in parts) if len(parts) > 1 else -parts[0].size
        self._start = parts[0]
        self._end = parts[-1]
        self._middle = [part for part in parts[1:-1] if part.size]

    def matches(self, text: str) -> bool:
        """Whether the whole text is like that."""
        if self._least < 0:  # no star
            return len(text) == -self._least and self._start.stands_at(0, text)
        end = len(text) - self._end.size
        if len(text) < self._least or not self._start.stands_at(0, text) or not self._end.stands_at(end, text):
            return False
        at = self._start.size
        for part in self._middle:  # the first place where each fits leaves the most for those after it
            found = part.find(text, at, end)
            if found < 0:
                return False
            at = found + part.size
        return True


class _Part:
    """What stands between two stars: literals with `?` between them."""

    __slots__ = ("literals", "size")

    def __init__(self, text: str) -> None:
        self.size = len(text)
        self.literals = [(match.start(), match[0]) for match in _LITERAL.finditer(text)]
        self.literals.sort(key=lambda literal: -len(literal[1]))

    def stands_at(self, at: int, text: str) -> bool:
        for offset, literal in self.literals:  # noqa: SIM110  half the time of all()
            if not text.startswith(literal, at + offset):
                return False
        return True

    def find(self, text: str, at: int, end: int) -> int:
        """The first place from `at` on where it stands before `end`; -1 if there is none."""
        last = end - self.size
        if not self.literals:
            return at if at <= last else -1
        offset, longest = self.literals[0]
        while at <= last:
            found = text.find(longest, at + offset, last + offset + len(longest))
            if found < 0:
                return -1
            if self.stands_at(found - offset, text):
                return found - offset
            at = found - offset + 1
        return -1
