"""The platform's calls for override rules, under `/api/v1/user/override-rules`. They take a management key, and act on its account."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from fastapi import APIRouter, Depends, Request, Response

from penstock.accounts.api.asking import Who
from penstock.accounts.identity import Identity
from penstock.compat import rule_words as words
from penstock.compat.envelope import PREFIX, REFUSALS, Envelope, fields, ok, takes
from penstock.keys.facts import masked
from penstock.keys.service import Keys
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.rules.conditions import LEAVES_LIMIT
from penstock.rules.grammar import ACTIONS_LIMIT, DESCRIPTION_LIMIT, NAME_LIMIT, PRIORITY_LIMIT
from penstock.rules.imports import Report, bring_in
from penstock.rules.models import RuleRow
from penstock.rules.paths import FIXED
from penstock.rules.service import BATCH_LIMIT, ID_PREFIX, Rules, Wanted, check_name, refusal
from penstock.rules.sets import Entry, read_set
from penstock.rules.statistics import Uses, totals_of
from penstock.rules.trial import Asked, Trials

PAGE_SIZE, PAGE_SIZE_MOST = 20, 200
FORMAT = "penstock.override-rules/1"
_CONDITIONS = [{"scope": "api", "apiType": "chat.completions", "secretKey": "sk-...", "model": "gpt-4o"}]
_ACTIONS = [{"type": "override", "field": "temperature", "value": 0.7}]
_RULE: dict[str, Any] = {
    "ruleName": "calm down", "description": "", "priority": 0, "enabled": True, "conditions": _CONDITIONS, "actions": _ACTIONS,
}  # fmt: skip
_BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello!"}]}
T = TypeVar("T")


class Desk(NamedTuple):
    """Who calls, and what the calls act on."""

    who: Identity
    rules: Rules
    uses: Uses
    trials: Trials
    keys: Keys

    async def names(self) -> dict[str, str]:
        """What is shown of the account's keys, by their ids."""
        return {key.id: masked(key) for key in await self.keys.list(self.who.account_id)}

    async def get(self, given: Mapping[str, Any]) -> RuleRow:
        """The rule that is meant by its id."""
        return await self.rules.get(_rule_id(given), self.who.account_id)

    async def shown(self, rows: Sequence[RuleRow]) -> list[dict[str, Any]]:
        """Rules in the platform's words."""
        names, used = await self.names(), await self.uses.of([row.id for row in rows])
        return [words.shown(row, names, used.get(row.id)) for row in rows]

    async def changes(self, given: Mapping[str, Any], row: RuleRow | None = None) -> dict[str, Any]:
        """What someone wants a rule to be, by the fields of ours."""
        names = {} if row is None else await self.names()
        said = row is None and words.EXTRA in given
        same = row is not None and words.shown(row, names)["conditions"] == given.get("conditions")
        secrets = () if said or same else words.secrets_in(given.get("conditions"))
        key_ids = {secret: (await self.keys.meant(secret, self.who.account_id)).id for secret in secrets}
        return words.changes_of(given, key_ids, row, names)

    async def unsaved(self, given: Any, place: str) -> dict[str, Any]:
        """A rule to be tried, in place of the saved one whose id it has."""
        rule = _object(given, place)
        return {**({"id": rule["ruleId"]} if "ruleId" in rule else {}), **await self.listed(rule, place)}

    async def listed(self, rule: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The same of a rule in a list; a refusal names its place there."""
        try:
            return await self.changes(rule)
        except PenstockError as refused:
            raise PenstockError(refused.code, f"{place}: {refused.message}", param=place) from None


def _desk(request: Request, who: Who) -> Desk:
    state = request.app.state
    return Desk(who, cast(Rules, state.rules), cast(Uses, state.rule_uses), cast(Trials, state.rule_trials), cast(Keys, state.keys))


On = Annotated[Desk, Depends(_desk)]
routes = APIRouter(prefix=f"{PREFIX}/user/override-rules", tags=["platform"], responses=REFUSALS)


async def create(request: Request, desk: On) -> Response:
    """Make a rule; `data` is the rule."""
    given = await _fields(request)
    row = await _told(desk.rules.create(desk.who, await desk.changes(given), desk.who.account_id))
    return ok((await desk.shown([row]))[0], "Create override rule success")


async def update(request: Request, desk: On) -> Response:
    """Change a rule; what is left out stays as it is."""
    given = await _fields(request)
    row = await desk.get(given)
    changes = await desk.changes(given, row)
    row = await _told(desk.rules.change(desk.who, row.id, changes, desk.who.account_id))
    return ok((await desk.shown([row]))[0], "Update override rule success")


async def delete(request: Request, desk: On) -> Response:
    """Delete a rule."""
    await desk.rules.delete(desk.who, [_rule_id(await _fields(request))], desk.who.account_id)
    return ok(None, "Delete override rule success")


async def get(request: Request, desk: On) -> Response:
    """Show a rule."""
    return ok((await desk.shown([await desk.get(await _fields(request))]))[0], "Get override rule success")


async def list_(request: Request, desk: On) -> Response:
    """A page of the account's rules, in the order in which they are applied, and how many there are."""
    given = await _fields(request)
    number, size = _number(given, "page", 1, 10**6) or 1, _number(given, "pageSize", 1, PAGE_SIZE_MOST) or PAGE_SIZE
    rows = await desk.rules.all(Wanted(desk.who.account_id, "own", _switch(given, "enabled"), search=_text(given, "search") or None))
    if api_type := _text(given, "apiType"):
        wire = words.wire_of(api_type, "apiType")
        rows = [row for row in rows if wire in totals_of([row]).wires]
    shown = await desk.shown(rows[(number - 1) * size : number * size])
    return ok({"rules": shown, "total": len(rows), "page": number, "pageSize": size}, f"Get override rules success, total: {len(rows)}")


async def batch_toggle(request: Request, desk: On) -> Response:
    """Switch several rules on or off: all or, where one is missing, none."""
    given = await _fields(request)
    enabled = _switch(given, "enabled")
    if enabled is None:
        raise refusal("enabled is missing.", "enabled")
    rows = await desk.rules.switch(desk.who, _rule_ids(given), enabled=enabled, account_id=desk.who.account_id)
    return ok({"ruleIds": [row.id for row in rows], "enabled": enabled}, "Toggle override rules success")


async def batch_delete(request: Request, desk: On) -> Response:
    """Delete several rules: all or, where one is missing, none."""
    rows = await desk.rules.delete(desk.who, _rule_ids(await _fields(request)), desk.who.account_id)
    return ok({"ruleIds": [row.id for row in rows]}, "Delete override rules success")


async def copy(request: Request, desk: On) -> Response:
    """Make a rule like another, which is switched off until it is wanted."""
    given = await _fields(request)
    row = await _told(desk.rules.copy(desk.who, _rule_id(given), _text(given, "ruleName") or None, desk.who.account_id))
    return ok((await desk.shown([row]))[0], "Copy override rule success")


async def test(request: Request, desk: On) -> Response:
    """Try the rules, and those that are sent along, on a request that is made up. Nothing is sent anywhere."""
    given = await _fields(request)
    unsaved = [await desk.unsaved(rule, f"rules.{number}") for number, rule in enumerate(words.listed(_json(given, "rules"), "rules"))]
    secret = _text(given, "secretKey")
    asked = Asked(
        wire=words.wire_of(_text(given, "apiType") or "chat.completions", "apiType"),
        model=_text(given, "model") or None,
        key=(await desk.keys.meant(secret, desk.who.account_id)).id if secret else None,
        headers=_texts(_json(given, "headers")),
        body=None if _json(given, "body") is None else _object(_json(given, "body"), "body"),
        rules=unsaved,
    )
    return ok(_tried(await _told(desk.trials.run(desk.who, desk.who.account_id, asked))), "Test override rules success")


async def stats(request: Request, desk: On) -> Response:
    """How many rules there are, and how often they, or one of them, were used."""
    given = await _fields(request)
    rows = [await desk.get(given)] if given.get("ruleId") else await desk.rules.all(Wanted(desk.who.account_id, "own"))
    ids = [row.id for row in rows]
    totals, used = totals_of(rows), (await desk.uses.of(ids)).values()
    last_at_ms = max((use.last_at_ms for use in used if use.last_at_ms is not None), default=None)
    told = {
        "total": totals.total,
        "enabled": totals.enabled,
        "disabled": totals.total - totals.enabled,
        "byApiType": {words.shown_type(wire): count for wire, count in totals.wires.items()},
        "hitCount": sum(use.hits for use in used),
        "errorCount": sum(use.errors for use in used),
        "lastHitAt": None if last_at_ms is None else clock.iso(last_at_ms),
        "days": [{"date": day.date, "hitCount": day.hits} for day in await desk.uses.days(ids, clock.now_ms())],
    }
    return ok(told, "Get override rule stats success")


async def limits(desk: On) -> Response:
    """How many rules there may be, and what may stand in them."""
    told = {
        "maxRules": desk.rules.limits.own,
        "usedRules": await desk.rules.used(desk.who.account_id, "own"),
        "maxConditions": LEAVES_LIMIT,
        "maxActions": ACTIONS_LIMIT,
        "maxNameLength": NAME_LIMIT,
        "maxDescriptionLength": DESCRIPTION_LIMIT,
        "maxPriority": PRIORITY_LIMIT,
        "scopes": list(words.SCOPES),
        "apiTypes": words.api_types(),
        "actionTypes": list(words.TYPES),
        "forbiddenFields": sorted(FIXED - {"model"}),
    }
    return ok(told, "Get override rule limits success")


async def check(request: Request, desk: On) -> Response:
    """Whether a rule may be called so."""
    given = await _fields(request)
    name = given.get("ruleName")
    if not isinstance(name, str):
        raise refusal("ruleName is missing.", "ruleName")
    reason = check_name(name)
    if reason is None and not await desk.rules.is_free(name, desk.who.account_id, _text(given, "ruleId") or None):
        reason = "There is a rule of that name already."
    return ok({"ruleName": name, "available": reason is None, "reason": reason}, "Check override rule name success")


async def export(desk: On) -> Response:
    """All rules of the account, to be kept or brought in again."""
    rows = await desk.rules.all(Wanted(desk.who.account_id, "own"))
    return ok({"format": FORMAT, "rules": await desk.shown(rows)}, f"Export override rules success, total rules: {len(rows)}")


async def import_(request: Request, desk: On) -> Response:
    """Bring rules in, all or none: in the platform's words, as a set of ours, as `a=>b,c=>d`, or as new-api's operations."""
    given = await _fields(request)
    sent = given.get("rules")
    if isinstance(sent, str) and sent.strip()[:1] in ("{", "["):
        sent = _json(given, "rules")
    if isinstance(sent, dict) and sent.get("format") == FORMAT:
        sent = sent.get("rules")
    if isinstance(sent, list) and sent and all(isinstance(rule, dict) and "ruleName" in rule for rule in sent):
        entries = [Entry(place, await desk.listed(rule, place)) for number, rule in enumerate(sent) if (place := f"rules.{number}")]
    elif sent is None:
        raise refusal("rules is missing.", "rules")
    else:
        raw = (sent if isinstance(sent, str) else json.dumps(sent)).encode(errors="surrogatepass")
        entries = await asyncio.to_thread(read_set, raw)
    dry_run = _switch(given, "dryRun") or False
    report: Report = await _told(bring_in(desk.rules, desk.who, desk.who.account_id, entries, dry_run=dry_run))
    told = {"dryRun": dry_run, "created": report.created, "updated": report.changed, "unchanged": report.unchanged}
    return ok(told, "Import override rules success")


_CALLS: tuple[tuple[Callable[..., Awaitable[Response]], str, str, dict[str, Any] | None], ...] = (
    (create, "create", "create_override_rule", takes("ruleName", "actions", **_RULE)),
    (update, "update", "update_override_rule", takes("ruleId", ruleId="rul_...", **_RULE)),
    (delete, "delete", "delete_override_rule", takes("ruleId", ruleId="rul_...")),
    (get, "get", "get_override_rule", takes("ruleId", ruleId="rul_...")),
    (list_, "list", "list_override_rules", takes(page=1, pageSize=PAGE_SIZE, enabled=True, apiType="chat.completions", search="calm")),
    (batch_toggle, "batch-toggle", "toggle_override_rules", takes("ruleIds", "enabled", ruleIds=["rul_..."], enabled=False)),
    (copy, "copy", "copy_override_rule", takes("ruleId", ruleId="rul_...", ruleName="calm down more")),
    (
        test, "test", "test_override_rules",
        takes(apiType="chat.completions", model="gpt-4o", secretKey="sk-...", body=_BODY, headers={"user-agent": "curl/8"}, rules=[_RULE]),
    ),
    (stats, "stats", "get_override_rule_stats", takes(ruleId="rul_...")),
    (limits, "limits", "get_override_rule_limits", None),
    (check, "check-name", "check_override_rule_name", takes("ruleName", ruleName="calm down", ruleId="rul_...")),
    (batch_delete, "batch-delete", "delete_override_rules", takes("ruleIds", ruleIds=["rul_..."])),
    (export, "export", "export_override_rules", None),
    (import_, "import", "import_override_rules", takes("rules", rules=[_RULE], dryRun=True)),
)  # fmt: skip

for _call, _path, _name, _takes in _CALLS:
    routes.add_api_route(
        f"/{_path}", _call, methods=["POST"], response_model=Envelope, operation_id=f"platform_{_name}", openapi_extra=_takes
    )


async def _fields(request: Request) -> dict[str, Any]:
    """The fields, those that are structures in forms as what they are."""
    given = await fields(request, float)
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise PenstockError("invalid_json", "A text has half of a surrogate pair in it: send whole characters.") from None
    for name in ("conditions", "actions", "ruleIds", words.EXTRA):
        if name in given:
            given[name] = _json(given, name)
    given["priority"] = _number(given, "priority", -PRIORITY_LIMIT, PRIORITY_LIMIT)
    given["enabled"] = _switch(given, "enabled")
    return {name: value for name, value in given.items() if value is not None}


async def _told(act: Awaitable[T]) -> T:
    """What comes of an act; a refusal names the place as the platform calls it."""
    try:
        return await act
    except PenstockError as refused:
        raise words.in_their_words(refused) from None


def _tried(found: Mapping[str, Any]) -> dict[str, Any]:
    rules = [{"ruleId": rule["id"], "ruleName": rule["name"], "reason": rule["why"]} for rule in found["rules"]]
    matched = {rule["id"] for rule in found["rules"] if rule["matched"]}
    diff = [{**each, "stage": stage["stage"]} for stage in found["stages"] for each in (*stage["body"], *stage["beside"])]
    return {
        "matchedRules": [rule for rule in rules if rule["ruleId"] in matched],
        "unmatchedRules": [rule for rule in rules if rule["ruleId"] not in matched],
        "operatorRules": sum(stage["matched"] for stage in found["stages"] if stage["stage"] == "operator"),
        "original": found["before"],
        "result": found["after"],
        "model": found["model"],
        "diff": diff,
        "refused": found["refusal"],
    }


def _rule_id(given: Mapping[str, Any]) -> str:
    rule_id = given.get("ruleId")
    if not isinstance(rule_id, str) or not rule_id:
        raise refusal("ruleId is missing.", "ruleId")
    if not rule_id.startswith(ID_PREFIX):
        raise PenstockError("not_found", f"There is no rule '{rule_id[:200]}'.", param="ruleId")
    return rule_id


def _rule_ids(given: Mapping[str, Any]) -> list[str]:
    ids = given.get("ruleIds")
    if not isinstance(ids, list) or not 1 <= len(ids) <= BATCH_LIMIT:
        raise refusal(f"ruleIds is a list of 1 to {BATCH_LIMIT} ids.", "ruleIds")
    return [_rule_id({"ruleId": each}) for each in ids]


def _json(given: Mapping[str, Any], name: str) -> Any:
    """A structure, which forms have as JSON; a field that a form repeats is a list, and one that is no JSON is one id or name."""
    value = given.get(name)
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        if name == "ruleIds":
            return [part.strip() for part in value.split(",")]
        raise refusal(f"{name} must be JSON.", name) from None


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refusal("This is an object.", place)
    return value


def _texts(value: Any) -> dict[str, str]:
    found = _object(value or {}, "headers")
    if not all(isinstance(each, str) for each in found.values()):
        raise refusal("The values of headers are text.", "headers")
    return found


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refusal(f"{name} must be text.", name)
    return value.strip()


def _number(given: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    try:
        number = int(value) if isinstance(value, str) and len(value) <= len(str(least)) + len(str(most)) else value
    except ValueError:
        number = None
    if type(number) is not int or not least <= number <= most:
        raise refusal(f"{name} must be a whole number from {least} to {most}.", name)
    return number


def _switch(given: Mapping[str, Any], name: str) -> bool | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise refusal(f"{name} must be true or false.", name)
    return str(value).lower() == "true"
