"""Index: of very many rules, the few that a request could match, without looking at the others.

Each rule is filed under something that every request it matches must have: the exact model, a key, how the model begins. What
requires nothing of the kind is always looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

from penstock.rules.conditions import Condition, Group, Leaf
from penstock.rules.facts import Facts
from penstock.rules.globs import is_glob
from penstock.rules.paths import Path, read_path

MODEL, KEY, HEADER, STARTS, BODY, ENDS, WIRE = range(7)
"""Where a rule can be filed, the most telling first. One letter with which models begin tells less than a wire."""

Mark = tuple[int, str, str]
"""What a request must have: where it is filed, the name of the header or the path in the body, the text."""


def marks_of(condition: Condition | None) -> frozenset[Mark] | None:
    """Marks of which every request that meets the condition has at least one; None if none can be told."""
    if isinstance(condition, Leaf):
        return _of_leaf(condition)
    if not isinstance(condition, Group) or condition.kind == "none":
        return None
    found = [marks_of(member) for member in condition.members]
    if condition.kind == "all":
        return min((marks for marks in found if marks is not None), key=_price, default=None)
    known = [marks for marks in found if marks is not None]
    return frozenset(chain.from_iterable(known)) if len(known) == len(found) else None


def _of_leaf(leaf: Leaf) -> frozenset[Mark] | None:
    if leaf.missing:
        return None
    values = leaf.value if isinstance(leaf.value, list) else [leaf.value]
    if leaf.on not in {"model", "key", "header", "body", "wire"} or not all(isinstance(value, str) for value in values):
        return None
    if leaf.op in {"is", "in"} or (leaf.op == "like" and not any(map(is_glob, values))):
        place = {"model": MODEL, "key": KEY, "header": HEADER, "body": BODY, "wire": WIRE}[leaf.on]
        return frozenset((place, leaf.name or "", value) for value in values)
    if leaf.on != "model" or leaf.op not in {"like", "starts", "ends"}:
        return None
    marks = [_of_text(leaf.op, value) for value in values]
    known = frozenset(mark for mark in marks if mark is not None)
    return known if None not in marks else None


def _of_text(op: str, text: str) -> Mark | None:
    if op == "starts":
        return STARTS, "", text
    if op == "ends":
        return ENDS, "", text
    if not is_glob(text):
        return MODEL, "", text
    plain = text.replace("?", "*")
    begin, end = plain.partition("*")[0], plain.rpartition("*")[2]
    if begin:
        return STARTS, "", begin
    return (ENDS, "", end) if end else None


def _price(marks: frozenset[Mark]) -> tuple[int, int, int]:
    """The less, the better to be filed under."""
    worst = max(WIRE + 1 if place in {STARTS, ENDS} and len(text) < 2 else place for place, _, text in marks)
    return worst, -min(len(text) for _, _, text in marks), len(marks)


Bucket = Sequence[int]
_NOTHING: tuple[Bucket, ...] = ()


class Beginnings:
    """Texts by which others are found that begin with them."""

    def __init__(self, buckets: dict[str, list[int]]) -> None:
        self._texts = sorted(buckets)
        self._parents: list[int] = []
        self._buckets: list[tuple[Bucket, ...]] = []
        """Of each text with those that it begins with itself."""
        open_ones: list[int] = []
        for number, text in enumerate(self._texts):
            while open_ones and not text.startswith(self._texts[open_ones[-1]]):
                open_ones.pop()
            self._parents.append(open_ones[-1] if open_ones else -1)
            self._buckets.append((buckets[text], *(self._buckets[open_ones[-1]] if open_ones else ())))
            open_ones.append(number)

    def find(self, text: str) -> tuple[Bucket, ...]:
        """The buckets of all that `text` begins with."""
        # Whatever sorts between a text and something it begins with begins with that, too: so these are the one before it
        # in order and those that that one begins with.
        number = bisect_right(self._texts, text) - 1
        while number >= 0:
            if text.startswith(self._texts[number]):
                return self._buckets[number]
            number = self._parents[number]
        return _NOTHING


class Index:
    """Positions of conditions, by what they require."""

    def __init__(self, conditions: Iterable[Condition | None]) -> None:
        filed: dict[tuple[int, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        always: list[int] = []
        for number, condition in enumerate(conditions):
            marks = marks_of(condition)
            if marks is None:
                always.append(number)
            else:
                for place, name, text in marks:
                    filed[place, name][text].append(number)
        self._always: Bucket = always
        self._models = dict(filed.get((MODEL, ""), {}))
        self._keys = dict(filed.get((KEY, ""), {}))
        self._wires = dict(filed.get((WIRE, ""), {}))
        starts, ends = filed.get((STARTS, "")), filed.get((ENDS, ""))
        self._starts = None if starts is None else Beginnings(starts)
        self._ends = None if ends is None else Beginnings({text[::-1]: bucket for text, bucket in ends.items()})
        self._headers = [(name, dict(buckets)) for (place, name), buckets in filed.items() if place == HEADER]
        self._fields: list[tuple[Path, dict[str, list[int]]]] = [
            (read_path(name, "name"), dict(buckets)) for (place, name), buckets in filed.items() if place == BODY
        ]

    def find(self, facts: Facts) -> Bucket:
        """The positions of all conditions that the request could meet, in order. Raises Exhausted."""
        found: list[Bucket] = []
        model, keys = facts.model, self._keys
        if model is not None:
            if model in self._models:
                found.append(self._models[model])
            if self._starts is not None and (buckets := self._starts.find(model)):
                found += buckets
            if self._ends is not None and (buckets := self._ends.find(model[::-1])):
                found += buckets
        if keys and facts.key_id is not None:
            if facts.key_id in keys:
                found.append(keys[facts.key_id])
            if facts.key_name in keys:
                found.append(keys[facts.key_name])
        if facts.wire in self._wires:
            found.append(self._wires[facts.wire])
        if self._headers:
            found += [filed[text] for name, filed in self._headers for text in facts.header(name) if text in filed]
        if self._fields:
            found += self._in_body(facts)
        if not found:
            return self._always
        if self._always:
            found.append(self._always)
        return found[0] if len(found) == 1 else sorted(set(chain.from_iterable(found)))

    def _in_body(self, facts: Facts) -> list[Bucket]:
        found: list[Bucket] = []
        for path, buckets in self._fields:
            value = facts.value(path)
            if isinstance(value, str) and value in buckets:
                found.append(buckets[value])
        return found
