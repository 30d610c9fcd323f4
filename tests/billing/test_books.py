"""The books: who is told is durable, groups form by themselves, and nothing that is posted is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from penstock.billing.books import GROUP_ROWS, Books
from penstock.infra.database import sqlite_path
from penstock.kit.errors import PenstockError


def ids(charges) -> list[str]:
    return sorted(charge.id for charge in charges)


async def test_a_charge_is_there_for_others_before_it_is_reported(database_url, open_books, new_charge, stored):
    seen = []
    async with open_books(database_url) as till:
        for _ in range(5):
            charge = new_charge()
            told = asyncio.Event()

            def done(failure, charge=charge, told=told):
                seen.append((failure, charge in stored(database_url)))
                told.set()

            till.books.post(charge, done)
            assert seen == [(None, True)] * len(seen)
            await told.wait()
    assert seen == [(None, True)] * 5


async def test_what_is_posted_in_one_pass_is_one_commit(database_url, open_books, new_charge, stored):
    async with open_books(database_url) as till:
        charges = [new_charge() for _ in range(100)]
        await asyncio.wait([till.post(charge) for charge in charges])
        books = till.books
        assert (books.commits, books.committed, books.depth, books.failures, books.journalled) == (1, 100, 0, 0, 0)
        assert books.last_commit_ms > 0
        assert stored(database_url) == charges
        assert till.durable == ids(charges)


async def test_a_long_queue_is_several_commits(database_url, open_books, new_charge, stored):
    async with open_books(database_url) as till:
        charges = [new_charge() for _ in range(3 * GROUP_ROWS + 5)]
        await asyncio.wait([till.post(charge) for charge in charges])
        assert till.books.commits == 4
        assert ids(stored(database_url)) == ids(charges)


async def test_posting_from_done(database_url, open_books, new_charge, stored):
    async with open_books(database_url) as till:
        finished = asyncio.Event()
        left = [300]

        def done(failure):
            assert failure is None
            left[0] -= 1
            if left[0] >= 10:
                till.books.post(new_charge(), done)
            elif left[0] == 0:
                finished.set()

        for _ in range(10):
            till.books.post(new_charge(), done)
        await finished.wait()
        assert len(stored(database_url)) == 300


async def test_one_done_that_raises_does_not_keep_others_waiting(database_url, open_books, new_charge):
    raised = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(type(context["exception"])))
    async with open_books(database_url) as till:
        told = [till.post(new_charge()), asyncio.get_running_loop().create_future(), till.post(new_charge())]
        till.books.post(new_charge(), lambda _: 1 / 0)
        till.books.post(new_charge(), lambda _: 1 / 0)
        told[1] = till.post(new_charge())
        await asyncio.wait(told)
        await till.post(new_charge())
        assert len(till.durable) == 4
        assert till.books.depth == 0
    assert raised == [ZeroDivisionError] * 2


async def test_a_charge_posted_twice_is_there_once(database_url, open_books, new_charge, stored):
    async with open_books(database_url) as till:
        charge = new_charge()
        await asyncio.wait([till.post(charge), till.post(charge)])
        await till.post(charge)
        assert stored(database_url) == [charge]


@pytest.mark.parametrize("given", [{"model": "a\0b"}, {"model": "\ud800"}, {"input_tokens": 2**80}, {"status": 2**33}])
async def test_a_charge_that_no_database_takes_is_mended(database_url, open_books, new_charge, stored, given):
    async with open_books(database_url) as till:
        charges = [new_charge(), new_charge(**given), new_charge()]
        await asyncio.wait([till.post(charge) for charge in charges])
        assert ids(stored(database_url)) == ids(charges)
        assert till.books.journalled == 0


async def test_the_queue_has_a_bound_which_refuses_but_never_loses(database_url, open_books, new_charge, stored):
    async with open_books(database_url, queue_limit=10) as till:
        told = []
        for number in range(20):
            assert till.books.available is (number < 10)
            told.append(till.post(new_charge()))
        assert till.books.depth == 20
        await asyncio.wait(told)
        assert till.books.available
        assert len(stored(database_url)) == 20


async def test_available_only_between_start_and_stop(database_url, tmp_path):
    books = Books(database_url, "process", tmp_path)
    assert not books.available
    await books.start()
    assert books.available
    assert await books.stop() == 0
    assert not books.available


async def test_posted_before_start_is_written_then(database_url, tmp_path, new_charge, stored):
    books = Books(database_url, "process", tmp_path)
    told = asyncio.Event()
    books.post(new_charge(), lambda _: told.set())
    await books.start()
    await told.wait()
    assert await books.stop() == 0
    assert len(stored(database_url)) == 1


async def test_stop_flushes(database_url, tmp_path, new_charge, stored):
    books = Books(database_url, "process", tmp_path)
    await books.start()
    failures = []
    for _ in range(1000):
        books.post(new_charge(), failures.append)
    assert await books.stop() == 0
    assert failures == [None] * 1000
    assert len(stored(database_url)) == 1000
    assert list((tmp_path / "journal").iterdir()) == []


async def test_what_is_posted_after_stop_is_refused_at_once(database_url, tmp_path, new_charge):
    books = Books(database_url, "process", tmp_path)
    await books.start()
    await books.stop()
    refused = asyncio.get_running_loop().create_future()
    books.post(new_charge(), refused.set_result)
    failure = await refused
    assert isinstance(failure, PenstockError)
    assert failure.code == "books_unavailable"


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_killed_under_load_nothing_reported_is_missing(database_url, tmp_path, stored, post_forever, durability):
    arguments = [sys.executable, "-c", post_forever, database_url, str(tmp_path), durability]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    reported = [await process.stdout.readline() for _ in range(3000)]
    os.kill(process.pid, signal.SIGKILL)
    reported += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    told = {line.strip().decode() for line in reported if line.endswith(b"\n")}
    there = stored(database_url)
    assert len(told) >= 3000
    assert told - set(ids(there)) == set()
    assert {charge.cost_nano for charge in there} == {7}


async def test_the_log_of_sqlite_stays_short(database_url, open_books, new_charge):
    path = sqlite_path(database_url)
    async with open_books(database_url) as till:
        for _ in range(20):
            await asyncio.wait([till.post(new_charge()) for _ in range(500)])
        assert path is None or Path(f"{path}-wal").stat().st_size < 64 * 1024 * 1024
