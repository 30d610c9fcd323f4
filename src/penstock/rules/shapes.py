"""Shapes of the control API of rules: what it takes and what it shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from penstock.rules.grammar import ACTIONS_LIMIT, DESCRIPTION_LIMIT, NAME_LIMIT, PRIORITY_LIMIT
from penstock.rules.service import BATCH_LIMIT
from penstock.rules.sets import FORMAT

_LEFT_OUT: Any = Field(default_factory=lambda: None)  # a factory's value is in no schema, and what is left out is not looked at
_WHEN = {"all": [{"on": "model", "value": "gpt-4o*"}, {"on": "body", "name": "temperature", "op": "above", "value": 1}]}
_THEN = [{"do": "set", "path": "temperature", "value": 1}]
_BODY = {"model": "gpt-4o", "temperature": 2, "messages": [{"role": "user", "content": "Hello!"}]}
_RULE = {"name": "calm down", "when": _WHEN, "then": _THEN}
_SET_EXAMPLE = {"format": FORMAT, "rules": [_RULE]}
SET_CONTENT: dict[str, Any] = {
    "application/json": {"schema": {"type": "object"}, "example": _SET_EXAMPLE},
    "text/plain": {"schema": {"type": "string"}, "example": "gpt-4=>gpt-4o,claude-3-haiku=>claude-3-5-haiku"},
}
SET: dict[int | str, dict[str, Any]] = {
    200: {"description": "A set of rules.", "content": {"application/json": SET_CONTENT["application/json"]}}
}


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


Name = Annotated[
    str, Field(min_length=1, max_length=NAME_LIMIT, description="Unique among the rules of the account.", examples=["calm down"])
]
When = Annotated[
    dict[str, Any] | None, Field(description="A condition, or a group of them: see docs/rules.md. Null: every request.", examples=[_WHEN])
]
Then = Annotated[
    list[dict[str, Any]], Field(min_length=1, max_length=ACTIONS_LIMIT, description="Actions, done in this order.", examples=[_THEN])
]


class _Terms(BaseModel):
    description: Annotated[str, Field(max_length=DESCRIPTION_LIMIT)] = _LEFT_OUT
    priority: Annotated[
        StrictInt, Field(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Those with a lower one are applied first; the last one wins.")
    ] = _LEFT_OUT
    enabled: StrictBool = _LEFT_OUT
    shadow: Annotated[StrictBool, Field(description="It is counted, and changes nothing.")] = _LEFT_OUT
    stop: Annotated[StrictBool, Field(description="No rule after it counts, if this one does.")] = _LEFT_OUT
    when: When = _LEFT_OUT


class RuleGiven(_Terms):
    """A rule to be made."""

    model_config = _example(**_RULE)

    name: Name
    scope: Annotated[
        Literal["own", "all"], Field(description="`all`: for everybody's requests; the operator's, and for administrators alone.")
    ] = _LEFT_OUT
    then: Then


class RuleChanged(_Terms):
    """What is to be changed of a rule; what is left out stays as it is."""

    model_config = _example(priority=10, shadow=True)

    name: Name = _LEFT_OUT
    then: Then = _LEFT_OUT


class RuleShown(BaseModel):
    """A rule, and how often it was used."""

    id: Annotated[str, Field(examples=["rul_..."])]
    account_id: str
    scope: Literal["own", "all"]
    name: Annotated[str, Field(examples=["calm down"])]
    description: Annotated[str, Field(examples=[""])]
    priority: int
    enabled: bool
    shadow: bool
    stop: bool
    when: Annotated[dict[str, Any] | None, Field(examples=[_WHEN])]
    then: Annotated[list[dict[str, Any]], Field(examples=[_THEN])]
    created_at: str
    changed_at: str
    hits: Annotated[int, Field(description="Requests that it has acted on.")]
    shadow_hits: Annotated[int, Field(description="Requests that it would have acted on, but for its shadow mode.")]
    errors: Annotated[int, Field(description="Actions that could not be applied.")]
    last_at: Annotated[str | None, Field(description="When a request last met its conditions; null: never, or very long ago.")]


class RulePage(BaseModel):
    """Some rules, in the order in which they are applied."""

    data: list[RuleShown]
    next: Annotated[str | None, Field(description="The cursor of the next page; null: there is none.")]


class Batch(BaseModel):
    """What is to be done to several rules: to all of them or, where one is missing, to none."""

    model_config = _example(do="disable", ids=["rul_..."])

    do: Literal["enable", "disable", "delete"]
    ids: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=BATCH_LIMIT)]


class BatchDone(BaseModel):
    """What was done to which rules."""

    do: Literal["enable", "disable", "delete"]
    ids: Annotated[list[str], Field(examples=[["rul_..."]])]


class CopyGiven(BaseModel):
    """What a copy is to be called."""

    model_config = _example(name="calm down more")

    name: Name = _LEFT_OUT


class NameChecked(BaseModel):
    """Whether a name can be given to a rule."""

    name: Annotated[str, Field(examples=["calm down"])]
    is_free: bool
    problem: Annotated[str | None, Field(description="Why it cannot be one; null: it can, where it is free.")]


class LimitsShown(BaseModel):
    """How many rules there may be, and how large they may become."""

    rules: int
    used: int
    conditions: int
    depth: Annotated[int, Field(description="Groups of conditions within each other.")]
    actions: int
    name_length: int
    description_length: int
    priority: Annotated[int, Field(description="The greatest; the least is its negative.")]
    size_bytes: Annotated[int, Field(description="Of a rule as JSON.")]
    wires: Annotated[list[str], Field(examples=[["chat", "messages"]])]
    kinds: Annotated[list[str], Field(description="What actions can do.", examples=[["set", "delete"]])]
    fixed_fields: Annotated[list[str], Field(description="What no action may touch.", examples=[["stream"]])]


class DayShown(BaseModel):
    """How often rules were used on a day, in UTC."""

    date: Annotated[str, Field(examples=["2027-01-31"])]
    hits: int
    shadow_hits: int
    errors: int


class ErrorShown(BaseModel):
    """Why an action of a rule could not be applied, the last time."""

    rule_id: Annotated[str, Field(examples=["rul_..."])]
    date: Annotated[str, Field(examples=["2027-01-31"])]
    reason: Annotated[str, Field(examples=["a path leads through a text"])]


class StatisticsShown(BaseModel):
    """How many rules there are, and how often they were used."""

    total: int
    enabled: int
    disabled: int
    shadow: int
    wires: Annotated[
        dict[str, int], Field(description="How many name each wire; `any`: those that name none.", examples=[{"any": 1, "chat": 2}])
    ]
    hits: int
    shadow_hits: int
    errors: int
    last_at: str | None
    days: list[DayShown]
    last_errors: list[ErrorShown]


class RuleRead(BaseModel):
    """A rule of a set, as it was understood."""

    name: Annotated[str, Field(examples=["calm down"])]
    description: Annotated[str, Field(examples=[""])]
    priority: int
    enabled: bool
    shadow: bool
    stop: bool
    scope: Literal["own", "all"]
    when: Annotated[dict[str, Any] | None, Field(examples=[_WHEN])]
    then: Annotated[list[dict[str, Any]], Field(examples=[_THEN])]


class ImportShown(BaseModel):
    """What an import has done, or would do: names of rules, and the rules of the set."""

    dry_run: bool
    created: Annotated[list[str], Field(examples=[["calm down"]])]
    changed: Annotated[list[str], Field(examples=[[]])]
    unchanged: Annotated[list[str], Field(examples=[[]])]
    rules: list[RuleRead]


class TrialGiven(BaseModel):
    """A request to try rules on. Nothing is sent anywhere, and nothing is counted."""

    model_config = _example(wire="chat", body=_BODY, rules=[_RULE])

    wire: Annotated[str, Field(max_length=50, description="The protocol.", examples=["chat"])] = "chat"
    model: Annotated[str | None, Field(max_length=512, description="Default: the body's.")] = None
    key: Annotated[str | None, Field(max_length=200, description="A key of the account, by its id or name.", examples=["key_..."])] = None
    channel: Annotated[
        str | None, Field(max_length=100, description="The channel it would go to, by its name: rules that wait for it are applied too.")
    ] = None
    channel_tags: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50)] = []
    headers: Annotated[dict[str, str], Field(max_length=100, examples=[{"user-agent": "curl/8"}])] = {}
    body: Annotated[dict[str, Any] | None, Field(description="Null: a form, an upload or nothing.", examples=[_BODY])] = None
    input_tokens: Annotated[StrictInt, Field(ge=0, le=10**9, description="How many the request has, or would be estimated to have.")] = 0
    at: Annotated[str | None, Field(max_length=64, description="The moment; default: now.", examples=["2027-01-31T12:00:00Z"])] = None
    rules: Annotated[
        list[dict[str, Any]],
        Field(
            max_length=100,
            description="Rules that are not saved. One with the `id` of a saved rule is tried in its place, others beside those.",
            examples=[[_RULE]],
        ),
    ] = []
    saved: Annotated[StrictBool, Field(description="Try the saved rules too.")] = True


class Blame(BaseModel):
    """A condition because of which a rule has not matched."""

    at: Annotated[str, Field(description="Where it stands in the rule.", examples=["when.all.0"])]
    condition: Annotated[dict[str, Any], Field(examples=[_WHEN["all"][0]])]
    met: Annotated[bool, Field(description="It was met, within a group of none.")]
    found: Annotated[bool, Field(description="There was something to look at.")]
    seen: Annotated[Any, Field(description="What that was.", examples=["claude-sonnet-4-5"])]


class RuleTried(BaseModel):
    """What came of a rule."""

    id: Annotated[str, Field(description="Of one that is not saved: its own, or `new-` and its number.", examples=["rul_..."])]
    name: Annotated[str, Field(examples=["calm down"])]
    scope: Literal["own", "all"]
    matched: bool
    shadow: bool
    applied: Annotated[bool, Field(description="It has matched, and nothing has kept it from acting.")]
    why: Annotated[str | None, Field(description="Why it was not applied.", examples=["when.all.0 is not met"])]
    blamed: list[Blame]
    skipped: Annotated[list[str], Field(description="Why actions could not be applied.", examples=[[]])]


class Difference(BaseModel):
    """Something that is another now: a place of the body, or beside it `model`, `headers.x-name`, `tags`, `fallbacks` or `record`."""

    kind: Annotated[Literal["added", "removed", "changed", "left_out"], Field(description="`left_out`: there are more, not shown.")]
    path: Annotated[str, Field(examples=["temperature"])]
    old: Annotated[Any, Field(examples=[2])]
    new: Annotated[Any, Field(description="Of headers that the operator's rules set, members see `[operator]`.", examples=[1])]


class RefusalShown(BaseModel):
    """That a rule has refused the request; nothing else is changed then."""

    by: Annotated[str, Field(description="The id of the rule; for members `operator's rules`.", examples=["rul_..."])]
    status: Annotated[int, Field(examples=[403])]
    message: Annotated[str, Field(examples=["Ask for another model."])]


class StageShown(BaseModel):
    """What one stage has made of the request: the account's own rules, the operator's, those that wait for the channel."""

    stage: Literal["own", "operator", "channel"]
    matched: Annotated[int, Field(description="How many rules have matched.")]
    body: list[Difference]
    beside: list[Difference]


class TrialShown(BaseModel):
    """Which rules have matched, which have not and why, and what has become of the request."""

    rules: list[RuleTried]
    stages: list[StageShown]
    before: Annotated[dict[str, Any] | None, Field(examples=[_BODY])]
    after: Annotated[dict[str, Any] | None, Field(examples=[{**_BODY, "temperature": 1}])]
    model: Annotated[str | None, Field(description="What is asked for in the end.", examples=["gpt-4o"])]
    tags: Annotated[list[str] | None, Field(description="Only channels with one of these tags; null: any.", examples=[None])]
    record: Annotated[bool | None, Field(description="Whether a record is kept; null: as the key says.", examples=[None])]
    refusal: RefusalShown | None
    waiting: Annotated[list[str], Field(description="Rules that wait for a channel: name one.", examples=[[]])]
