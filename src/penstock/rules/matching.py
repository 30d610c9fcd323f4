"""Matching: conditions made ready to be looked at, each a function from facts to whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from penstock.rules.conditions import Condition, Leaf
from penstock.rules.facts import Facts
from penstock.rules.given import is_number
from penstock.rules.globs import Glob, is_glob
from penstock.rules.paths import read_path
from penstock.rules.patterns import Pattern
from penstock.rules.spans import read_span
from penstock.rules.tree import MISSING

Test = Callable[[Facts], bool]
"""Whether a request is like that. Raises Exhausted and nothing else."""
Check = Callable[[Any, Facts], bool]
"""The same of one value that was found."""
_COMPARED = 100
"""What a comparison takes, in bytes that could be gone through meanwhile."""


def as_test(condition: Condition | None) -> Test:
    """Whether a request meets a condition; None: every request does."""
    if condition is None:
        return lambda _: True
    if isinstance(condition, Leaf):
        return _leaf(condition)
    tests = tuple(as_test(member) for member in condition.members)
    if len(tests) == 1 and condition.kind != "none":
        return tests[0]
    return _GROUPS[condition.kind](tests)


def _all(tests: tuple[Test, ...]) -> Test:
    def test(facts: Facts) -> bool:
        for one in tests:  # noqa: SIM110  half the time of all()
            if not one(facts):
                return False
        return True

    return test


def _any(tests: tuple[Test, ...]) -> Test:
    def test(facts: Facts) -> bool:
        for one in tests:  # noqa: SIM110  half the time of any()
            if one(facts):
                return True
        return False

    return test


def _none(tests: tuple[Test, ...]) -> Test:
    found = _any(tests)
    return lambda facts: not found(facts)


_GROUPS: dict[str, Callable[[tuple[Test, ...]], Test]] = {"all": _all, "any": _any, "none": _none}


def _leaf(leaf: Leaf) -> Test:
    if leaf.on == "time":
        span, _ = read_span(leaf.value, "value")
        return lambda facts: span.holds(facts.now_ms)
    if leaf.on == "stream":
        return lambda facts: facts.stream is leaf.value
    if leaf.op == "exists":
        return _existing(leaf)
    look, check, missing = looking(leaf), _CHECKS[leaf.op](leaf.value), leaf.missing

    def test(facts: Facts) -> bool:
        found = look(facts)
        if not found:
            return missing
        for value in found:  # noqa: SIM110  half the time of any()
            if check(value, facts):
                return True
        return False

    return test


def _existing(leaf: Leaf) -> Test:
    wanted = leaf.value
    if leaf.on == "body":
        path = read_path(leaf.name or "", "name")
        return lambda facts: facts.has(path) is wanted
    look = looking(leaf)
    return lambda facts: bool(look(facts)) is wanted


def looking(leaf: Leaf) -> Callable[[Facts], Iterable[Any]]:
    """What a leaf looks at, as the values of which any may do; none: it is not there."""
    if leaf.on == "header":
        name = leaf.name or ""
        return lambda facts: facts.header(name)
    if leaf.on == "body":
        path = read_path(leaf.name or "", "name")
        return lambda facts: () if (value := facts.value(path)) is MISSING else (value,)
    if (leaf.on, leaf.name) == ("channel", "tag"):
        return lambda facts: facts.tags
    return _LOOKS[leaf.on]


_LOOKS: dict[str, Callable[[Facts], Iterable[Any]]] = {
    "wire": lambda facts: (facts.wire,),
    "model": lambda facts: () if facts.model is None else (facts.model,),
    "key": lambda facts: () if facts.key_id is None else (facts.key_id, facts.key_name),
    "channel": lambda facts: () if facts.channel is None else (facts.channel,),
    "input_tokens": lambda facts: (facts.input_tokens,),
    "stream": lambda facts: (facts.stream,),
    "time": lambda facts: (facts.now_ms,),
}


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, but neither is "1" or true."""
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _values(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


def _weight(values: Iterable[Any]) -> int:
    """What it takes to compare something with each of these, in bytes that could be gone through meanwhile."""
    weight, waiting = 0, [*values]
    while waiting:
        value = waiting.pop()
        weight += _COMPARED
        if isinstance(value, list | dict):
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return weight


def _is(given: Any) -> Check:
    texts = frozenset(value for value in _values(given) if isinstance(value, str))
    others = tuple(value for value in _values(given) if not isinstance(value, str))
    weight = _weight(others)

    def check(value: Any, facts: Facts) -> bool:
        if isinstance(value, str):
            return value in texts
        facts.spend(weight)
        return bool(others) and any(same(other, value) for other in others)

    return check


def _like(given: Any) -> Check:
    plain = frozenset(glob for glob in _values(given) if not is_glob(glob))
    wild = tuple(Glob(glob) for glob in _values(given) if is_glob(glob))
    least, weight = _COMPARED * len(wild), sum(glob.weight for glob in wild)

    def check(value: Any, facts: Facts) -> bool:
        if not isinstance(value, str) or not wild:
            return isinstance(value, str) and value in plain
        if value in plain:
            return True
        facts.spend(least + weight * len(value))
        for glob in wild:  # noqa: SIM110  half the time of any()
            if glob.matches(value):
                return True
        return False

    return check


def _matches(given: str) -> Check:
    pattern = Pattern(given)

    def check(value: Any, facts: Facts) -> bool:
        if not isinstance(value, str):
            return False
        facts.spend(pattern.least + len(value) * pattern.weight)
        return pattern.within(value)

    return check


def _contains(given: Any) -> Check:
    wanted = _values(given)
    texts = tuple(value for value in wanted if isinstance(value, str))
    weight = _weight(wanted)

    def check(value: Any, facts: Facts) -> bool:
        if isinstance(value, str):
            facts.spend(len(value) * len(texts))
            return any(text in value for text in texts)
        if isinstance(value, list):
            facts.spend(len(value) * weight)
            return any(same(one, element) for one in wanted for element in value)
        return False

    return check


def _starts(given: Any) -> Check:
    texts = _values(given)
    return lambda value, _facts: isinstance(value, str) and value.startswith(texts)


def _ends(given: Any) -> Check:
    texts = _values(given)
    return lambda value, _facts: isinstance(value, str) and value.endswith(texts)


_CHECKS: dict[str, Callable[[Any], Check]] = {
    "is": _is,
    "in": _is,
    "like": _like,
    "matches": _matches,
    "contains": _contains,
    "starts": _starts,
    "ends": _ends,
    "above": lambda limit: lambda value, _facts: is_number(value) and value > limit,
    "at_least": lambda limit: lambda value, _facts: is_number(value) and value >= limit,
    "below": lambda limit: lambda value, _facts: is_number(value) and value < limit,
    "at_most": lambda limit: lambda value, _facts: is_number(value) and value <= limit,
}
