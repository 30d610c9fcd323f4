"""The commands for records: they read what a gateway has written, beside it or without it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from pathlib import Path

import pytest

from made_records import CHAT, NOON_MS, made
from penstock.accounts.identity import CLI
from penstock.accounts.service import Accounts, Draft
from penstock.accounts.trail import Trail
from penstock.infra import schema
from penstock.infra.database import Database
from penstock.infra.secrets import open_secrets
from penstock.records.policies import Policies
from penstock.records.record import Record
from penstock.records.recorder import Recorder
from penstock.records.vault import Vault, open_store


@pytest.fixture
def written(run, empty_database_url):
    """Writes records where the commands look for them, and makes the account of Ada; her id."""

    async def write(*records: Record) -> str:
        data = Path(os.environ["PENSTOCK_DATA"])
        database = Database(empty_database_url)
        await schema.migrate(database)
        ada = (await Accounts(database).create(CLI, Draft("Ada", "ada@example.com"))).id
        recorder = Recorder(database, Vault(open_store(data), open_secrets(data, None)), 1 << 26, Policies(database))
        await recorder.start()
        for record in records:
            if record.account_id == "ada":
                record.account_id = ada
            recorder.put(record)
        await recorder.stop()
        await database.close()
        return ada

    return lambda *records: asyncio.run(write(*records))


def test_a_list_of_one_s_own_or_of_everybody(run, written):
    own, other, hers = made(for_operator=False), made(original_model="claude-x", for_operator=False), made(account_id="ada")
    written(own, other, hers)
    rows = json.loads(run("record", "list", "--json").stdout)
    assert [row["id"] for row in rows] == [other.id, own.id]
    assert [row["id"] for row in json.loads(run("record", "list", "--json", "--operator").stdout)] == [hers.id]
    assert [row["id"] for row in json.loads(run("record", "list", "--json", "--account", "ada@example.com").stdout)] == [hers.id]
    assert [row["id"] for row in json.loads(run("record", "list", "--json", "--model", "claude-*", "--limit", "1").stdout)] == [other.id]
    head, line = run("record", "list", "--model", "claude-*").stdout.splitlines()
    assert head.split()[:3] == ["CREATED", "ID", "STATUS"] and line.split()[1] == other.id


def test_an_empty_shelf_says_where_else_to_look(run, written):
    written(made(for_owner=False))
    listed = run("record", "list")
    assert (listed.exit_code, listed.stdout) == (0, "") and "--operator" in listed.stderr


def test_one_record(run, written):
    record = made()
    written(record)
    shown = json.loads(run("record", "show", record.id).stdout)
    assert shown["record"]["request"]["body"] == CHAT.decode()
    missing = run("record", "show", "req_none")
    assert missing.exit_code == 1 and "req_none" in missing.stderr


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "har"])
def test_exports(run, written, form):
    records = [made(request_body=b'{"a":"=1+1"}') for _ in range(3)]
    written(*records)
    done = run("record", "export", "--format", form, "--status", "2xx")
    assert done.exit_code == 0
    text = done.stdout_bytes.decode()
    ids = {
        "csv": lambda: [row["id"] for row in csv.DictReader(io.StringIO(text, newline=""))],
        "json": lambda: [one["id"] for one in json.loads(text)],
        "jsonl": lambda: [json.loads(line)["id"] for line in text.splitlines()],
        "har": lambda: [one["_id"] for one in json.loads(text)["log"]["entries"]],
    }[form]()
    assert ids == [record.id for record in reversed(records)]


def test_clearing_asks_first(run, written):
    old, new = made(created_at_ms=NOON_MS - 86_400_000), made()
    written(old, new)
    assert run("record", "clear").exit_code == 1
    assert len(json.loads(run("record", "list", "--json").stdout)) == 2
    done = run("record", "clear", "--until", "2023-11-14T00:00:00Z", "--yes")
    assert done.exit_code == 0 and "1 records" in done.stderr
    assert [row["id"] for row in json.loads(run("record", "list", "--json").stdout)] == [new.id]
    assert len(json.loads(run("record", "list", "--json", "--operator").stdout)) == 2
    assert run("record", "clear", "--operator", "--since", "30000d", "--yes").exit_code == 0
    assert run("record", "list", "--operator").stdout.count("req_") == 0


def test_a_policy(run, written, empty_database_url):
    ada = written()
    default = {"record": False, "retention_days": None, "redact_paths": [], "redact_patterns": [], "updated_at": None}
    assert json.loads(run("record", "policy", "--json").stdout) == default
    asked = ("--account", "ada@example.com", "--json")
    given = ("--record", "--days", "7", "--path", "messages.*.content", "--path", "user", "--pattern", "[0-9]{16}")
    changed = json.loads(run("record", "policy", *asked, *given).stdout)
    assert {**changed, "updated_at": None} == {
        "record": True, "retention_days": 7, "redact_paths": ["messages.*.content", "user"], "redact_patterns": ["[0-9]{16}"],
        "updated_at": None,
    }  # fmt: skip
    less = json.loads(run("record", "policy", *asked, "--days", "none", "--path", "none").stdout)
    assert (less["record"], less["retention_days"], less["redact_paths"], less["redact_patterns"]) == (True, None, [], ["[0-9]{16}"])
    assert "yes" in run("record", "policy", "--account", ada).stdout
    assert json.loads(run("record", "policy", "--json").stdout) == default

    async def events() -> list[str]:
        database = Database(empty_database_url)
        found = [event.subject for event in (await Trail(database).list()).data if event.action == "record.policy"]
        await database.close()
        return found

    assert asyncio.run(events()) == [ada, ada]


@pytest.mark.parametrize(("arguments", "words"), [
    (("record", "list", "--status", "6xx"), "5xx"),
    (("record", "list", "--since", "someday"), "moment"),
    (("record", "list", "--account", "nobody@example.com"), "no account"),
    (("record", "export", "--format", "xml"), "csv"),
    (("record", "policy", "--days", "0"), "3650"),
    (("record", "policy", "--pattern", "("), "("),
])  # fmt: skip
def test_what_is_wrong_is_said(run, arguments, words):
    done = run(*arguments)
    assert done.exit_code in (1, 2) and words in done.stderr
