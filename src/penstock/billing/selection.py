"""Selections: which charges are asked for, and how that is said to the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import OPERATOR
from penstock.billing.models import ChargeRow

UNSEEN_ID = ChargeRow.id.concat("")
"""The id, for charges that are looked for by their number: of an expression no database believes that its index would help."""
LAST_MS = 16**12 - 1
"""The last moment that an id can begin with."""


class Span(NamedTuple):
    """From `since_ms` up to, not including, `until_ms`; by the time in the ids, which is when the requests came."""

    since_ms: int = 0
    until_ms: int = LAST_MS


ALWAYS = Span()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Charges that have all of this; None is no condition. `model` is a glob, costs are from the first up to and including the second.

    `free` says whether any of the cost was free money.
    """

    span: Span = ALWAYS
    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    channel: str | None = None
    free: bool | None = None
    estimated: bool | None = None
    status: int | None = None
    outcome: str | None = None
    cost_from_nano: int | None = None
    cost_to_nano: int | None = None

    @property
    def summed(self) -> bool:
        """The sums by hour and day can tell how many these are."""
        rest = (self.free, self.estimated, self.status, self.outcome, self.cost_from_nano, self.cost_to_nano)
        return all(condition is None for condition in rest)

    @property
    def plain(self) -> bool:
        """The index alone can tell which these are."""
        return self.summed and self.model is None and self.channel is None


def first_id(at_ms: int) -> str:
    """The smallest id of a charge whose request came at this time or later."""
    return f"req_{min(max(at_ms, 0), LAST_MS):012x}"


def came_ms(charge_id: str) -> int:
    """When the request of a charge came; 0 for what is no id of a charge."""
    try:
        return int(charge_id[4:16], 16)
    except ValueError:
        return 0


def on_postgresql(session: AsyncSession) -> bool:
    """Which of the two databases this is."""
    return session.get_bind().dialect.name == "postgresql"


def like(column: Any, glob: str, session: AsyncSession) -> ColumnElement[bool]:
    """The column matches a glob of `kit.globs`: `*` is any run of characters, `?` any one, case counts."""
    if not on_postgresql(session):
        matched: ColumnElement[bool] = column.op("GLOB", is_comparison=True)(glob.replace("[", "[[]"))
        return matched
    pattern = "".join({"*": "%", "?": "_"}.get(sign, f"\\{sign}" if sign in "%_\\" else sign) for sign in glob)
    like_it: ColumnElement[bool] = column.like(pattern, escape="\\")
    return like_it


def named(of: Selection, columns: Any, session: AsyncSession) -> list[ColumnElement[bool]]:
    """The conditions on key, model and channel, for a table of sums or of charges."""
    found: list[ColumnElement[bool]] = []
    if of.key_id is not None:
        found.append(columns.key_id == of.key_id)
    if of.model is not None:
        found.append(like(columns.model, of.model, session))
    if of.channel is not None:
        found.append(columns.channel == of.channel)
    return found


def rare(of: Selection) -> list[ColumnElement[bool]]:
    """The conditions that only a charge itself can answer."""
    row = ChargeRow
    found: list[ColumnElement[bool]] = []
    if of.free is not None:
        found.append(row.free_nano > 0 if of.free else row.free_nano <= 0)
    if of.estimated is not None:
        found.append(row.estimated.is_(of.estimated))
    if of.status is not None:
        found.append(row.status == of.status)
    if of.outcome is not None:
        found.append(row.outcome == of.outcome)
    if of.cost_from_nano is not None:
        found.append(row.cost_nano >= of.cost_from_nano)
    if of.cost_to_nano is not None:
        found.append(row.cost_nano <= of.cost_to_nano)
    return found


def owned(of: Selection) -> list[ColumnElement[bool]]:
    """The condition on the account, for charges."""
    if of.account_id is None:
        return []
    return [func.coalesce(ChargeRow.account_id, OPERATOR) == of.account_id]


def between(of: Selection, column: Any) -> list[ColumnElement[bool]]:
    """The condition on the time, for a column of ids."""
    return [column >= first_id(of.span.since_ms), column < first_id(of.span.until_ms)]
