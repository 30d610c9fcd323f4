"""Charges made up for tests, written without the books, and the sums of them the slow way."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import delete, insert, update

from penstock.billing.charge import Charge, columns
from penstock.billing.models import ChargeOf, ChargeRow, Rollup, UsageDay, UsageHour, UsageKey
from penstock.billing.selection import Selection, came_ms
from penstock.billing.shown import usage_of
from penstock.billing.usage import Sums
from penstock.catalog.demo import DEMO
from penstock.infra.database import Database

DAY_MS = 86_400_000
NOON_MS = 1_760_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2


def charge_at(at_ms: int, number: int = 0, **given: Any) -> Charge:
    """A charge for a request that came at this moment, the `number`th of them."""
    usual = {
        "created_at_ms": at_ms + 300, "account_id": "acc_a", "key_id": "key_a", "wire": "chat", "provider": "openai", "channel": "main",
        "model": "gpt-4o", "served_model": "gpt-4o-mini", "status": 200, "outcome": "complete", "streamed": True, "estimated": False,
        "input_tokens": 12, "cache_read_tokens": 3, "cache_write_5m_tokens": 2, "cache_write_1h_tokens": 1, "output_tokens": 5,
        "reasoning_tokens": 1, "extra_usage": None, "cost_nano": 1_234, "free_nano": 0, "multiplier_micro": 1_000_000, "price_version": "v",
        "upload_ms": 1, "first_byte_ms": 20, "duration_ms": 300, "attempts": 1,
    }  # fmt: skip
    return Charge(**{"id": f"req_{at_ms:012x}{number:08x}0123456789", **usual, **given})


def priced(at_ms: int, number: int = 0, **given: Any) -> Charge:
    """A charge whose cost is what its usage comes to at the demo provider's price; the operator's unless told otherwise."""
    made = charge_at(at_ms, number, **{"account_id": None, "price_version": DEMO.version, "provider": "demo", **given})
    if "cost_nano" not in given:
        made.cost_nano = DEMO.times(made.multiplier_micro).cost(usage_of(made))
    return made


def random_charges(count: int, seed: int, *, days: int = 3, since_ms: int = NOON_MS) -> list[Charge]:
    """Charges of some accounts, keys and models over some days, in no order."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        account = chance.choice(["acc_a", "acc_b", None])
        cost = chance.choice([0, 1, chance.randrange(10**12)])
        made.append(
            charge_at(
                since_ms + chance.randrange(days * DAY_MS),
                number,
                account_id=account,
                key_id=chance.choice([f"key_{account}_{number % 3}", None]),
                channel=chance.choice(["main", "spare"]),
                model=chance.choice(["gpt-4o", "gpt-4o-mini", "claude-opus", "a_b%c[d]"]),
                status=chance.choice([200, 200, 502]),
                outcome=chance.choice(["complete", "client_gone", "upstream_died"]),
                estimated=chance.random() < 0.2,
                input_tokens=chance.randrange(10_000),
                output_tokens=chance.randrange(10_000),
                cost_nano=cost,
                free_nano=chance.choice([0, cost, cost // 2]),
                price_version=chance.choice(["v", None]),
            )
        )
    return made


async def write(database: Database, charges: Iterable[Charge]) -> None:
    """Write charges in one transaction, in this order."""
    rows = [columns(charge) for charge in charges]
    if rows:
        async with database.session() as session:
            await session.execute(insert(ChargeRow.__table__), rows)  # the table itself takes None as it is


async def empty(database: Database) -> None:
    """No charges any more, and no sums."""
    async with database.session() as session:
        for table in (ChargeRow, ChargeOf, UsageHour, UsageDay, UsageKey):
            await session.execute(delete(table))
        await session.execute(update(Rollup).values(mark=0))


def owner(charge: Charge) -> str:
    """Whose a charge is."""
    return charge.account_id or "acc_operator"


def selected(charges: Iterable[Charge], of: Selection) -> list[Charge]:
    """The charges that are selected, newest first."""
    tests: list[Callable[[Charge], bool]] = [lambda charge: of.span.since_ms <= came_ms(charge.id) < of.span.until_ms]
    if of.account_id is not None:
        tests.append(lambda charge: owner(charge) == of.account_id)
    if of.model is not None:
        glob = of.model.replace("[", "[[]")
        tests.append(lambda charge: fnmatchcase(charge.model, glob))
    wanted = {name: getattr(of, name) for name in ("key_id", "channel", "status", "outcome", "estimated")}
    tests.append(lambda charge: all(value in (None, getattr(charge, name)) for name, value in wanted.items()))
    if of.free is not None:
        tests.append(lambda charge: (charge.free_nano > 0) == of.free)
    if of.cost_from_nano is not None:
        tests.append(lambda charge: charge.cost_nano >= of.cost_from_nano)
    if of.cost_to_nano is not None:
        tests.append(lambda charge: charge.cost_nano <= of.cost_to_nano)
    found = [charge for charge in charges if all(test(charge) for test in tests)]
    return sorted(found, key=lambda charge: charge.id, reverse=True)


def summed(charges: Iterable[Charge]) -> Sums:
    """The sums of charges."""
    all_of = list(charges)
    return Sums(
        requests=len(all_of),
        failed=sum(one.outcome != "client_gone" and (one.outcome != "complete" or one.status >= 400) for one in all_of),
        estimated=sum(one.estimated for one in all_of),
        unpriced=sum(one.price_version is None for one in all_of),
        cache_write_tokens=sum(one.cache_write_5m_tokens + one.cache_write_1h_tokens for one in all_of),
        **{
            name: sum(getattr(one, name) for one in all_of)
            for name in (
                "input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens", "cost_nano", "free_nano", "duration_ms",
                "first_byte_ms",
            )
        },
    )  # fmt: skip
