"""The commands for money: exact amounts in, exact amounts out, on both engines."""

from __future__ import annotations

import json

import pytest

from penstock.billing.codes import digest_of


@pytest.fixture
def account() -> str:
    """The account that is there from the beginning."""
    return "acc_operator"


def test_top_up_and_balance(run, account):
    done = run("top-up", account, "20.000000001", "--ref", "order-1", "--note", "bank transfer")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "topped up by 20.000000001: 'operator' (acc_operator) has 20.000000001 dollars\n"
    run("top-up", account, "20.000000001", "--ref", "order-1")
    head, row = (line.split("  ") for line in run("balance", account).stdout.splitlines())
    assert [cell.strip() for cell in head if cell] == ["ACCOUNT", "TOTAL", "PAID", "FREE", "ON LEASE", "TIER", "UNTIL"]
    assert [cell.strip() for cell in row if cell.strip()] == [account, "20.000000001", "20.000000001", "0", "0", "free", "-"]
    assert json.loads(run("balance", account, "--json").stdout) == {
        "account_id": account, "total_nano": 20_000_000_001, "paid_nano": 20_000_000_001, "free_nano": 0, "on_lease_nano": 0,
        "tier": "free", "until_at": None,
    }  # fmt: skip


def test_grant_and_adjust(run, account):
    assert "granted 5: 'operator'" in run("grant", account, "5", "--expires", "30d", "--note", "hello").stderr
    assert "has 6.5 dollars" in run("adjust", account, "+1.5", "--note", "found").stderr
    done = run("adjust", account, "-0.5", "--note", "lost")
    assert (done.exit_code, done.stderr) == (0, "adjusted by -0.5: 'operator' (acc_operator) has 6 dollars\n")
    refused = run("adjust", account, "-2", "--note", "too much")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "The balance holds 1 dollars" in refused.stderr
    assert "has 4 dollars" in run("adjust", account, "-2", "--note", "so be it", "--force").stderr


def test_codes(run):
    made = run("code", "create", "5", "--count", "3", "--prefix", "SPRING", "--expires", "30d")
    codes = made.stdout.splitlines()
    assert made.exit_code == 0
    assert [code for code in codes if not code.startswith("SPRING-") or digest_of(code) is None] == []
    (batch,) = json.loads(run("code", "list", "--json").stdout)
    assert batch["id"] in made.stderr
    assert [batch[name] for name in ("kind", "amount_nano", "dollars", "count", "redeemed", "prefix")] == [
        "top_up", 5_000_000_000, "5", 3, 0, "SPRING",
    ]  # fmt: skip
    rows = json.loads(run("code", "list", batch["id"], "--json").stdout)
    assert [row["state"] for row in rows] == ["open"] * 3
    assert run("code", "disable", rows[0]["id"]).stderr == f"disabled 1 of {rows[0]['id']}\n"
    assert run("code", "disable", batch["id"]).stderr == f"disabled 2 of {batch['id']}\n"
    assert run("code", "list", batch["id"]).stdout.count("disabled") == 3
    assert run("code", "list").stdout.split()[:4] == ["ID", "KIND", "DOLLARS", "COUNT"]
    shown = run("code", "list").output + run("code", "list", batch["id"]).output
    assert [code for code in codes if code[7:] in shown] == []


@pytest.mark.parametrize(("days", "kept"), [("30", 30), ("never", None)])
def test_codes_of_free_money(run, days, kept):
    run("code", "create", "5", "--grant-days", days)
    (batch,) = json.loads(run("code", "list", "--json").stdout)
    assert (batch["kind"], batch["grant_days"], batch["count"]) == ("grant", kept, 1)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("top-up", "acc_operator", "0"), 1, "nano-dollars"),
        (("top-up", "acc_operator", "1e3"), 2, "not an amount"),
        (("top-up", "acc_operator", "1,50"), 2, "not an amount"),
        (("top-up", "acc_operator", "0.0000000001"), 2, "not an amount"),
        (("top-up", "acc_operator", "10000000000"), 1, "nano-dollars"),
        (("top-up", "acc_operator", "EUR"), 2, "not an amount"),
        (("top-up", "acc_none", "1"), 1, "no account"),
        (("balance", "nobody@example.com"), 1, "no account"),
        (("adjust", "acc_operator", "-5"), 2, "note"),
        (("adjust", "acc_operator", "--5", "--note", "a"), 2, "not an amount"),
        (("grant", "acc_operator", "5", "--expires", "2020-01-01"), 1, "already passed"),
        (("grant", "acc_operator", "5", "--expires", "soon"), 2, "not a moment"),
        (("code", "create", "5", "--count", "0"), 1, "1 to 10000 codes"),
        (("code", "create", "5", "--grant-days", "x"), 2, "number of days"),
        (("code", "create", "5", "--grant-days", "0"), 1, "Only grants end"),
        (("code", "list", "bat_none"), 1, "no batch"),
        (("code", "disable", "bat_none"), 1, "no batch"),
        (("code", "disable", "x"), 1, "no code"),
    ],
)
@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
def test_what_is_refused(run, arguments, status, words):
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (status, "")
    assert words in refused.stderr
    assert "Traceback" not in refused.output
