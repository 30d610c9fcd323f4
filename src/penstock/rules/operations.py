"""Operations: the overrides that new-api keeps for a channel, as conditions and actions of ours. See docs/rules.md for what becomes what.

Its operations are done one after the other, each condition looking at what the operations before have left; ours look at the request
as it came. What would not mean the same is refused, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from penstock.rules.actions import read_action
from penstock.rules.conditions import read_condition
from penstock.rules.given import is_number, only, wrong
from penstock.rules.grammar import ACTIONS_LIMIT
from penstock.rules.paths import Path, read_path, show_path

TOKENS = "NewAPIInternal.PromptTokens"
"""What new-api calls the number of tokens that the request has."""
BLOCKED = "The request was blocked by a rule."
LISTS = frozenset(("messages", "tools", "functions", "input", "contents", "system", "stop", "include", "modalities", "content", "parts"))
"""Fields that are lists wherever they are: to these an object can be added."""
_OPERATIONS_LIMIT = 1000
_OPERATION = ("path", "mode", "value", "keep_origin", "from", "to", "conditions", "logic")
_CONDITION = ("path", "mode", "value", "invert", "pass_missing_key")
_OPS = {
    "full": "is", "prefix": "starts", "suffix": "ends", "contains": "contains",
    "gt": "above", "gte": "at_least", "lt": "below", "lte": "at_most",
}  # fmt: skip
_SPECIAL = re.compile(r"[*?#@|!:\[\](){}~^%<>=\"]|\\(?!\.)")
"""What says more in its paths than ours can."""
_MODEL: Path = ("model",)


class Part(NamedTuple):
    """What becomes a rule: where it stands, its condition (None: always), and its actions."""

    place: str
    when: Mapping[str, Any] | None
    then: list[Mapping[str, Any]]


def from_fields(fields: Mapping[str, Any]) -> list[Part]:
    """The older form: a map of fields of the body, dots meaning nothing in their names, and the values they get."""
    actions = []
    for name, value in fields.items():
        path = name.replace("\\", "\\\\").replace(".", "\\.")
        actions.append(_checked(_set(path, value, name[:100]), name[:100]))
    if not actions:
        raise wrong("The override is empty.", "operations")
    return [Part("fields", None, actions[at : at + ACTIONS_LIMIT]) for at in range(0, len(actions), ACTIONS_LIMIT)]


def from_operations(operations: Any) -> list[Part]:
    """The list of operations. Raises PenstockError for what would not mean the same here."""
    if not isinstance(operations, list) or not 1 <= len(operations) <= _OPERATIONS_LIMIT:
        raise wrong(f"The operations are a list of 1 to {_OPERATIONS_LIMIT}.", "operations")
    reader = _Reader()
    for number, operation in enumerate(operations):
        reader.read(operation, f"operations.{number}")
    if not reader.parts:
        raise wrong("None of these operations does anything.", "operations")
    return reader.parts


class _Reader:
    """Reads operation after operation, and remembers what they have touched and which requests they let pass."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._touched: dict[Path, str] = {}
        self._passed: list[Mapping[str, Any]] = []
        """Conditions of `pass`: whoever meets one goes no further."""
        self._over = False

    def read(self, given: Any, place: str) -> None:
        """One more operation."""
        operation = only(given, _OPERATION, "An operation", place)
        mode = operation.get("mode")
        conditions = self._conditions(operation, place)
        if self._over:
            return
        if mode == "pass":
            if conditions is None:
                self._over = True
            else:
                self._passed.append(conditions)
            return
        actions, touched, extra = self._actions(mode, operation, place)
        when = _joined([*extra, *([] if conditions is None else [conditions])], self._passed)
        if when is not None:
            read_condition(when, f"{place}.conditions")
        last = self.parts[-1] if self.parts else None
        if last is not None and last.when == when and len(last.then) + len(actions) <= ACTIONS_LIMIT:
            last.then.extend(actions)
        else:
            self.parts.append(Part(place, when, actions))
        for path in touched:
            self._touched.setdefault(path, place)

    def _actions(self, mode: Any, given: Mapping[str, Any], place: str) -> tuple[list[Mapping[str, Any]], list[Path], list[Any]]:
        """The actions of an operation, the paths they touch, and what must be so besides its conditions."""
        if mode == "block":
            return [_checked({"do": "refuse", "message": BLOCKED}, place)], [], []
        if mode == "move":
            source, target = (_path(given.get(name), f"{place}.{name}") for name in ("from", "to"))
            moved = {"do": "move", "from": show_path(source), "to": show_path(target)}
            return [_checked(moved, place)], [source, target], []
        if mode not in ("set", "delete", "append", "prepend"):
            raise wrong("The modes set, delete, move, append, prepend, block and pass are known.", f"{place}.mode")
        path = _path(given.get("path"), f"{place}.path")
        if mode == "delete":
            return [_checked({"do": "delete", "path": show_path(path)}, place)], [path], []
        if "value" not in given:
            raise wrong("The value is missing.", f"{place}.value")
        keep = _flag(given, "keep_origin", place)
        if mode == "set":
            extra = [self._leaf(path, {"op": "exists", "value": False}, f"{place}.keep_origin")] if keep else []
            return [_checked(_set(show_path(path), given["value"], f"{place}.path"), place)], [path], extra
        if keep:
            raise wrong("keep_origin says how objects are merged, which actions here do not do.", f"{place}.keep_origin")
        values = _added(mode, path, given["value"], f"{place}.value")
        return [_checked({"do": mode, "path": show_path(path), "value": value}, place) for value in values], [path], []

    def _conditions(self, operation: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
        given = operation.get("conditions")
        given = [] if given is None else given
        if not isinstance(given, list):
            raise wrong("The conditions are a list.", f"{place}.conditions")
        logic = operation.get("logic", "OR")
        if not isinstance(logic, str) or logic.upper() not in ("AND", "OR"):
            raise wrong("The logic is AND or OR; without any it is OR.", f"{place}.logic")
        found = [self._condition(each, f"{place}.conditions.{number}") for number, each in enumerate(given)]
        if len(found) <= 1:
            return found[0] if found else None
        return {"all" if logic.upper() == "AND" else "any": found}

    def _condition(self, given: Any, place: str) -> Mapping[str, Any]:
        condition = only(given, _CONDITION, "A condition", place)
        mode = condition.get("mode")
        if not isinstance(mode, str) or mode.lower() not in _OPS:
            raise wrong(f"The modes {', '.join(_OPS)} are known.", f"{place}.mode")
        mode, value = mode.lower(), condition.get("value")
        if mode in ("prefix", "suffix", "contains"):
            if not isinstance(value, str):
                raise wrong("The value is text: numbers are not taken for text here.", f"{place}.value")
            if not value:
                return self._exists(condition, place)
        if mode in ("gt", "gte", "lt", "lte") and not is_number(value):
            raise wrong("The value is a number.", f"{place}.value")
        inverted, passes = _flag(condition, "invert", place), _flag(condition, "pass_missing_key", place)
        compared = {"op": _OPS[mode], "value": value}
        if condition.get("path") == TOKENS:
            leaf: dict[str, Any] = {"on": "input_tokens", **compared}
        else:
            path = _path(condition.get("path"), f"{place}.path")
            leaf = self._leaf(path, compared, place)
            # what is missing is decided before anything is inverted
            leaf |= {"missing": True} if passes != inverted else {}
        read_condition(leaf, place)
        return {"none": [leaf]} if inverted else leaf

    def _exists(self, condition: Mapping[str, Any], place: str) -> Mapping[str, Any]:
        """Every text begins with the empty one: this is how new-api is asked whether there is a field."""
        inverted, passes = _flag(condition, "invert", place), _flag(condition, "pass_missing_key", place)
        if passes != inverted:
            raise wrong(f"This is {'never' if inverted else 'always'} met: leave it out.", place)
        path = _path(condition.get("path"), f"{place}.path")
        return self._leaf(path, {"op": "exists", "value": not inverted}, place)

    def _leaf(self, path: Path, compared: Mapping[str, Any], place: str) -> dict[str, Any]:
        for touched, by in self._touched.items():
            shorter = min(len(touched), len(path))
            if touched[:shorter] == path[:shorter]:
                raise wrong(f"This looks at what {by} may have changed; rules look at the request as it came.", place)
        return {"on": "model", **compared} if path == _MODEL else {"on": "body", "name": show_path(path), **compared}


def _set(path: str, value: Any, place: str) -> dict[str, Any]:
    if path == "model":
        if not isinstance(value, str):
            raise wrong("The name of a model is text.", place)
        return {"do": "rewrite_model", "model": value}
    return {"do": "set", "path": path, "value": value}


def _added(mode: str, path: Path, value: Any, place: str) -> Sequence[Any]:
    """What is added one after the other: a list is added element by element."""
    if isinstance(value, list):
        if not value:
            raise wrong("There is nothing to add.", place)
        return list(reversed(value)) if mode == "prepend" else value
    if isinstance(value, str) or path[-1] in LISTS:
        return [value]
    raise wrong("Whether this is added to a list or merged into an object cannot be seen: for a list, write it as a list.", place)


def _joined(wanted: Sequence[Mapping[str, Any]], passed: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    parts = [*wanted, *([{"none": list(passed)}] if passed else [])]
    if len(parts) <= 1:
        return parts[0] if parts else None
    return {"all": parts}


def _path(given: Any, place: str) -> Path:
    if not isinstance(given, str):
        raise wrong("The path is missing.", place)
    if _SPECIAL.search(given):
        raise wrong("In a path only names, numbers and dots are known here.", place)
    return read_path(given, place)


def _flag(given: Mapping[str, Any], name: str, place: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise wrong("This is true or false.", f"{place}.{name}")
    return value


def _checked(action: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    read_action(action, place)
    return action
