"""Statistics: exact at every moment, whatever the roll-up has seen."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_charges import DAY_MS, NOON_MS, charge_at, empty, owner, random_charges, selected, summed, write
from penstock.billing.rollup import roll_up
from penstock.billing.selection import Selection, Span, came_ms
from penstock.billing.usage import KeyTotals, Statistics, Sums
from penstock.infra.database import Database

HOUR_MS = 3_600_000
GROUPS = {
    "hour": lambda charge: came_ms(charge.id) // HOUR_MS * HOUR_MS,
    "day": lambda charge: came_ms(charge.id) // DAY_MS * DAY_MS,
    "model": lambda charge: charge.model,
    "key": lambda charge: charge.key_id or "",
    "channel": lambda charge: charge.channel,
    "account": owner,
}


def expected(charges, by):
    """The same by brute force, in the order it is given in."""
    key = GROUPS[by]
    groups = [(name, summed(group)) for name, group in itertools.groupby(sorted(charges, key=key), key)]
    return sorted(groups, key=lambda group: (0 if by in ("hour", "day") else -group[1].cost_nano, group[0]))


SPANS = [
    Span(),
    Span(NOON_MS, NOON_MS + DAY_MS),
    Span(NOON_MS - DAY_MS // 2, NOON_MS + 2 * DAY_MS + DAY_MS // 2),
    Span(NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS),
    Span(NOON_MS + 11 * HOUR_MS, NOON_MS + 13 * HOUR_MS),
    Span(NOON_MS - 9 * DAY_MS, NOON_MS - 8 * DAY_MS),
]


@pytest.fixture
async def charges(database):
    """Some hundreds over three days from a noon on; half of them are summed, a third of the other half came before those."""
    made = random_charges(300, seed=7)
    await write(database, made[:200])
    await roll_up(database)
    await write(database, made[200:])
    return made


@pytest.mark.parametrize("by", GROUPS)
async def test_everything_by_everything(database, charges, by):
    usage = Statistics(database)
    for span in SPANS:
        for scope in (
            {},
            {"account_id": "acc_a"},
            {"account_id": "acc_operator", "model": "gpt-*"},
            {"channel": "spare", "key_id": "key_acc_a_1"},
        ):
            of = Selection(span=span, **scope)
            mine = selected(charges, of)
            assert [(part.of, part.sums) for part in await usage.by(by, of)] == expected(mine, by)
            assert await usage.total(of) == (summed(mine) if mine else Sums())


async def test_hours_are_whole(database, charges):
    """A span that begins and ends within hours is of all of both."""
    usage = Statistics(database)
    whole = Span(NOON_MS + HOUR_MS, NOON_MS + 30 * HOUR_MS)
    part = Span(whole.since_ms + 1, whole.until_ms - HOUR_MS + 1)
    assert await usage.total(Selection(span=part)) == summed(selected(charges, Selection(span=whole)))


@pytest.mark.parametrize("glob", ["*", "gpt-4o", "gpt-4?", "a_b%c[[]d]", "a_b%c[d]", "a?b%c[d]", "GPT-*", "%", "_*", "*[d]", "nothing*"])
async def test_globs_mean_the_same_in_both_databases(database, charges, glob):
    of = Selection(model=glob)
    assert await Statistics(database).total(of) == summed(selected(charges, of))


async def test_of_keys(database, charges):
    keys = {charge.key_id for charge in charges} - {None}
    found = await Statistics(database).of_keys([*keys, "key_of_nobody"])
    assert found.keys() == keys
    for key in keys:
        mine = [charge for charge in charges if charge.key_id == key]
        sums = summed(mine)
        tokens = sums.input_tokens + sums.cache_read_tokens + sums.cache_write_tokens + sums.output_tokens
        used_at_ms = max(charge.created_at_ms for charge in mine)
        assert found[key] == KeyTotals(len(mine), tokens, sums.cost_nano, sums.free_nano, used_at_ms)


async def test_of_more_keys_than_fit_into_one_question(database, charges):
    found = await Statistics(database).of_keys([f"key_{number}" for number in range(1300)] + ["key_acc_a_1"])
    assert list(found) == ["key_acc_a_1"]


async def test_of_nothing(database):
    usage = Statistics(database)
    assert await usage.by("day", Selection()) == []
    assert await usage.total(Selection()) == Sums()
    assert await usage.of_keys([]) == {}


STEPS = st.lists(st.tuples(st.sampled_from(["write", "roll up", "ask"]), st.integers(0, 40)), min_size=3, max_size=12)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, seed=st.integers(0, 2**16))
async def test_exact_at_every_moment(database, steps, seed):
    """Charges in any order, roll-ups of any size, questions in between."""
    await empty(database)
    charges = random_charges(500, seed)
    written = []
    for what, count in steps:
        if what == "write":
            some = charges[len(written) : len(written) + count]
            await write(database, some)
            written += some
        elif what == "roll up":
            await roll_up(database, batch_rows=count + 1)
        else:
            of = Selection(account_id="acc_a", span=SPANS[count % len(SPANS)])
            mine = selected(written, of)
            assert await Statistics(database).total(of) == (summed(mine) if mine else Sums())


async def test_exact_while_others_write_and_roll_up(database, database_url):
    """Every answer is that of one moment: it has the first so many of what one writer writes."""
    writer, roller = Database(database_url), Database(database_url)
    charges = [charge_at(NOON_MS + number, number, cost_nano=2**number % 1_000_003) for number in range(60)]
    prefix = [0, *itertools.accumulate(charge.cost_nano for charge in charges)]

    async def write_all():
        for charge in charges:
            await write(writer, [charge])

    async def roll():
        while not writing.done():
            await roll_up(roller, batch_rows=3)

    writing = asyncio.create_task(write_all())
    rolling = asyncio.create_task(roll())
    seen = []
    while not writing.done():
        sums = await Statistics(database).total(Selection(account_id="acc_a"))
        assert sums.cost_nano == prefix[sums.requests]
        seen.append(sums.requests)
    await rolling
    await writing
    assert seen == sorted(seen)
    assert (await Statistics(database).total(Selection())).requests == 60
    await writer.close()
    await roller.close()
