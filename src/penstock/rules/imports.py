"""Imports: a whole set of rules brought in at once, all or none. A rule of the same name becomes what the set says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import OPERATOR
from penstock.kit.errors import PenstockError
from penstock.rules.grammar import ALL, OWN, read_rule
from penstock.rules.models import RuleRow
from penstock.rules.service import FIELDS, FLUSHED, Rules, whole_of
from penstock.rules.sets import Entry

_NAMES = 200
"""Of rules that are looked for at once."""


class Report(NamedTuple):
    """What an import has done, or would do: names of rules, and the rules themselves as they were understood."""

    created: list[str]
    changed: list[str]
    unchanged: list[str]
    rules: list[dict[str, Any]]


class _Undone(Exception):
    """Takes everything back that a dry run has done."""


async def bring_in(rules: Rules, who: Identity, account_id: str, entries: Sequence[Entry], *, dry_run: bool = False) -> Report:
    """Bring a set in. Raises PenstockError, which names the place, having done nothing."""
    given = await asyncio.to_thread(lambda: [_checked(entry, who) for entry in entries])  # nobody waits for thousands
    report = Report([], [], [], given)
    with contextlib.suppress(_Undone):
        async with rules.writing() as session:
            for scope in (OWN, ALL):
                some = [(entry.place, each) for entry, each in zip(entries, given, strict=True) if each["scope"] == scope]
                if some:
                    await _bring(rules, session, who, OPERATOR if scope == ALL else account_id, some, report)
            if dry_run:
                await session.flush()
                raise _Undone
    return report


async def _bring(
    rules: Rules, session: AsyncSession, who: Identity, owner: str, given: Sequence[tuple[str, dict[str, Any]]], report: Report
) -> None:
    scope = given[0][1]["scope"]
    await rules.room(session, owner, scope, 0)  # nobody else makes any until this is done
    there: dict[str, RuleRow] = {}
    for at in range(0, len(given), _NAMES):
        named = RuleRow.name.in_([each["name"] for _, each in given[at : at + _NAMES]])
        found = await session.scalars(select(RuleRow).where(RuleRow.account_id == owner, named).with_for_update())
        there |= {row.name: row for row in found}
    await rules.room(session, owner, scope, sum(each["name"] not in there for _, each in given))
    for number, (place, each) in enumerate(given, 1):
        if number % FLUSHED == 0:
            await session.flush()
        row = there.get(each["name"])
        if row is None:
            await rules.add(session, who, each, owner)
            report.created.append(each["name"])
        elif row.scope != scope:
            raise PenstockError("conflict", "There is a rule of this name with another scope.", param=f"{place}.name")
        else:
            now = whole_of(row)
            changes = {name: each[name] for name in FIELDS if each[name] != now[name]}
            if changes:
                await rules.apply(session, who, row, changes)
            (report.changed if changes else report.unchanged).append(each["name"])


def _checked(entry: Entry, who: Identity) -> dict[str, Any]:
    try:
        return read_rule(entry.given, is_operator=who.is_admin).to_dict()
    except PenstockError as refused:
        param = f"{entry.place}.{refused.param}" if refused.param else entry.place
        raise PenstockError(refused.code, f"{entry.place}: {refused.message}", param=param) from None
