"""Diff: what is different between what came and what goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from penstock.rules.facts import Facts
from penstock.rules.headers import read_lines
from penstock.rules.matching import same
from penstock.rules.paths import show_path
from penstock.rules.tree import UNREADABLE
from penstock.rules.verdict import Verdict

CHANGES_LIMIT = 200
VALUE_LIMIT = 2000
"""Characters of a value as JSON; a longer one is shown as the beginning of that text."""
ADDED, REMOVED, CHANGED, LEFT_OUT = "added", "removed", "changed", "left_out"

_Steps = tuple[str | int, ...]
_Found = tuple[str, _Steps, Any, Any]


class Change(msgspec.Struct, frozen=True):
    """One difference.

    `path` is that in the body, "" for the whole; of what was added to an array it counts as it is afterwards, of what was removed as
    it was before. In what is no JSON it is `line 12`. Of kind `LEFT_OUT` there is at most one, the last: there are more than are shown.
    """

    kind: str
    path: str
    old: Any = None
    new: Any = None


def diff(before: bytes | None, after: bytes | None, *, limit: int = CHANGES_LIMIT) -> list[Change]:
    """What is different between two bodies, of which None is none at all: by path if both are JSON, else by lines of text."""
    if before == after:
        return []
    try:
        old = [] if before is None else [msgspec.json.decode(before)]
        new = [] if after is None else [msgspec.json.decode(after)]
        found = list(islice(_items(old, new, ()), limit + 1))
        changes = [Change(kind, show_path(steps[1:]), _bounded(one), _bounded(other)) for kind, steps, one, other in found]
    except (*UNREADABLE, RecursionError):
        lines = _items(_lines(before), _lines(after), ())
        changes = [Change(kind, f"line {steps[0] + 1}", one, other) for kind, steps, one, other in islice(_numbered(lines), limit + 1)]
    return changes if len(changes) <= limit else [*changes[:limit], Change(LEFT_OUT, "")]


def diff_beside(facts: Facts, verdict: Verdict | None) -> list[Change]:
    """What a verdict changes beside the body. The paths are `model`, `headers.x-name`, `tags`, `fallbacks` and `record`."""
    if verdict is None:
        return []
    changes = []
    if verdict.model is not None and verdict.model != facts.model:
        changes.append(Change(CHANGED, "model", facts.model, verdict.model))
    present = read_lines(facts.headers)
    for name_bytes, value in verdict.headers:
        name = name_bytes.decode("latin-1")
        old = ", ".join(present[name]) if name in present else None
        new = None if value is None else value.decode("latin-1")
        if old != new:
            changes.append(Change(ADDED if old is None else REMOVED if new is None else CHANGED, show_path(("headers", name)), old, new))
    if verdict.tags is not None:
        changes.append(Change(ADDED, "tags", None, list(verdict.tags)))
    if verdict.fallbacks is not None:
        changes.append(Change(ADDED, "fallbacks", None, list(verdict.fallbacks)))
    if verdict.record is not None:
        changes.append(Change(ADDED, "record", None, verdict.record))
    return changes


def _values(old: Any, new: Any, steps: _Steps) -> Iterator[_Found]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in old.items():
            if name not in new:
                yield REMOVED, (*steps, name), value, None
            else:
                yield from _values(value, new[name], (*steps, name))
        for name, value in new.items():
            if name not in old:
                yield ADDED, (*steps, name), None, value
    elif isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, steps)
    elif not same(old, new):
        yield CHANGED, steps, old, new


def _items(old: Sequence[Any], new: Sequence[Any], steps: _Steps) -> Iterator[_Found]:
    """What is different between two arrays, apart from what they begin and end with alike."""
    shorter = min(len(old), len(new))
    begin = next((number for number in range(shorter) if not same(old[number], new[number])), shorter)
    end = next((number for number in range(shorter - begin) if not same(old[-1 - number], new[-1 - number])), shorter - begin)
    for number in range(begin, shorter - end):
        yield from _values(old[number], new[number], (*steps, number))
    for number in range(shorter - end, len(old) - end):
        yield REMOVED, (*steps, number), old[number], None
    for number in range(shorter - end, len(new) - end):
        yield ADDED, (*steps, number), None, new[number]


def _lines(body: bytes | None) -> list[str]:
    return [] if body is None else body.decode("utf-8", "replace").split("\n")


def _numbered(found: Iterator[_Found]) -> Iterator[tuple[str, tuple[int, ...], Any, Any]]:
    for kind, steps, old, new in found:
        numbers = tuple(step for step in steps if isinstance(step, int))
        yield kind, numbers, _bounded(old), _bounded(new)


def _bounded(value: Any) -> Any:
    text = msgspec.json.encode(value).decode()
    return value if len(text) <= VALUE_LIMIT else text[:VALUE_LIMIT] + "…"
