"""`penstock audit`: what it prints, and the status it ends with."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text

from made_charges import NOON_MS, priced, write
from penstock.infra.database import Database


@pytest.fixture
def disturb(empty_database_url):
    """Changes the database behind everybody's back."""

    def change(*statements, charges=()):
        async def act():
            database = Database(empty_database_url)
            await write(database, charges)
            async with database.session() as session:
                for statement in statements:
                    await session.execute(text(statement))
            await database.close()

        asyncio.run(act())

    return change


def test_sound_books(run, disturb):
    run("top-up", "acc_operator", "5")
    disturb(charges=[priced(NOON_MS)])
    done = run("audit")
    assert (done.exit_code, done.stdout.splitlines()) == (0, ["1 accounts, 1 purses, 1 entries, 0 leases, 1 charges", "nothing differs"])


def test_a_difference_is_said_and_fails(run, disturb):
    run("top-up", "acc_operator", "5")
    disturb("UPDATE purse SET balance = -1", charges=[priced(NOON_MS, price_version="own nobody 1")])
    done = run("audit")
    assert done.exit_code == 1
    for words in ("1 differences", "acc_operator/paid", "5000000000", "1 charges of accounts that pay nothing", "-0.000000001"):
        assert words in done.stdout


def test_as_json(run, disturb):
    run("top-up", "acc_operator", "5")
    assert json.loads(run("audit", "--json").stdout)["well"] is True
    disturb("UPDATE entry SET amount_nano = amount_nano + 1")
    done = run("audit", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["well"], report["difference_count"]) == (1, False, 1)
    [difference] = report["differences"]
    assert (difference["what"], difference["expected"] - difference["found"]) == ("balance", 1)


def test_leases_of_the_gone_are_counted(run, disturb):
    run("top-up", "acc_operator", "5")
    disturb(
        "INSERT INTO lease (id, worker, purse_id, amount, spent, posted, taken_at_ms) VALUES ('l', 'w', 'acc_operator/paid', 7, 0, 0, 1)",
        "UPDATE purse SET balance = balance - 7",
    )
    done = run("audit")
    assert done.exit_code == 0
    assert "1 leases are of workers that are gone" in done.stdout
