"""The control API of rules, under `/api/rules`: members act on their own, administrators on everybody's and on those for everybody."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, NamedTuple, cast

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from penstock.accounts.api.asking import On, Paging, Who
from penstock.accounts.api.errors import refusals
from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.rules.actions import KINDS
from penstock.rules.conditions import DEPTH_LIMIT, LEAVES_LIMIT
from penstock.rules.given import SIZE_LIMIT
from penstock.rules.grammar import ACTIONS_LIMIT, DESCRIPTION_LIMIT, NAME_LIMIT, PRIORITY_LIMIT
from penstock.rules.imports import bring_in
from penstock.rules.models import RuleRow
from penstock.rules.paths import FIXED
from penstock.rules.service import ID_PREFIX, Rules, Scope, Wanted, check_name
from penstock.rules.sets import Kind, Reading, read_set, write_set
from penstock.rules.shapes import (
    SET,
    SET_CONTENT,
    Batch,
    BatchDone,
    CopyGiven,
    DayShown,
    ErrorShown,
    ImportShown,
    LimitsShown,
    NameChecked,
    RuleChanged,
    RuleGiven,
    RulePage,
    RuleRead,
    RuleShown,
    StatisticsShown,
    TrialGiven,
    TrialShown,
)
from penstock.rules.shown import facts_of
from penstock.rules.statistics import Uses, totals_of
from penstock.rules.trial import Asked, Trials
from penstock.upstream.wires import ASKED

routes = APIRouter(prefix="/api/rules", tags=["rules"], responses=refusals("not_signed_in", "forbidden"))

_REFUSED = refusals("invalid_request", "not_found", "conflict")
_MISSING = refusals("invalid_request", "not_found")


def _rules(request: Request) -> Rules:
    return cast(Rules, request.app.state.rules)


def _uses(request: Request) -> Uses:
    return cast(Uses, request.app.state.rule_uses)


def _trials(request: Request) -> Trials:
    return cast(Trials, request.app.state.rule_trials)


class Whose(NamedTuple):
    """Whose rules are meant: an account's own, or the operator's for everybody."""

    account_id: str
    scope: Scope


def _whose(
    who: Who,
    account_id: On,
    scope: Annotated[Literal["own", "all"], Query(description="`all`, for administrators: those for everybody's requests.")] = "own",
) -> Whose:
    if scope == "all" and not who.is_admin:
        raise PenstockError("forbidden", "Rules for everybody are for administrators.", param="scope")
    return Whose(OPERATOR if scope == "all" else account_id, scope)


Of = Annotated[Whose, Depends(_whose)]


def _wanted(
    of: Of,
    *,
    enabled: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    shadow: Annotated[bool | None, Query(description="Only those in shadow mode, or not.")] = None,
    search: Annotated[
        str | None, Query(min_length=1, max_length=NAME_LIMIT, description="Part of a name or description, or an id.")
    ] = None,
) -> Wanted:
    """Which rules are asked for."""
    return Wanted(of.account_id, of.scope, enabled, shadow, search)


def _reading(
    of: Of,
    name: Annotated[str, Query(min_length=1, max_length=80, description="What rules without a name are called by.")] = "imported",
    priority: Annotated[int, Query(ge=-PRIORITY_LIMIT, le=PRIORITY_LIMIT, description="Of rules without one; the first one's.")] = 0,
) -> Reading:
    """How what is not our own is read."""
    return Reading(name, priority, of.scope)


def _owner(
    who: Who,
    account_id: Annotated[
        str | None, Query(max_length=100, description="For administrators: whose it must be. Default: anybody's.")
    ] = None,
) -> str | None:
    """Whose a rule must be that is named by its id; None: anybody's."""
    return None if who.is_admin and account_id is None else who.acting_on(account_id)


def _rule_id(rule_id: Annotated[str, Path(examples=["rul_..."])]) -> str:
    """The id in the path; names, which are not unique among accounts, will not do."""
    if not rule_id.startswith(ID_PREFIX):
        raise PenstockError("not_found", f"There is no rule '{rule_id[:200]}'.")
    return rule_id


Service = Annotated[Rules, Depends(_rules)]
Used = Annotated[Uses, Depends(_uses)]
Owner = Annotated[str | None, Depends(_owner)]
RuleId = Annotated[str, Depends(_rule_id)]


class Bringing(NamedTuple):
    """Who brings rules in, to whose, and into what."""

    who: Identity
    account_id: str
    rules: Rules


def _bringing(who: Who, of: Of, rules: Service) -> Bringing:
    return Bringing(who, of.account_id, rules)


@routes.get("", responses=_MISSING)
async def list_rules(wanted: Annotated[Wanted, Depends(_wanted)], paging: Paging, rules: Service, uses: Used) -> RulePage:
    """Rules, in the order in which they are applied: the last one that sets something wins."""
    page = await rules.page(wanted, paging)
    used = await uses.of([row.id for row in page.data])
    return RulePage(data=[_shown(row, used) for row in page.data], next=page.next)


@routes.post("", status_code=201, responses=_REFUSED)
async def create_rule(body: RuleGiven, who: Who, account_id: On, rules: Service) -> RuleShown:
    """Make a rule. It counts within a second; requests that are running are not touched."""
    return _shown(await rules.create(who, body.model_dump(exclude_unset=True), account_id), {})


@routes.get("/statistics", responses=_MISSING)
async def show_rule_statistics(
    of: Of,
    rules: Service,
    uses: Used,
    rule_id: Annotated[str | None, Query(max_length=100, description="Only of this rule.", examples=["rul_..."])] = None,
    days: Annotated[int, Query(ge=1, le=366, description="Of how many days, today included.")] = 30,
) -> StatisticsShown:
    """How many rules there are, and how often they were used. What happened just now is in it a few seconds later."""
    rows = await rules.all(Wanted(of.account_id, of.scope)) if rule_id is None else [await rules.get(_rule_id(rule_id), of.account_id)]
    ids = [row.id for row in rows]
    totals, used = totals_of(rows), (await uses.of(ids)).values()
    last_at_ms = max((use.last_at_ms for use in used if use.last_at_ms is not None), default=None)
    return StatisticsShown(
        total=totals.total,
        enabled=totals.enabled,
        disabled=totals.total - totals.enabled,
        shadow=totals.shadow,
        wires=dict(totals.wires),
        hits=sum(use.hits for use in used),
        shadow_hits=sum(use.shadow_hits for use in used),
        errors=sum(use.errors for use in used),
        last_at=None if last_at_ms is None else clock.iso(last_at_ms),
        days=[DayShown(**day._asdict()) for day in await uses.days(ids, clock.now_ms(), days)],
        last_errors=[ErrorShown(**error._asdict()) for error in await uses.last_errors(ids)],
    )


@routes.get("/limits", responses=_MISSING)
async def show_rule_limits(of: Of, rules: Service) -> LimitsShown:
    """How many rules there may be and are, and how large they may become."""
    return LimitsShown(
        rules=rules.limits.of(of.scope),
        used=await rules.used(of.account_id, of.scope),
        conditions=LEAVES_LIMIT,
        depth=DEPTH_LIMIT,
        actions=ACTIONS_LIMIT,
        name_length=NAME_LIMIT,
        description_length=DESCRIPTION_LIMIT,
        priority=PRIORITY_LIMIT,
        size_bytes=SIZE_LIMIT,
        wires=list(ASKED),
        kinds=list(KINDS),
        fixed_fields=sorted(FIXED),
    )


@routes.get("/check-name", responses=_MISSING)
async def check_rule_name(
    of: Of,
    rules: Service,
    name: Annotated[str, Query(max_length=1000, examples=["calm down"])],
    but: Annotated[
        str | None, Query(max_length=100, description="The id of a rule that may have it already.", examples=["rul_..."])
    ] = None,
) -> NameChecked:
    """Whether a name can be given to a rule."""
    problem = check_name(name)
    is_free = problem is None and await rules.is_free(name, of.account_id, but)
    return NameChecked(name=name, is_free=is_free, problem=problem)


@routes.get("/export", responses=SET | _MISSING)
async def export_rules(of: Of, rules: Service) -> Response:
    """All rules as a set, to be kept or brought in elsewhere."""
    body = write_set(await rules.all(Wanted(of.account_id, of.scope)))
    return Response(body, media_type="application/json", headers={"content-disposition": 'attachment; filename="rules.json"'})


@routes.post(
    "/import",
    responses=refusals("invalid_request", "invalid_json", "not_found", "conflict", "body_too_large"),
    openapi_extra={"requestBody": {"required": True, "content": SET_CONTENT}},
)
async def import_rules(
    request: Request,
    bringing: Annotated[Bringing, Depends(_bringing)],
    reading: Annotated[Reading, Depends(_reading)],
    *,
    format: Annotated[Kind, Query(description="What it is; `auto` looks. new-api's map of fields has no look.")] = "auto",  # noqa: A002
    dry_run: Annotated[bool, Query(description="Only say what would change.")] = False,
) -> ImportShown:
    """Bring rules in, all or none: a set of ours, `a=>b,c=>d`, or new-api's overrides.

    A rule of the same name becomes what the set says.
    """
    entries = await asyncio.to_thread(read_set, await request.body(), format, reading)
    report = await bring_in(bringing.rules, bringing.who, bringing.account_id, entries, dry_run=dry_run)
    read = [RuleRead(**each) for each in report.rules]
    return ImportShown(dry_run=dry_run, created=report.created, changed=report.changed, unchanged=report.unchanged, rules=read)


@routes.post("/test", responses=_MISSING)
async def try_rules(body: TrialGiven, who: Who, account_id: On, trials: Annotated[Trials, Depends(_trials)]) -> TrialShown:
    """Try rules on a request that is made up: which match, which do not and why, and what becomes of it. Nothing is sent or counted."""
    return TrialShown.model_validate(await trials.run(who, account_id, Asked(**body.model_dump())))


@routes.post("/batch", responses=_REFUSED)
async def change_rules(body: Batch, who: Who, owner: Owner, rules: Service) -> BatchDone:
    """Switch several rules on or off, or delete them: all or, where one is missing, none."""
    ids = [_rule_id(each) for each in body.ids]
    if body.do == "delete":
        rows = await rules.delete(who, ids, owner)
    else:
        rows = await rules.switch(who, ids, enabled=body.do == "enable", account_id=owner)
    return BatchDone(do=body.do, ids=[row.id for row in rows])


@routes.get("/{rule_id}", responses=_MISSING)
async def get_rule(rule_id: RuleId, owner: Owner, rules: Service, uses: Used) -> RuleShown:
    """One rule."""
    return await _answer(await rules.get(rule_id, owner), uses)


@routes.patch("/{rule_id}", responses=_REFUSED)
async def change_rule(rule_id: RuleId, body: RuleChanged, who: Who, owner: Owner, rules: Service, uses: Used) -> RuleShown:
    """Change what is given. New requests see it within a second."""
    return await _answer(await rules.change(who, rule_id, body.model_dump(exclude_unset=True), owner), uses)


@routes.delete("/{rule_id}", status_code=204, responses=_MISSING)
async def delete_rule(rule_id: RuleId, who: Who, owner: Owner, rules: Service) -> None:
    """Delete a rule for good, and its statistics."""
    await rules.delete(who, [rule_id], owner)


@routes.post("/{rule_id}/copy", status_code=201, responses=_REFUSED)
async def copy_rule(rule_id: RuleId, who: Who, owner: Owner, rules: Service, body: CopyGiven | None = None) -> RuleShown:
    """Make a rule like another. It is switched off until it is wanted."""
    given = {} if body is None else body.model_dump(exclude_unset=True)
    return _shown(await rules.copy(who, rule_id, given.get("name"), owner), {})


async def _answer(row: RuleRow, uses: Uses) -> RuleShown:
    return _shown(row, await uses.of([row.id]))


def _shown(row: RuleRow, used: dict[str, Any]) -> RuleShown:
    return RuleShown.model_validate(facts_of(row, used.get(row.id)))
