"""Grammar: what a rule is. Reads what was given, refuses what cannot be meant, and shows it again in one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.kit.errors import PenstockError
from penstock.rules.actions import PER_ATTEMPT, Action, read_action
from penstock.rules.conditions import Condition, leaves, read_condition
from penstock.rules.given import check_json, only, wrong

ACTIONS_LIMIT = 50
NAME_LIMIT = 100
DESCRIPTION_LIMIT = 1000
PRIORITY_LIMIT = 1_000_000
OWN, ALL = "own", "all"
FIELDS = ("name", "description", "priority", "enabled", "shadow", "stop", "scope", "when", "then")


class RuleTerms(msgspec.Struct, frozen=True):
    """All that a rule says; its id is the business of who keeps it."""

    name: str
    description: str
    priority: int
    enabled: bool
    shadow: bool
    """It is evaluated and counted, and changes nothing."""
    stop: bool
    """No rule after it counts, if this one does."""
    scope: str
    """`OWN`: for requests of the account it belongs to. `ALL`: the operator's, for everybody's."""
    when: Condition | None
    """None: every request."""
    then: tuple[Action, ...]

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON, in the one spelling in which it is kept and shown; `read_rule` takes it as it is."""
        return {
            "name": self.name,
            "description": self.description,
            "priority": self.priority,
            "enabled": self.enabled,
            "shadow": self.shadow,
            "stop": self.stop,
            "scope": self.scope,
            "when": None if self.when is None else self.when.to_dict(),
            "then": [action.to_dict() for action in self.then],
        }

    @property
    def late(self) -> bool:
        """Whether it depends on the channel, and so is applied to each attempt anew."""
        return self.when is not None and any(leaf.on == "channel" for leaf in leaves(self.when))


def read_rule(given: Mapping[str, Any], *, is_operator: bool) -> RuleTerms:
    """A rule as someone has written it: the fields of `FIELDS`, of which only `name` and `then` must be there.

    Raises PenstockError 400, whose `param` is the place, such as `when.all.0.value`; 403 for a rule for all of one who is no operator.
    """
    fields = only(given, FIELDS, "A rule", "")
    check_json(fields)
    terms = RuleTerms(
        name=_read_name(fields.get("name")),
        description=_read_description(fields.get("description", "")),
        priority=_read_priority(fields.get("priority", 0)),
        enabled=_read_flag(fields, "enabled", usual=True),
        shadow=_read_flag(fields, "shadow", usual=False),
        stop=_read_flag(fields, "stop", usual=False),
        scope=_read_scope(fields.get("scope", OWN), is_operator=is_operator),
        when=None if fields.get("when") is None else read_condition(fields["when"], "when"),
        then=_read_actions(fields.get("then")),
    )
    if terms.late:
        for number, action in enumerate(terms.then):
            if not isinstance(action, PER_ATTEMPT):
                raise wrong(
                    "A rule with a condition on the channel changes the body and headers only: the channel is known when money was held.",
                    f"then.{number}.do",
                )
    return terms


def _read_name(given: Any) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= NAME_LIMIT or not given.isprintable() or given.strip() != given:
        raise wrong(f"A rule's name has 1 to {NAME_LIMIT} printable characters and no blanks around it.", "name")
    return given


def _read_description(given: Any) -> str:
    if not isinstance(given, str) or len(given) > DESCRIPTION_LIMIT or not given.translate({9: "", 10: "", 13: ""}).isprintable():
        raise wrong(f"A description has at most {DESCRIPTION_LIMIT} printable characters.", "description")
    return given


def _read_priority(given: Any) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or abs(given) > PRIORITY_LIMIT:
        raise wrong(f"The priority is a whole number from {-PRIORITY_LIMIT:,} to {PRIORITY_LIMIT:,}.", "priority")
    return given


def _read_flag(fields: Mapping[str, Any], name: str, *, usual: bool) -> bool:
    given = fields.get(name, usual)
    if not isinstance(given, bool):
        raise wrong(f"`{name}` is true or false.", name)
    return given


def _read_scope(given: Any, *, is_operator: bool) -> str:
    if given not in (OWN, ALL):
        raise wrong(f"The scope is {OWN} or {ALL}.", "scope")
    if given == ALL and not is_operator:
        raise PenstockError(
            "forbidden", "Rules for everybody's requests are the operator's: leave the scope out, or say own.", param="scope"
        )
    return str(given)


def _read_actions(given: Any) -> tuple[Action, ...]:
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= ACTIONS_LIMIT:
        raise wrong(f"`then` is a list of 1 to {ACTIONS_LIMIT} actions.", "then")
    return tuple(read_action(action, f"then.{number}") for number, action in enumerate(given))
