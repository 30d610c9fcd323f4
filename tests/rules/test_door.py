"""The door: rules found without the database, kept up with whoever changes them, and served while the database is away."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, select

from penstock.infra.database import DatabaseAway
from penstock.infra.revisions import Feed
from penstock.kit.errors import PenstockError
from penstock.rules.compile import NO_RULES, compile_rules
from penstock.rules.door import RULE_WEIGHT, Facts, RuleBook, RuleSet, Shelf
from penstock.rules.grammar import read_rule
from penstock.rules.models import RuleDay


class Opened:
    """A book over a database, as a process has it."""

    def __init__(self, database, **options) -> None:
        self.feed = Feed(database, every_s=0.01)
        self.book = RuleBook(database, self.feed, **options)

    async def __aenter__(self) -> RuleBook:
        await self.book.start()
        await self.feed.start()
        return self.book

    async def __aexit__(self, *_) -> None:
        await self.feed.stop()
        await self.book.stop()


async def until(true) -> None:
    async with asyncio.timeout(10):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)


def names(rules) -> list[str] | None:
    return None if rules is None else [rule.terms.name for rule in rules.rules]


@pytest.fixture
def queries(database) -> list[str]:
    """The statements about rules that the book's database has executed."""
    seen: list[str] = []

    def executed(_connection, _cursor, statement, *_) -> None:
        if statement.startswith("SELECT rule."):
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", executed)
    return seen


async def test_load_then_find(database, rules, member, given, queries):
    await rules.create(member, given(), member.account_id)
    async with Opened(database) as book:
        queries.clear()
        assert book.find(member.account_id) is None
        found = await book.load(member.account_id)
        assert names(found) == ["calm down"]
        assert book.find(member.account_id) is found and await book.load(member.account_id) is found
        assert len(queries) == 1


async def test_those_without_rules_are_remembered_too(database, queries):
    async with Opened(database) as book:
        queries.clear()
        assert await book.load("acc_nobody") is NO_RULES
        assert book.find("acc_nobody") is NO_RULES
        assert len(queries) == 1 and book.operators is NO_RULES


async def test_those_who_ask_at_once_wait_for_one_read(database, queries):
    async with Opened(database) as book:
        queries.clear()
        accounts = [f"acc_{number % 40}" for number in range(400)]
        assert set(await asyncio.gather(*map(book.load, accounts))) == {NO_RULES}
        assert len(queries) <= 2


async def test_one_who_goes_away_does_not_spoil_it_for_others(database):
    async with Opened(database) as book:
        gone, stays = (asyncio.ensure_future(book.load("acc_a")) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays is NO_RULES


async def test_a_change_by_another_process_is_seen(database, rules, operator, member, new_member, given):
    other = await new_member()
    await rules.create(other, given("other's"), other.account_id)
    async with Opened(database) as book:
        untouched = await book.load(other.account_id)
        await book.load(member.account_id)
        row = await rules.create(member, given("mine"), member.account_id)
        await until(lambda: names(book.find(member.account_id)) == ["mine"])
        await rules.change(member, row.id, {"name": "yours"}, member.account_id)
        await until(lambda: names(book.find(member.account_id)) == ["yours"])
        await rules.create(operator, given("all", scope="all"))
        await until(lambda: names(book.operators) == ["all"])
        await rules.delete(member, [row.id], member.account_id)
        await until(lambda: book.find(member.account_id) is NO_RULES)
        assert book.find(other.account_id) is untouched, "only what has changed is read again"


async def test_the_operators_rules_are_there_from_the_start(database, rules, operator, given):
    await rules.create(operator, given("all", scope="all"))
    await rules.create(operator, given("own"))
    async with Opened(database) as book:
        assert names(book.operators) == ["all"]
        assert names(await book.load("acc_operator")) == ["own"]


async def test_changes_between_a_read_and_the_news_are_not_missed(database, rules, member, given):
    async with Opened(database) as book:
        for number in range(5):
            loading = asyncio.ensure_future(book.load(member.account_id))
            await rules.create(member, given(f"{number}"), member.account_id)
            await loading
            expected = [f"{one}" for one in range(number + 1)]
            await until(lambda expected=expected: names(book.find(member.account_id)) == expected)


async def test_while_the_database_is_away_what_is_known_serves(database, rules, operator, member, given, outage, elsewhere):
    row = await rules.create(member, given("mine"), member.account_id)
    await rules.create(operator, given("all", scope="all"))
    opened = Opened(database)
    book = opened.book
    await book.start()  # without the feed, which would have a connection in use when the database goes away
    try:
        known = await book.load(member.account_id)
        await elsewhere.close()
        async with outage():
            with pytest.raises(PenstockError) as refused:
                await book.load("acc_unknown")
            assert (refused.value.code, refused.value.status, refused.value.retry_after_s) == ("database_away", 503, 2)
            assert book.find(member.account_id) is known and names(book.operators) == ["all"]
            book._changes._wake.set()
            await asyncio.sleep(0.1)
            assert book.find(member.account_id) is known
        await rules.change(member, row.id, {"name": "changed"}, member.account_id)
        await opened.feed.start()
        await until(lambda: names(book.find(member.account_id)) == ["changed"])
        assert await book.load("acc_unknown") is NO_RULES
    finally:
        await opened.feed.stop()
        await book.stop()


async def test_it_does_not_start_without_the_operators_rules(database, outage):
    async with outage():
        with pytest.raises(DatabaseAway):
            await RuleBook(database, Feed(database)).start()


async def test_what_is_known_is_bounded(database, rules, member, given):
    await rules.create(member, given(), member.account_id)
    async with Opened(database, known_limit=20) as book:
        for number in range(50):
            await book.load(f"acc_{number}")
        assert len(book._shelf) <= 21
        await book.load(member.account_id)
        assert names(await book.load(member.account_id)) == ["calm down"]


async def test_counts_of_two_processes_are_added_up(database, elsewhere, rules, member, given, clock):
    row = await rules.create(member, given(), member.account_id)
    async with Opened(database, count_every_s=0.01) as one, Opened(elsewhere, count_every_s=3600) as two:
        facts = Facts("chat", "m", None, "", b"", b"{}", 1, False, clock.ms)
        for book in (one, two, two):
            verdict = (await book.load(member.account_id)).apply(facts)
            book.count(verdict, clock.ms)

        async def hits() -> int | None:
            async with database.session(read_only=True) as session:
                return await session.scalar(select(RuleDay.hits).where(RuleDay.rule_id == row.id))

        async with asyncio.timeout(10):
            while True:
                await asyncio.sleep(0.01)
                if await hits() == 1:
                    break
    assert await hits() == 3


async def test_who_waits_when_it_stops_is_told(database):
    opened = Opened(database)
    book = await opened.__aenter__()
    await opened.__aexit__()
    book._asked["acc_a"] = asyncio.get_running_loop().create_future()
    reading = asyncio.ensure_future(book._read_asked())
    asked = book._asked["acc_a"]
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(PenstockError) as refused:
        await asked
    assert refused.value.code == "shutting_down"
    await RuleBook(database, Feed(database)).stop()


def test_a_shelf_drops_what_was_not_used():
    rule = compile_rules([("rul_a", read_rule({"name": "a", "then": [{"do": "record", "value": True}]}, is_operator=False))])
    shelf = Shelf(2 * (1 + RULE_WEIGHT))
    shelf.put("a", rule)
    shelf.put("b", NO_RULES)
    assert shelf.get("a") is rule and "b" in shelf and shelf.accounts() == {"a", "b"}
    for number in range(200):
        shelf.put(str(number), NO_RULES)
        assert shelf.get("b") is NO_RULES, "used, so it stays"
    assert shelf.get("a") is None and len(shelf) < 30
    shelf.put("b", rule)
    assert shelf.get("b") is rule, "the newer one counts"


def test_large_rules_weigh_more():
    shelf = Shelf(2 * (1 + RULE_WEIGHT))
    for name in "abc":
        rules = RuleSet(())
        rules.size = 100_000
        shelf.put(name, rules)
    assert "a" not in shelf and "c" in shelf
