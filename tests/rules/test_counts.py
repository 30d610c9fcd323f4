"""Counts: what rules have done, in memory until it is written down, and by several processes at once."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import select

from penstock.rules.counts import DAY_MS, KEPT_DAYS, Counts, forget_days
from penstock.rules.models import RuleDay


async def days(database) -> list[tuple]:
    async with database.session(read_only=True) as session:
        rows = (await session.scalars(select(RuleDay).order_by(RuleDay.rule_id, RuleDay.day))).all()
    return [(row.rule_id, row.day, row.hits, row.shadow_hits, row.errors, row.last_at_ms, row.last_error) for row in rows]


async def test_what_is_counted_is_added_up(rules, operator, given, database, clock):
    one, two = [(await rules.create(operator, given(name))).id for name in "ab"]
    day = clock.ms // DAY_MS
    counts = Counts(database)
    counts.add((one, two), (), (), clock.ms)
    counts.add((one,), (two,), ((one, "a path\nleads\x00nowhere"),), clock.ms + 5)
    await counts.flush()
    counts.add((one,), (), (), clock.ms + 3)
    counts.add((one,), (), (), clock.ms + DAY_MS)
    await counts.flush()
    await counts.flush()
    assert await days(database) == [
        (one, day, 3, 0, 1, clock.ms + 5, "a path leads nowhere"),
        (one, day + 1, 1, 0, 0, clock.ms + DAY_MS, None),
        (two, day, 1, 1, 0, clock.ms + 5, None),
    ]


async def test_processes_that_count_at_once_lose_nothing(rules, operator, given, database, elsewhere, clock):
    ids = [(await rules.create(operator, given(name, scope="all"))).id for name in "abcdefg"]
    processes = [Counts(database), Counts(elsewhere)]
    for turn in range(10):
        for process, order in zip(processes, (ids, ids[::-1]), strict=True):
            process.add(order, (), (), clock.ms + turn)
        await asyncio.gather(*(process.flush() for process in processes))
    assert [(rule_id, hits) for rule_id, _, hits, *_ in await days(database)] == [(rule_id, 20) for rule_id in sorted(ids)]


async def test_rules_that_are_gone_are_not_counted(rules, operator, given, database, clock):
    kept, gone = [(await rules.create(operator, given(name))).id for name in "ab"]
    counts = Counts(database)
    counts.add((kept, gone, "rul_never"), (), (), clock.ms)
    await rules.delete(operator, [gone])
    await counts.flush()
    assert [row[0] for row in await days(database)] == [kept]


async def test_rules_deleted_while_they_are_counted(rules, operator, given, database, clock):
    ids = [(await rules.create(operator, given(str(number), scope="all"))).id for number in range(8)]
    counts = Counts(database)
    for _ in range(5):
        counts.add(ids[::-1], (), (), clock.ms)
        await asyncio.gather(counts.flush(), rules.switch(operator, ids[::-1], enabled=False), rules.switch(operator, ids, enabled=True))
    counts.add(ids, (), (), clock.ms)
    await asyncio.gather(counts.flush(), rules.delete(operator, ids[::-1]))
    assert await days(database) == []


async def test_while_the_database_is_away_counts_wait(rules, operator, given, database, clock, outage, caplog):
    rule_id = (await rules.create(operator, given())).id
    counts = Counts(database, every_s=0.01)
    await counts.start()
    async with outage():
        counts.add((rule_id,), (), (), clock.ms)
        async with asyncio.timeout(10):
            while True:
                await asyncio.sleep(0.01)
                if "cannot be written down" in caplog.text:
                    break
        counts.add((rule_id,), (), (), clock.ms + 1)
        await asyncio.sleep(0.05)
    await counts.stop()
    assert [row[2] for row in await days(database)] == [2]
    assert caplog.text.count("cannot be written down") == 1


async def test_what_cannot_be_written_at_the_end_is_told(rules, operator, given, database, clock, outage, caplog):
    rule_id = (await rules.create(operator, given())).id
    counts = Counts(database)
    counts.add((rule_id,), (), (), clock.ms)
    async with outage():
        with caplog.at_level(logging.WARNING):
            await counts.stop()
    assert "1 rules were not written down" in caplog.text


async def test_stop_writes_what_is_left(rules, operator, given, database, clock):
    rule_id = (await rules.create(operator, given())).id
    counts = Counts(database, every_s=3600)
    await counts.start()
    counts.add((rule_id,), (), (), clock.ms)
    await counts.stop()
    assert [row[2] for row in await days(database)] == [1]


def test_counts_are_bounded(clock):
    counts = Counts(None, limit=2)
    counts.add(("a", "b", "c"), ("d", "a"), (("e", "why"),), clock.ms)
    assert (len(counts._counts), counts.dropped) == (2, 3)


async def test_old_days_are_forgotten(rules, operator, given, database, clock):
    rule_id = (await rules.create(operator, given())).id
    counts = Counts(database)
    for age in (0, KEPT_DAYS, KEPT_DAYS + 1):
        counts.add((rule_id,), (), (), clock.ms - age * DAY_MS)
    await counts.flush()
    await forget_days(database, clock.ms)
    assert [row[1] for row in await days(database)] == [clock.ms // DAY_MS - KEPT_DAYS, clock.ms // DAY_MS]
