"""Receipts: a charge explained line by line, and computed again from what is stored of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from penstock.accounts.models import OPERATOR, Account
from penstock.billing.bill import Bill
from penstock.billing.charge import Charge
from penstock.billing.shown import shown, usage_of
from penstock.catalog.door import Catalog, Line, Price
from penstock.catalog.models import PriceUsed
from penstock.catalog.prices import STANDARD, unpack
from penstock.infra.database import Database
from penstock.kit.money import PER_MILLION, dollars

_KEPT = 10_000
COMPONENTS = {
    "input_tokens": "input tokens",
    "cache_read_tokens": "input tokens read from the cache",
    "cache_write_5m_tokens": "input tokens written to the cache for 5 minutes",
    "cache_write_1h_tokens": "input tokens written to the cache for an hour",
    "output_tokens": "output tokens",
    "reasoning_tokens": "output tokens of reasoning",
    "input_audio_tokens": "audio input tokens",
    "cache_audio_read_tokens": "audio input tokens read from the cache",
    "output_audio_tokens": "audio output tokens",
    "input_image_tokens": "image input tokens",
    "output_image_tokens": "image output tokens",
    "images": "images",
    "characters": "characters",
    "audio_seconds": "seconds of audio",
    "web_searches": "web searches",
    "calls": "requests",
}
"""The fields of `Usage`, in words."""
_OUTCOMES = {
    "client_gone": "The client left before the answer was whole; what had been consumed until then is charged.",
    "upstream_died": "The provider's answer broke off; what had been consumed until then is charged.",
    "upstream_timeout": "The provider stopped answering; what had been consumed until then is charged.",
    "upstream_error": "The provider answered with an error.",
    "stopped": "The gateway stopped while the answer was under way; what had been consumed until then is charged.",
    "interrupted": "The process that served the request died; what it had consumed when that was last written down is charged.",
    "out_of_funds": "The funds ended while the answer was under way; it was ended there, and is charged up to there.",
}


class Explained(msgspec.Struct, frozen=True):
    """One line: `quantity` of a component at `rate_nano` per `per`, times the multiplier, in nano-dollars and in words."""

    component: str
    text: str
    quantity: int
    rate: str | None
    rate_nano: int
    per: int
    multiplier_micro: int
    amount_nano: int
    tier: str
    above_tokens: int


class Payment(msgspec.Struct, frozen=True):
    """What was paid from one purse."""

    purse: str
    """`free` or `paid`."""
    amount_nano: int


class Receipt(msgspec.Struct, frozen=True):
    """A charge explained. `computed_nano` is the cost computed again; None, as `agrees`, where its price is not known any more."""

    charge: Mapping[str, Any]
    """See `shown.COLUMNS`."""
    lines: list[Explained]
    cost_nano: int
    computed_nano: int | None
    agrees: bool | None
    paid_from: list[Payment]
    """Nothing, for an account that is not prepaid: its consumption is only counted."""
    notes: list[str]


class Prices:
    """The prices that charges were computed with, for the time of one session; those that were asked for are kept."""

    def __init__(self, session: AsyncSession, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog
        self._kept: dict[tuple[str, int], Price | None] = {}

    async def of(self, charge: Charge) -> Price | None:
        """With its multiplier; None for a charge that had no price, or one that is not known any more."""
        version = charge.price_version
        if version is None:
            return None
        wanted = (version, charge.multiplier_micro)
        if wanted not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            price = self._catalog.recall(version) or await self._stored(version)
            self._kept[wanted] = None if price is None else price.times(charge.multiplier_micro)
        return self._kept[wanted]

    async def _stored(self, version: str) -> Price | None:
        """A price that was charged a moment ago, elsewhere: the catalog has not heard of it yet."""
        packed = await self._session.scalar(select(PriceUsed.price).where(PriceUsed.version == version))
        return None if packed is None else unpack(version, packed)


class Receipts:
    """The receipts of a database's charges."""

    def __init__(self, database: Database, bill: Bill, catalog: Catalog) -> None:
        self._database = database
        self._bill = bill
        self._catalog = catalog

    async def receipt(self, charge_id: str, account_id: str | None = None) -> Receipt:
        """Of one charge, of this account if one is given. Raises PenstockError `not_found`, and DatabaseAway."""
        listed = await self._bill.get(charge_id, account_id)
        [charge] = listed.charges
        owner = charge.account_id or OPERATOR
        async with self._database.session(read_only=True) as session:
            prepaid = bool(await session.scalar(select(Account.prepaid).where(Account.id == owner)))
            price = await Prices(session, self._catalog).of(charge)
        return explain(charge, listed.names.get(charge.key_id or ""), price, prepaid=prepaid)


def explain(charge: Charge, key_name: str | None, price: Price | None, *, prepaid: bool) -> Receipt:
    """The receipt of a charge that was computed with this price."""
    usage = usage_of(charge)
    lines = [] if price is None else [_explained(line) for line in price.lines(usage)]
    computed = price.cost(usage) if price is not None else 0 if charge.price_version is None else None
    parts = (("free", charge.free_nano), ("paid", charge.cost_nano - charge.free_nano))
    return Receipt(
        charge=shown(charge, key_name),
        lines=lines,
        cost_nano=charge.cost_nano,
        computed_nano=computed,
        agrees=None if computed is None else computed == charge.cost_nano,
        paid_from=[Payment(purse, amount) for purse, amount in parts if amount and prepaid],
        notes=list(_notes(charge, price, computed, prepaid=prepaid)),
    )


def _explained(line: Line) -> Explained:
    times = "" if line.multiplier_micro == PER_MILLION else f" x {_millionths(line.multiplier_micro)}"
    rate = f"{dollars(line.rate_nano)} dollars per {line.per:,}" if line.rate else "no rate"
    about = [f"contexts of more than {line.above_tokens:,} tokens"] if line.above_tokens else []
    if line.tier != STANDARD:
        about.append(f"tier {line.tier}")
    if line.unpriced_tier:
        about.append(f"tier {line.unpriced_tier} has no rates of its own")
    why = f" ({', '.join(about)})" if about else ""
    text = f"{line.quantity:,} {COMPONENTS[line.component]} at {rate}{why}{times} = {dollars(line.amount_nano)} dollars"
    return Explained(
        line.component, text, line.quantity, line.rate, line.rate_nano, line.per, line.multiplier_micro, line.amount_nano, line.tier,
        line.above_tokens,
    )  # fmt: skip


def _millionths(micro: int) -> str:
    return f"{micro // PER_MILLION}.{micro % PER_MILLION:06d}".rstrip("0").rstrip(".")


def _notes(charge: Charge, price: Price | None, computed: int | None, *, prepaid: bool) -> list[str]:
    notes = []
    if charge.outcome in _OUTCOMES:
        notes.append(_OUTCOMES[charge.outcome])
    if charge.estimated:
        notes.append(
            "The provider did not say what was consumed, so the quantities are estimated: from the request, and from what was answered."
        )
    if charge.price_version is None:
        notes.append("The model had no price: nothing was charged.")
    elif price is None:
        notes.append(f"The price '{charge.price_version}' is not known here any more, so the cost cannot be computed again.")
    elif price.free:
        notes.append("The operator gives this model away.")
    if computed is not None and computed != charge.cost_nano:
        notes.append(f"Computed again the cost is {dollars(computed)} dollars, and not {dollars(charge.cost_nano)}. Tell the operator.")
    if not prepaid:
        notes.append("The account is not prepaid: what it consumes is counted, and taken from no balance.")
    return notes
