"""Rule words: a rule in the platform's words, `{ruleName, conditions, actions, ...}`, and those words as a rule of ours.

What the platform's words cannot say is shown beside them, in `penstock`. See docs/rules.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.rules.actions import KINDS
from penstock.rules.given import only, wrong
from penstock.rules.models import RuleRow
from penstock.rules.service import whole_of
from penstock.rules.statistics import Use
from penstock.upstream.wires import ASKED

EXTRA = "penstock"
"""What is ours beside the platform's words."""
SCOPES = ("api", "global", "key", "model")
"""Of a condition. It says nothing that the other fields do not say: `global` is shown where there are none."""
API_TYPES = {
    "chat.completions": "chat",
    "messages.count_tokens": "count_tokens",
    "images.generations": "images",
    "audio.speech": "speech",
    "audio.transcriptions": "transcriptions",
}
"""Their name of a wire and ours, where they differ."""
_SHOWN_TYPES = {ours: theirs for theirs, ours in API_TYPES.items()}
TYPES = ("override", *(kind for kind in KINDS if kind not in ("set", "rewrite_model")), "remove")
"""Types of actions; `remove` is another word for `delete`."""
CONDITION = ("scope", "apiType", "secretKey", "model")
_ACTION = ("type", "field", "value")
_OURS = ("when", "then", "shadow", "stop")
_NAMES = {"wire": "apiType", "key": "secretKey", "model": "model"}

Names = Mapping[str, str]
"""By the ids of keys, what is shown of their tokens."""


def shown(row: RuleRow, names: Names, use: Use | None = None) -> dict[str, Any]:
    """A rule in the platform's words."""
    whole, use = whole_of(row), use or Use()
    conditions, complete = shown_conditions(whole["when"], names)
    return {
        "ruleId": row.id,
        "ruleName": row.name,
        "description": row.description,
        "priority": row.priority,
        "enabled": row.enabled,
        "conditions": conditions,
        "actions": [shown_action(each) for each in whole["then"]],
        "createdAt": clock.iso(row.created_at_ms),
        "updatedAt": clock.iso(row.changed_at_ms),
        "hitCount": use.hits,
        "lastHitAt": None if use.last_at_ms is None else clock.iso(use.last_at_ms),
        EXTRA: {**{name: whole[name] for name in _OURS}, "scope": row.scope, "complete": complete},
    }


def shown_conditions(when: Any, names: Names) -> tuple[list[dict[str, Any]], bool]:
    """A condition of ours in the platform's words, and whether they say all of it; what they cannot say is left out."""
    if when is None:
        return [], True
    members = when.get("any", [when])
    found = [_shown_condition(member, names) for member in members]
    complete = all(whole for _, whole in found)
    conditions = [condition for condition, whole in found if whole or condition.keys() - {"scope"}]
    return conditions, complete


def shown_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """An action of ours in the platform's words: they can say every one."""
    do, rest = action["do"], {name: value for name, value in action.items() if name != "do"}
    match do:
        case "rewrite_model":
            return {"type": "override", "field": "model", "value": rest["model"]}
        case "set":
            return {"type": "override", "field": rest["path"], "value": rest["value"]}
        case "move":
            return {"type": do, "field": rest["from"], "value": rest["to"]}
        case "clamp":
            return {"type": do, "field": rest.pop("path"), "value": rest}
        case "refuse":
            return {"type": do, "field": "", "value": rest}
    field = rest.get("path", rest.get("name", ""))
    value = rest.get("value", rest.get("text", rest.get("tags", rest.get("models"))))
    return {"type": do, "field": field, "value": value}


def read_action(given: Any, place: str) -> dict[str, Any]:
    """An action in the platform's words as one of ours. Raises PenstockError."""
    action = only(given, _ACTION, "An action", place)
    kind, field, value = action.get("type"), action.get("field", ""), action.get("value")
    if not isinstance(kind, str) or kind not in TYPES:
        raise wrong(f"The type of an action is one of {', '.join(TYPES)}.", f"{place}.type")
    if field is not None and not isinstance(field, str):
        raise wrong("The field is text: names between dots.", f"{place}.field")
    match kind:
        case "override":
            return {"do": "rewrite_model", "model": value} if field == "model" else {"do": "set", "path": field, "value": value}
        case "delete" | "remove":
            return {"do": "delete", "path": field}
        case "move":
            return {"do": kind, "from": field, "to": value}
        case "set_header":
            return {"do": kind, "name": field, "value": value}
        case "delete_header":
            return {"do": kind, "name": field}
        case "prepend_system" | "append_system":
            return {"do": kind, "text": value}
        case "route":
            return {"do": kind, "tags": value}
        case "fallback":
            return {"do": kind, "models": value}
        case "record":
            return {"do": kind, "value": value}
        case "clamp" | "refuse":
            more = {"path": field} if kind == "clamp" else {}
            return {"do": kind, **more, **only(value, ("min", "max") if more else ("message", "status"), "The value", f"{place}.value")}
    return {"do": kind, "path": field, "value": value}


def read_condition(given: Any, place: str, key_ids: Mapping[str, str]) -> dict[str, Any] | None:
    """A condition in the platform's words as one of ours; None: every request meets it. `key_ids` are those of what `secretKey` says."""
    condition = only(given, CONDITION, "A condition", place)
    for name in CONDITION:
        if not isinstance(condition.get(name) or "", str):
            raise wrong("This is text.", f"{place}.{name}")
    if (condition.get("scope") or "api") not in SCOPES:
        raise wrong(f"The scope is one of {', '.join(SCOPES)}.", f"{place}.scope")
    leaves: list[dict[str, Any]] = []
    if api_type := condition.get("apiType"):
        leaves.append({"on": "wire", "op": "is", "value": wire_of(api_type, f"{place}.apiType")})
    if secret := condition.get("secretKey"):
        leaves.append({"on": "key", "op": "is", "value": key_ids[secret]})
    if model := condition.get("model"):
        leaves.append({"on": "model", "op": "like", "value": model})
    return None if not leaves else leaves[0] if len(leaves) == 1 else {"all": leaves}


def read_conditions(given: Any, key_ids: Mapping[str, str]) -> dict[str, Any] | None:
    """A list of conditions, one of which is to be met, as one of ours; None: every request meets it. Raises PenstockError."""
    found = [read_condition(each, f"conditions.{number}", key_ids) for number, each in enumerate(listed(given, "conditions"))]
    some = [each for each in found if each is not None]
    if len(some) < len(found) or not some:
        return None
    return some[0] if len(some) == 1 else {"any": some}


def read_actions(given: Any) -> list[dict[str, Any]]:
    """A list of actions in the platform's words, as ours. Raises PenstockError."""
    return [read_action(each, f"actions.{number}") for number, each in enumerate(listed(given, "actions"))]


def secrets_in(given: Any) -> set[str]:
    """What the conditions of a rule say of keys."""
    found = (each.get("secretKey") for each in listed(given, "conditions") if isinstance(each, Mapping))
    return {secret for secret in found if isinstance(secret, str) and secret}


def changes_of(given: Mapping[str, Any], key_ids: Mapping[str, str], row: RuleRow | None, names: Names) -> dict[str, Any]:
    """What someone wants a rule to be, by the fields of ours. Of a rule that there is, only what is other than it is shown.

    What `penstock` says counts instead of `conditions` and `actions`. Raises PenstockError.
    """
    theirs = {"name": "ruleName", "description": "description", "priority": "priority", "enabled": "enabled"}
    changes = {ours: given[name] for ours, name in theirs.items() if given.get(name) is not None}
    extra = only(given.get(EXTRA) or {}, (*_OURS, "scope", "complete"), "What is ours", EXTRA)
    now = None if row is None else whole_of(row)
    changes |= {name: extra[name] for name in _OURS if name in extra and (now is None or extra[name] != now[name])}
    told = None if row is None else shown(row, names)
    for name, ours in (("conditions", "when"), ("actions", "then")):
        if given.get(name) is None or (told is not None and given[name] == told[name]):
            continue
        if ours in changes:
            if row is None:
                continue
            raise wrong(f"This and {EXTRA}.{ours} say different things: change one of them.", name)
        if name == "conditions" and told is not None and not told[EXTRA]["complete"]:
            raise wrong(f"The rule has conditions that cannot be said in these words: change {EXTRA}.when.", name)
        changes[ours] = read_conditions(given[name], key_ids) if name == "conditions" else read_actions(given[name])
    return changes


def wire_of(api_type: str, place: str) -> str:
    """Our wire of an apiType; ours are known too. Raises PenstockError."""
    wire = API_TYPES.get(api_type, api_type)
    if wire not in ASKED:
        known = ", ".join(_SHOWN_TYPES.get(each, each) for each in ASKED)
        raise wrong(f"The apiType is one of {known}.", place)
    return wire


def api_types() -> list[str]:
    """Every apiType."""
    return [_SHOWN_TYPES.get(each, each) for each in ASKED]


def shown_type(wire: str) -> str:
    """The apiType of a wire."""
    return _SHOWN_TYPES.get(wire, wire)


def listed(given: Any, place: str) -> Sequence[Any]:
    """A list that may have been left out. Raises PenstockError."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise wrong("This is a list.", place)
    return given


def in_their_words(error: PenstockError) -> PenstockError:
    """A refusal that names the place as the platform calls it."""
    names = {"name": "ruleName", "then": "actions", "when": "conditions"}
    first, dot, rest = (error.param or "").partition(".")
    return PenstockError(error.code, error.message, param=names.get(first, first) + dot + rest or None, retry_after_s=error.retry_after_s)


def _shown_condition(when: Mapping[str, Any], names: Names) -> tuple[dict[str, Any], bool]:
    condition: dict[str, Any] = {}
    complete = True
    for leaf in when.get("all", [when]):
        on, value = leaf.get("on"), leaf.get("value")
        name = _NAMES.get(str(on))
        if name is None or name in condition or leaf["op"] not in ("is", "like") or not isinstance(value, str) or leaf.get("missing"):
            complete = False
            continue
        condition[name] = shown_type(value) if on == "wire" else names.get(value, value) if on == "key" else value
    scope = "api" if condition else "global"
    return {"scope": scope, **{each: condition[each] for each in CONDITION if each in condition}}, complete
