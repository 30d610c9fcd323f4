"""Sets of rules in a file: our own, to be kept and brought in elsewhere, and what other gateways call model rewrites and overrides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from penstock.kit.errors import PenstockError
from penstock.rules.grammar import ALL, FIELDS, NAME_LIMIT, OWN, PRIORITY_LIMIT
from penstock.rules.models import RuleRow
from penstock.rules.operations import from_fields, from_operations
from penstock.rules.service import OPERATOR_RULES_LIMIT, free_name, refusal, whole_of

FORMAT = "penstock.rules/1"
SIZE_LIMIT = 8 * 1024 * 1024
Kind = Literal["auto", "penstock", "rewrites", "new-api"]


class Entry(NamedTuple):
    """A rule of a set: where it stands there, and what it says."""

    place: str
    given: Mapping[str, Any]


class Reading(NamedTuple):
    """How what is not our own is read: what the rules are called by, their priority (the first one's), and whose requests they are for."""

    name: str = "imported"
    priority: int = 0
    scope: str = OWN


def read_set(raw: bytes, kind: Kind = "auto", reading: Reading = Reading()) -> list[Entry]:  # noqa: B008  it is immutable
    """The rules of a set. Our own are checked when they are brought in. Raises PenstockError, which names the place.

    `auto` knows our own sets, `a=>b,c=>d` and new-api's `operations` by their looks; a plain map of fields must be called `new-api`.
    """
    if len(raw) > SIZE_LIMIT:
        raise PenstockError("body_too_large", f"A set of rules has at most {SIZE_LIMIT // 1024 // 1024} MiB.")
    if reading.scope not in (OWN, ALL):
        raise refusal(f"The scope is {OWN} or {ALL}.", "scope")
    if abs(reading.priority) > PRIORITY_LIMIT:
        raise refusal(f"The priority is a whole number from {-PRIORITY_LIMIT:,} to {PRIORITY_LIMIT:,}.", "priority")
    try:
        text = raw.decode("utf-8-sig").strip()
    except ValueError:
        raise PenstockError("invalid_json", "This is not UTF-8.") from None
    if not text:
        raise refusal("There is nothing in it.", "rules")
    is_text = kind == "rewrites" or (kind == "auto" and text[0] not in '{["')
    found = _rewrites(text, reading) if is_text else _read_json(text, kind, reading)
    if not 1 <= len(found) <= OPERATOR_RULES_LIMIT:
        raise refusal(f"A set has 1 to {OPERATOR_RULES_LIMIT} rules.", "rules")
    return found


def write_set(rows: Iterable[RuleRow]) -> bytes:
    """Rules as a set of our own."""
    return json.dumps({"format": FORMAT, "rules": [whole_of(row) for row in rows]}, indent=2, ensure_ascii=False).encode() + b"\n"


def _read_json(text: str, kind: Kind, reading: Reading) -> list[Entry]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        reason = str(wrong) if isinstance(wrong, ValueError) else "it is too deep"
        raise PenstockError("invalid_json", f"This is no JSON that can be read: {reason}.") from None
    if kind == "new-api":
        return _overrides(found, reading)
    if isinstance(found, dict) and "rules" not in found and kind == "auto":
        if "operations" in found:
            return _overrides(found, reading)
        raise refusal("This is no set of rules. If it is new-api's map of fields, say so: format new-api.", "rules")
    return _own(found)


def _own(found: Any) -> list[Entry]:
    rules = found
    if isinstance(found, dict):
        if found.get("format", FORMAT) != FORMAT:
            raise refusal(f"This format is not known; it is {FORMAT}.", "format")
        if unknown := found.keys() - {"format", "rules"}:
            raise refusal("A set has the fields format and rules.", min(unknown)[:100])
        rules = found.get("rules")
    if not isinstance(rules, list):
        raise refusal("A set of rules is a list of them, or an object with such a list in `rules`.", "rules")
    entries = [Entry(f"rules.{number}", _fields(rule, f"rules.{number}")) for number, rule in enumerate(rules)]
    names: set[Any] = set()
    for entry in entries:
        name = entry.given.get("name")
        if isinstance(name, str) and name in names:
            raise refusal("Each name is given once.", f"{entry.place}.name")
        names.add(name if isinstance(name, str) else None)
    return entries


def _fields(rule: Any, place: str) -> Mapping[str, Any]:
    """A rule without what is only shown of it: a list that was read over the API is a set, too."""
    if not isinstance(rule, dict):
        raise refusal("A rule is an object.", place)
    shown = {"id", "account_id", "created_at", "changed_at", "hits", "shadow_hits", "errors", "last_at"}
    return {name: value for name, value in rule.items() if name in FIELDS or name not in shown}


def _rewrites(text: str, reading: Reading) -> list[Entry]:
    """`a=>b,c=>d`, as the reverse proxy for Cloudflare Workers has it: a rule for each pair, for exactly this model."""
    entries: list[Entry] = []
    names = _Names()
    sources: set[str] = set()
    for number, item in enumerate(text.split(",")):
        place = f"rewrites.{number}"
        if not item.strip():
            continue
        source, arrow, target = (part.strip() for part in item.partition("=>"))
        if not arrow or not source or not target or "=>" in target:
            raise refusal("Write model1=>model2,model3=>model4.", place)
        if source in sources:
            raise refusal(f"The model '{source[:100]}' is rewritten twice.", place)
        if len(entries) == OPERATOR_RULES_LIMIT:
            raise refusal(f"A set has 1 to {OPERATOR_RULES_LIMIT} rules.", "rules")
        name = names.take(f"{source} => {target}")
        sources.add(source)
        when = {"on": "model", "op": "is", "value": source}
        given = {"name": name, "priority": reading.priority, "scope": reading.scope, "when": when}
        entries.append(Entry(place, {**given, "then": [{"do": "rewrite_model", "model": target}]}))
    return entries


class _Names:
    """Names that are given once each: those that are too long may begin alike."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        """This name or, if it is taken, with a number behind it."""
        name = wanted[:NAME_LIMIT].rstrip()
        while name in self._taken:  # seldom twice: the number goes on where it was
            begin = wanted[: NAME_LIMIT - len(" 5000")].rstrip()
            self._numbers[begin] = number = self._numbers.get(begin, 1) + 1
            name = f"{begin} {number}"
        self._taken.add(name)
        return name


def _overrides(found: Any, reading: Reading) -> list[Entry]:
    """new-api's `param_override`: a list of operations, or the older map of fields."""
    if not isinstance(found, dict):
        raise refusal("An override is an object.", "operations")
    if "operations" in found:
        if unknown := found.keys() - {"operations"}:
            raise refusal("Beside operations, new-api looks at nothing else.", min(unknown)[:100])
        parts = from_operations(found["operations"])
    else:
        parts = from_fields(found)
    last = reading.priority + len(parts) - 1
    if last > PRIORITY_LIMIT:
        raise refusal("With so many rules the priority would become too great.", "priority")
    return [
        Entry(
            part.place,
            {
                "name": free_name(f"{reading.name} {number}", ()),
                "priority": reading.priority + number - 1,
                "scope": reading.scope,
                "when": part.when,
                "then": part.then,
            },
        )
        for number, part in enumerate(parts, 1)
    ]
