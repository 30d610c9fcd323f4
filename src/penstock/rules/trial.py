"""Trials: rules tried on a request that is made up. Nothing is sent, and nothing is counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR
from penstock.keys.service import Keys
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.rules.compile import NO_RULES, compile_rules
from penstock.rules.diff import Change, diff, diff_beside
from penstock.rules.explain import Explained, explain
from penstock.rules.facts import Facts
from penstock.rules.grammar import ALL, OWN, RuleTerms, read_rule
from penstock.rules.headers import check_value, is_secret, read_name
from penstock.rules.loading import terms_of
from penstock.rules.models import RuleRow
from penstock.rules.ruleset import RuleSet
from penstock.rules.service import Rules, Wanted, refusal, whole_of
from penstock.rules.stages import apply_late
from penstock.rules.verdict import Refusal, Verdict
from penstock.upstream.wires import ASKED

AT_ONCE = 1
"""Trials under way in a process: hundreds of rules take a while."""
OPERATORS = "operator's rules"
"""What members are told instead of which."""
HIDDEN = "[operator]"
"""What members are shown instead of the values of headers that the operator's rules have set."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to try rules on. `rules` are not saved; one with the `id` of a saved rule is tried in its place."""

    wire: str = "chat"
    model: str | None = None
    key: str | None = None
    channel: str | None = None
    channel_tags: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    input_tokens: int = 0
    at: str | None = None
    rules: Sequence[Mapping[str, Any]] = ()
    saved: bool = True


class Trials:
    """Tries rules. `operators` gives the rules for everybody as they are known in this process; administrators try those that are saved."""

    def __init__(
        self, rules: Rules, keys: Keys, operators: Callable[[], RuleSet] = lambda: NO_RULES, now_ms: Callable[[], int] = clock.now_ms
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._operators = operators
        self._now_ms = now_ms
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def run(self, who: Identity, account_id: str, asked: Asked) -> dict[str, Any]:
        """Which rules of an account, and of the operator's, match, and what becomes of the request.

        Raises PenstockError for a request or a rule that cannot be.
        """
        unsaved = _unsaved(asked.rules, who)
        facts = await self._facts(account_id, asked)
        async with self._turn:
            own = await self._saved(Wanted(account_id, "own"), asked)
            everybody = await self._saved(Wanted(OPERATOR, "all"), asked) if who.is_admin else []
            return await asyncio.to_thread(self._tried, who, asked, facts, [*own, *everybody], unsaved)

    async def _saved(self, wanted: Wanted, asked: Asked) -> Sequence[RuleRow]:
        return await self._rules.all(wanted) if asked.saved else []

    async def _facts(self, account_id: str, asked: Asked) -> Facts:
        if asked.wire not in ASKED:
            raise refusal(f"The wire is one of {', '.join(ASKED)}.", "wire")
        body = None if asked.body is None else _encoded(asked.body)
        given = asked.body or {}
        model = asked.model if asked.model is not None else given.get("model")
        key = None if asked.key is None else await self._keys.get(asked.key, account_id)
        try:
            at_ms = self._now_ms() if asked.at is None else clock.parse_moment_ms(asked.at, self._now_ms())
        except ValueError as wrong:
            raise refusal(f"at: {wrong}.", "at") from None
        return Facts(
            asked.wire,
            model if isinstance(model, str) else None,
            None if key is None else key.id,
            "" if key is None else key.name,
            b"".join(_lines(asked.headers)),
            body,
            asked.input_tokens,
            given.get("stream") is True,
            at_ms,
        )

    def _tried(
        self, who: Identity, asked: Asked, facts: Facts, rows: Sequence[RuleRow], unsaved: Sequence[tuple[str, RuleTerms]]
    ) -> dict[str, Any]:
        replaced = {rule_id for rule_id, _ in unsaved}
        terms = [*((row.id, terms_of(whole_of(row))) for row in rows if row.id not in replaced), *unsaved]
        own = compile_rules(each for each in terms if each[1].scope == OWN)
        if who.is_admin:
            operators = compile_rules(each for each in terms if each[1].scope == ALL)
        else:
            operators = self._operators() if asked.saved else NO_RULES
        run = _Run(facts, own, operators, asked)
        shown = [*run.shown(own, OWN), *(run.shown(operators, ALL) if who.is_admin else ())]
        shown += [_off(rule_id, each) for rule_id, each in terms if not each.enabled]
        mine = {each["id"] for each in shown}
        return {
            "rules": shown,
            "stages": run.stages(is_admin=who.is_admin),
            "before": asked.body,
            "after": run.body(),
            "model": run.last.model,
            "tags": run.tags(),
            "record": run.record(),
            "refusal": _refusal(run.refusal, mine),
            "waiting": [rule.id for rule in run.waiting if rule.id in mine],
        }


class _Run:
    """One trial, stage by stage, as the relay does it."""

    def __init__(self, facts: Facts, own: RuleSet, operators: RuleSet, asked: Asked) -> None:
        self.first = own.apply_early(facts)
        self.came = facts
        between = facts.after(self.first)
        stopped = self.first is not None and self.first.refusal is not None
        self.between = between
        self.second = None if stopped else operators.apply_early(between)
        self.last = between.after(self.second)
        self.third: Verdict | None = None
        self.refusal = next((each.refusal for each in (self.first, self.second) if each is not None and each.refusal), None)
        late = () if self.refusal else (*own.find_late(self.last, self.first), *operators.find_late(self.last, self.second))
        self.waiting = late if asked.channel is None else ()
        self.at_channel = self.last
        if asked.channel is not None:
            tags = frozenset(asked.channel_tags)
            self.at_channel = self.last.at(asked.channel, tags)
            self.third = apply_late(late, self.last, asked.channel, tags)
            self.last = self.at_channel.after(self.third)

    @property
    def verdicts(self) -> list[Verdict]:
        """Those of the stages that have made something of it."""
        return [each for each in (self.first, self.second, self.third) if each is not None]

    def shown(self, rules: RuleSet, scope: str) -> Iterator[dict[str, Any]]:
        """What came of each rule of a stage."""
        early = explain(rules, self.came if scope == OWN else self.between)
        late = explain(rules, self.at_channel) if rules.late else early
        fired = {rule_id for verdict in self.verdicts for rule_id in verdict.fired}
        skipped: dict[str, list[str]] = {}
        for verdict in self.verdicts:
            for rule_id, reason in verdict.skipped:
                skipped.setdefault(rule_id, []).append(reason)
        for one, other in zip(early, late, strict=True):
            found = other if one.late else one
            applied = found.id in fired
            yield {
                "id": found.id, "name": found.name, "scope": scope, "matched": found.matched, "shadow": found.shadow, "applied": applied,
                "why": _why(found, applied=applied), "blamed": [msgspec.structs.asdict(each) for each in found.blamed],
                "skipped": skipped.get(found.id, []),
            }  # fmt: skip

    def stages(self, *, is_admin: bool) -> list[dict[str, Any]]:
        """What each stage has made of the request."""
        named = (("own", self.came, self.first), ("operator", self.between, self.second), ("channel", self.at_channel, self.third))
        return [
            {
                "stage": stage,
                "matched": len(verdict.fired),
                "body": [_change(each) for each in diff(facts.body, facts.after(verdict).body)],
                "beside": [_change(each, hidden=stage != "own" and not is_admin) for each in diff_beside(facts, verdict)],
            }
            for stage, facts, verdict in named
            if verdict is not None
        ]

    def body(self) -> Any:
        """The body as it goes out."""
        if self.last.body is None:
            return None
        body: Any = json.loads(self.last.body)
        if self.last.model != self.came.model and isinstance(body, dict):
            body["model"] = self.last.model
        return body

    def tags(self) -> list[str] | None:
        """Which channels may be used."""
        found = [verdict.tags for verdict in self.verdicts if verdict.tags is not None]
        return list(found[-1]) if found else None

    def record(self) -> bool | None:
        """Whether a record is kept."""
        found = [verdict.record for verdict in self.verdicts if verdict.record is not None]
        return found[-1] if found else None


def _unsaved(given: Sequence[Mapping[str, Any]], who: Identity) -> list[tuple[str, RuleTerms]]:
    found = []
    for number, each in enumerate(given):
        rule_id = each.get("id", f"new-{number + 1}")
        if not isinstance(rule_id, str):
            raise refusal("The id of a rule is text.", f"rules.{number}.id")
        try:
            found.append((rule_id, read_rule({name: value for name, value in each.items() if name != "id"}, is_operator=who.is_admin)))
        except PenstockError as refused:
            param = f"rules.{number}" + (f".{refused.param}" if refused.param else "")
            raise PenstockError(refused.code, refused.message, param=param) from None
    if len({rule_id for rule_id, _ in found}) != len(found):
        raise refusal("Each id is given once.", "rules")
    return found


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise refusal("The body is no JSON that a client could have sent.", "body") from None


def _lines(headers: Mapping[str, str]) -> Iterator[bytes]:
    for given, value in headers.items():
        name = read_name(given, "headers")
        check_value(value, f"headers.{name}")
        if not is_secret(name):
            yield f"{name}: {value}\r\n".encode("latin-1")


def _off(rule_id: str, terms: RuleTerms) -> dict[str, Any]:
    return {
        "id": rule_id, "name": terms.name, "scope": terms.scope, "matched": False, "shadow": terms.shadow, "applied": False,
        "why": "It is switched off.", "blamed": [], "skipped": [],
    }  # fmt: skip


def _why(found: Explained, *, applied: bool) -> str | None:
    if applied:
        return None
    if not found.matched:
        if found.reason is not None:
            return found.reason
        return "; ".join(f"{each.at} is {'met' if each.met else 'not met'}" for each in found.blamed) or "Its conditions are not met."
    return "It is in shadow mode." if found.shadow else "A rule before it has stopped or refused, or it waits for a channel."


def _change(change: Change, *, hidden: bool = False) -> dict[str, Any]:
    shown = msgspec.structs.asdict(change)
    if hidden and change.path.startswith("headers.") and change.new is not None:
        shown["new"] = HIDDEN
    return shown


def _refusal(found: Refusal | None, shown: set[str]) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"by": found.rule_id if found.rule_id in shown else OPERATORS, "status": found.status, "message": found.message}
