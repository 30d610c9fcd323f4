"""Conditions: what a request is to be like for a rule to count. Groups of all, any or none, and leaves that look at one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.rules import headers, patterns
from penstock.rules.given import is_number, only, wrong
from penstock.rules.paths import read_path
from penstock.rules.spans import read_span
from penstock.upstream.wires import ASKED

DEPTH_LIMIT = 5
LEAVES_LIMIT = 50
VALUES_LIMIT = 1000
TEXT_LIMIT = 4096
GLOB_LIMIT = 512
KINDS = ("all", "any", "none")

COMPARED = ("above", "at_least", "below", "at_most")
_SEARCHED = ("contains", "starts", "ends")
_TEXT = ("is", "in", "like", "matches", *_SEARCHED)
_NUMBERS = ("is", "in", *COMPARED)
OPERATORS: dict[str, tuple[str, ...]] = {
    "wire": ("is", "in"),
    "model": ("like", "is", "in", "matches", *_SEARCHED, "exists"),
    "key": ("is", "in", "like"),
    "channel": ("like", "is", "in", *_SEARCHED),
    "header": (*_TEXT, "exists"),
    "body": (*_TEXT, *COMPARED, "exists"),
    "input_tokens": _NUMBERS,
    "stream": ("is",),
    "time": ("is",),
}
"""What can be looked at, and how; the first operator is taken where none is given."""
_FIELDS = ("on", "name", "op", "value", "missing")
_NAMED = ("header", "body")


class Leaf(msgspec.Struct, frozen=True):
    """A condition on one thing."""

    on: str
    name: str | None
    """The header's name in lower case, or the path in the body; "tag" where a channel's tags are meant."""
    op: str
    value: Any
    missing: bool
    """What it gives where there is no such thing."""

    def to_dict(self) -> dict[str, Any]:
        """The condition as JSON."""
        shown: dict[str, Any] = {"on": self.on}
        if self.name is not None:
            shown["name"] = self.name
        if self.on != "time":
            shown["op"] = self.op
        shown["value"] = self.value
        return shown | ({"missing": True} if self.missing else {})


class Group(msgspec.Struct, frozen=True):
    """Conditions of which all, any or none must be met."""

    kind: str
    members: tuple[Condition, ...]

    def to_dict(self) -> dict[str, Any]:
        """The conditions as JSON."""
        return {self.kind: [member.to_dict() for member in self.members]}


Condition = Leaf | Group


def read_condition(given: Any, param: str) -> Condition:
    """A condition with all within it. Raises PenstockError."""
    condition = _read(given, param, 0)
    if sum(1 for _ in leaves(condition)) > LEAVES_LIMIT:
        raise wrong(f"A rule has at most {LEAVES_LIMIT} conditions.", param)
    return condition


def leaves(condition: Condition) -> list[Leaf]:
    """Every leaf of a condition, in order."""
    if isinstance(condition, Leaf):
        return [condition]
    return [leaf for member in condition.members for leaf in leaves(member)]


def _read(given: Any, param: str, depth: int) -> Condition:
    if isinstance(given, Mapping):
        for kind in KINDS:
            if kind in given:
                return _read_group(only(given, (kind,), "A group of conditions", param)[kind], kind, f"{param}.{kind}", depth + 1)
    return _read_leaf(only(given, _FIELDS, "A condition", param), param)


def _read_group(given: Any, kind: str, param: str, depth: int) -> Group:
    if depth > DEPTH_LIMIT:
        raise wrong(f"Groups of conditions are at most {DEPTH_LIMIT} deep.", param)
    if not isinstance(given, list | tuple) or not given:
        raise wrong("A group is a list of at least one condition.", param)
    return Group(kind, tuple(_read(member, f"{param}.{number}", depth) for number, member in enumerate(given)))


def _read_leaf(given: Mapping[str, Any], param: str) -> Leaf:
    on = given.get("on")
    if not isinstance(on, str) or on not in OPERATORS:
        raise wrong(f"`on` says what is looked at: {', '.join(OPERATORS)}; or this is a group: all, any, none.", f"{param}.on")
    name = _read_name(on, given.get("name"), f"{param}.name")
    first, *_ = known = ("is", "in", "like") if (on, name) == ("channel", "tag") else OPERATORS[on]
    op = given.get("op", first)
    if not isinstance(op, str) or op not in known:
        raise wrong(f"`op` for {on} is one of {', '.join(known)}.", f"{param}.op")
    missing = given.get("missing", False)
    if not isinstance(missing, bool):
        raise wrong("`missing` is true or false.", f"{param}.missing")
    if "value" not in given:
        raise wrong("A condition has a value to compare with.", f"{param}.value")
    return Leaf(on, name, op, _read_value(on, op, given["value"], f"{param}.value"), missing)


def _read_name(on: str, given: Any, param: str) -> str | None:
    if given is not None and not isinstance(given, str):
        raise wrong("A name is text.", param)
    name: str | None = given
    if on in _NAMED:
        if not name:
            raise wrong(f"A condition on {on} has a name: {'the path in the body' if on == 'body' else 'of the header'}.", param)
        if on == "header":
            return headers.read_visible(name, param)
        if read_path(name, param)[0] == "model":
            raise wrong("The model is looked at by `on: model`, which also knows what rules have made of it.", param)
    elif name is not None and (on, name) != ("channel", "tag"):
        raise wrong(f"A condition on {on} has no name.", param)
    return name


def _read_value(on: str, op: str, value: Any, param: str) -> Any:
    if on == "time":
        return read_span(value, param)[1]
    if on == "stream" or op == "exists":
        if not isinstance(value, bool):
            raise wrong("The value is true or false.", param)
        return value
    if op == "matches":
        if not isinstance(value, str):
            raise wrong("The value is a pattern.", param)
        patterns.check_pattern(value, param)
        return value
    if op in COMPARED:
        if not is_number(value):
            raise wrong("The value is a number.", param)
        return value
    _check_values(on, op, value, param)
    return list(value) if isinstance(value, tuple) else value


def _check_values(on: str, op: str, value: Any, param: str) -> None:
    if not isinstance(value, list | tuple):
        if op == "in":
            raise wrong("The value of `in` is a list.", param)
        _check_one(on, op, value, param)
        return
    if not 1 <= len(value) <= VALUES_LIMIT:
        raise wrong(f"A list of values has 1 to {VALUES_LIMIT} of them.", param)
    for number, one in enumerate(value):
        _check_one(on, op, one, f"{param}.{number}")


def _check_one(on: str, op: str, value: Any, param: str) -> None:
    if on == "input_tokens":
        if not is_number(value):
            raise wrong("The value is a number.", param)
    elif on == "wire":
        if value not in ASKED:
            raise wrong(f"The value is the name of a wire: {', '.join(ASKED)}.", param)
    elif on == "body" and op in {"is", "in", "contains"}:
        return
    elif not isinstance(value, str):
        raise wrong("The value is text.", param)
    elif op not in {"is", "in"} and not value:
        raise wrong("The value is not empty: every text would do.", param)
    elif len(value) > (GLOB_LIMIT if op == "like" else TEXT_LIMIT):
        raise wrong(f"The value has at most {GLOB_LIMIT if op == 'like' else TEXT_LIMIT} characters.", param)
