"""Prices as the operator decides them: overrides, confirmations, multipliers. Each act is one transaction, with its trace in the trail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.identity import Identity
from penstock.accounts.models import Account
from penstock.accounts.standing import standings_of
from penstock.accounts.trail import Trail
from penstock.catalog.checks import Verdict, check_model, check_multiplier, check_wish, judge
from penstock.catalog.history import REVISION, Used, write_used
from penstock.catalog.models import Multiplier, PriceInForce, PriceOverride
from penstock.catalog.prices import Price
from penstock.catalog.sets import PriceSet, Wish
from penstock.catalog.snapshot import EMPTY, Snapshot, load_snapshot, read_override
from penstock.infra.database import Database
from penstock.infra.revisions import bump
from penstock.kit import clock
from penstock.kit.errors import PenstockError
from penstock.kit.ids import new_id
from penstock.kit.money import PER_MILLION
from penstock.kit.pages import Page, Place, cut

OFFICIAL = "official"
"""What the id of an official price begins with: `official/openai/gpt-4o`."""


class Listed(NamedTuple):
    """An override, and what has become of it: `waiting`, `future`, `in_force`, `replaced` or `retired`."""

    row: PriceOverride
    state: str


class Waiting(NamedTuple):
    """An official price that waits to be confirmed, and the one that holds until then, as far as their rates are known."""

    id: str
    provider: str
    model: str
    since_ms: int
    in_force: Price | None
    waiting: Price | None


class Report(NamedTuple):
    """What an import does, or would do: an entry for each price, and how many are as they were."""

    verdicts: Sequence[Verdict]
    unchanged: int
    multipliers: int
    skipped: Sequence[str]


class Prices:
    """The operator's prices in one database. Methods raise PenstockError and DatabaseAway."""

    def __init__(self, database: Database, now_ms: Callable[[], int] = clock.now_ms, *, jump_factor: int = 4) -> None:
        self._database = database
        self._trail = Trail(database, now_ms)
        self._now_ms = now_ms
        self._jump_factor = jump_factor
        self._known: Snapshot = EMPTY

    async def list(self, place: Place = Place(), *, model: str | None = None, retired: bool = False) -> Page[Listed]:  # noqa: B008  it is frozen
        """A page of overrides, newest first; of one name or glob, and retired ones too, where that is asked for."""
        query = select(PriceOverride).order_by(PriceOverride.id.desc()).limit(place.limit + 1)
        if place.after is not None:
            query = query.where(PriceOverride.id < place.after)
        if model is not None:
            check_model(model)
            query = query.where(PriceOverride.model == model)
        if not retired:
            query = query.where(PriceOverride.retired_at_ms.is_(None))
        async with self._database.session(read_only=True) as session:
            rows = (await session.scalars(query)).all()
            snapshot = await self._snapshot(session)
        states = _states(snapshot, self._now_ms())
        page = cut(rows, place.limit, lambda row: row.id)
        return Page([Listed(row, _state_of(row, states)) for row in page.data], page.next)

    async def waiting(self) -> Sequence[Waiting]:
        """Official prices that wait to be confirmed."""
        query = select(PriceInForce).where(PriceInForce.pending_version.is_not(None)).order_by(PriceInForce.provider, PriceInForce.model)
        async with self._database.session(read_only=True) as session:
            rows = (await session.scalars(query)).all()
            snapshot = await self._snapshot(session)
        return [
            Waiting(
                f"{OFFICIAL}/{row.provider}/{row.model}", row.provider, row.model, row.changed_at_ms,
                snapshot.recall(row.version), snapshot.recall(row.pending_version or ""),
            )
            for row in rows
        ]  # fmt: skip

    async def put(self, who: Identity, wish: Wish, *, confirm: bool = False) -> Listed:
        """Give a model a price of the operator's own, from now or a later time on.

        A price that jumps is kept but does not count, and PenstockError `price_jump` is raised, unless it is confirmed at once.
        """
        now_ms = self._now_ms()
        check_wish(wish, now_ms)
        (verdict,) = (await self._judge([wish], now_ms))[1]
        holds = confirm or verdict.jump is None
        async with self._database.session() as session:
            row = await self._add(session, who, wish, now_ms, holds=holds)
        if not holds:
            raise PenstockError(
                "price_jump",
                f"{verdict.jump}. It is kept as '{row.id}' and waits: confirm it with POST /api/prices/{row.id}/confirm or "
                f"`penstock price confirm {row.id}`, or retire it.",
                param="rates",
            )
        return Listed(row, "future" if row.effective_at_ms > now_ms else "in_force")

    async def confirm(self, who: Identity, price_id: str) -> None:
        """Have a price that waits count from now on: an override, or an official one by its id of `official/PROVIDER/MODEL`."""
        async with self._database.session() as session:
            if price_id.startswith(f"{OFFICIAL}/"):
                await self._confirm_official(session, price_id)
            else:
                row = await _find(session, price_id)
                if row.retired_at_ms is not None:
                    raise PenstockError("conflict", f"The price '{price_id}' was retired. Set it again.")
                if row.confirmed_at_ms is None:
                    row.confirmed_at_ms = self._now_ms()
                    row.effective_at_ms = max(row.effective_at_ms, row.confirmed_at_ms)  # nothing was charged at it before
            await self._changed(session, who, "price.confirm", price_id)

    async def retire(self, who: Identity, price_id: str) -> None:
        """Have an override no longer count. What was charged at it stays."""
        async with self._database.session() as session:
            row = await _find(session, price_id)
            if row.retired_at_ms is None:
                row.retired_at_ms = self._now_ms()
                own = read_override(row)  # it may have been charged a moment ago by a process that has died since
                await write_used(session, [Used(own.provider, own.model, own.price)], row.retired_at_ms)
                await self._changed(session, who, "price.retire", price_id, {"provider": row.provider, "model": row.model})

    async def bring_in(self, who: Identity, prices: PriceSet, *, confirm: bool = False, dry_run: bool = False) -> Report:
        """Set a whole set of prices, all or none; those that are in force already are left alone. With `dry_run` only say what would be.

        Raises PenstockError `price_jump`, having set nothing, when any of them jumps and that is not confirmed.
        """
        now_ms = self._now_ms()
        wishes = [wish._replace(effective_at_ms=max(wish.effective_at_ms or now_ms, now_ms)) for wish in prices.wishes]
        for wish in wishes:
            check_wish(wish, now_ms)
        for model, multiplier_micro in prices.multipliers.items():
            check_multiplier(model, multiplier_micro)
        snapshot, verdicts = await self._judge(wishes, now_ms)
        changes = [verdict for verdict in verdicts if not verdict.same]
        jumps = [verdict.jump for verdict in changes if verdict.jump is not None]
        multipliers = {model: micro for model, micro in prices.multipliers.items() if snapshot.stated(model) != micro}
        report = Report(changes, len(verdicts) - len(changes), len(multipliers), prices.skipped)
        if dry_run or not (changes or multipliers):
            return report
        if jumps and not confirm:
            raise PenstockError(
                "price_jump",
                f"{len(jumps)} of {len(changes)} prices jump, and none was set. The first: {jumps[0]}. Look at all of them with a dry run, "
                "then confirm the import.",
            )
        async with self._database.session() as session:
            session.add_all(_row(who, verdict.wish, now_ms, holds=True) for verdict in changes)
            await _put_multipliers(session, multipliers, now_ms)
            detail = {"prices": len(changes), "multipliers": len(multipliers)}
            await self._changed(session, who, "price.import", new_id("imp", now_ms), detail)
        return report

    async def export(self) -> PriceSet:
        """The overrides that hold or will, and all multipliers."""
        page = select(PriceOverride).where(PriceOverride.retired_at_ms.is_(None)).order_by(PriceOverride.model, PriceOverride.id)
        async with self._database.session(read_only=True) as session:
            rows = (await session.scalars(page)).all()
            snapshot = await self._snapshot(session)
            multipliers = await session.scalars(select(Multiplier).order_by(Multiplier.model))
            micros = {row.model: row.multiplier_micro for row in multipliers}
        states = _states(snapshot, self._now_ms())
        kept = (row for row in rows if _state_of(row, states) in ("in_force", "future"))
        return PriceSet(
            tuple(Wish(row.provider, row.model, row.free, row.card, row.effective_at_ms, row.output_cap) for row in kept), micros
        )

    async def multipliers(self) -> Sequence[Multiplier]:
        """All multipliers, by model."""
        async with self._database.session(read_only=True) as session:
            return (await session.scalars(select(Multiplier).order_by(Multiplier.model))).all()

    async def put_multiplier(self, who: Identity, model: str, multiplier_micro: int) -> Multiplier:
        """Multiply the prices of a model, by its public name, or of all that a glob matches."""
        check_multiplier(model, multiplier_micro)
        async with self._database.session() as session:
            await _put_multipliers(session, {model: multiplier_micro}, self._now_ms())
            row = await session.get_one(Multiplier, model.lower())
            await self._changed(session, who, "multiplier.put", row.model, {"multiplier_micro": multiplier_micro})
        return row

    async def delete_multiplier(self, who: Identity, model: str) -> None:
        """No longer multiply the prices of a model, or of what a glob matches."""
        check_model(model)
        async with self._database.session() as session:
            row = await session.get(Multiplier, model.lower())
            if row is None:
                raise PenstockError("not_found", f"There is no multiplier for '{model[:200]}'.", param="model")
            await session.delete(row)
            await self._changed(session, who, "multiplier.delete", row.model)

    async def tier_multiplier(self, account_id: str) -> int:
        """What the prices of an account are multiplied by for its membership, in millionths."""
        async with self._database.session(read_only=True) as session:
            prepaid = await session.scalar(select(Account.prepaid).where(Account.id == account_id))
            if not prepaid:
                return PER_MILLION
            standing = (await standings_of(session, [account_id], self._now_ms()))[account_id]
        return standing.tier.multiplier_micro

    async def _snapshot(self, session: AsyncSession) -> Snapshot:
        self._known = await load_snapshot(session, self._jump_factor, self._known)
        return self._known

    async def _judge(self, wishes: Sequence[Wish], now_ms: int) -> tuple[Snapshot, Sequence[Verdict]]:
        """Compare wishes with what is in force. Before the transaction that writes, and beside the loop: it takes its time."""
        async with self._database.session(read_only=True) as session:
            snapshot = await self._snapshot(session)
        return snapshot, await asyncio.to_thread(lambda: [judge(snapshot, wish, now_ms, self._jump_factor) for wish in wishes])

    async def _add(self, session: AsyncSession, who: Identity, wish: Wish, now_ms: int, *, holds: bool) -> PriceOverride:
        """A new row; or, for a price that waits already, the row that it has."""
        row = _row(who, wish, now_ms, holds=holds)
        if not holds:
            alike = select(PriceOverride).where(
                PriceOverride.provider == row.provider, PriceOverride.model == row.model,
                PriceOverride.confirmed_at_ms.is_(None), PriceOverride.retired_at_ms.is_(None),
            )  # fmt: skip
            for found in await session.scalars(alike):
                if (found.card, found.output_cap) == (row.card, row.output_cap):
                    return found
        session.add(row)
        detail = {"provider": row.provider, "model": row.model, "free": row.free, "rates": row.card, "holds": holds}
        await self._changed(session, who, "price.create", row.id, detail)
        return row

    async def _confirm_official(self, session: AsyncSession, price_id: str) -> None:
        provider, _, model = price_id.removeprefix(f"{OFFICIAL}/").partition("/")
        mine = select(PriceInForce).where(PriceInForce.provider == provider, PriceInForce.model == model)
        row = await session.scalar(mine.with_for_update())
        if row is None:
            raise _no_price(price_id)
        if row.pending_version is not None:
            row.version, row.pending_version, row.changed_at_ms = row.pending_version, None, self._now_ms()

    async def _changed(self, session: AsyncSession, who: Identity, action: str, subject: str, detail: dict[str, Any] | None = None) -> None:
        await self._trail.note(session, who, action, subject, account_id=None, detail=detail)
        await bump(session, REVISION)


def _row(who: Identity, wish: Wish, now_ms: int, *, holds: bool) -> PriceOverride:
    return PriceOverride(
        id=new_id("prc", now_ms),
        provider=wish.provider,
        model=wish.model,
        free=wish.free,
        card=None if wish.rates is None else dict(wish.rates),
        output_cap=wish.output_cap,
        effective_at_ms=max(wish.effective_at_ms or now_ms, now_ms),
        created_at_ms=now_ms,
        created_by=who.account_id,
        confirmed_at_ms=now_ms if holds else None,
        retired_at_ms=None,
    )


async def _put_multipliers(session: AsyncSession, micros: Mapping[str, int], now_ms: int) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for model, micro in sorted(micros.items()):
        facts = {"multiplier_micro": micro, "changed_at_ms": now_ms}
        put = insert(Multiplier).values(model=model.lower(), **facts)
        await session.execute(put.on_conflict_do_update(index_elements=["model"], set_=facts))


async def _find(session: AsyncSession, price_id: str) -> PriceOverride:
    row = await session.scalar(select(PriceOverride).where(PriceOverride.id == price_id).with_for_update())
    if row is None:
        raise _no_price(price_id)
    return row


def _no_price(price_id: str) -> PenstockError:
    return PenstockError("not_found", f"There is no price '{price_id[:300]}'.")


def _states(snapshot: Snapshot, now_ms: int) -> dict[str, str]:
    """What has become of the overrides that count, by id. Of those for the same models the latest is in force."""
    latest: dict[tuple[str, str], str] = {}
    for own in sorted(snapshot.owns.values(), key=lambda own: (own.effective_at_ms, own.id)):
        if own.effective_at_ms <= now_ms:
            latest[own.provider, own.model] = own.id
    in_force = set(latest.values())
    return {
        own.id: "in_force" if own.id in in_force else "future" if own.effective_at_ms > now_ms else "replaced"
        for own in snapshot.owns.values()
    }


def _state_of(row: PriceOverride, states: dict[str, str]) -> str:
    return "retired" if row.retired_at_ms is not None else states.get(row.id, "waiting")
