"""The commands that run the gateway and look after its database."""

from __future__ import annotations

import json
import re
import socket

import penstock
import program


def test_version(invoke):
    assert invoke("version").stdout == f"penstock {penstock.__version__}\n"


def test_migrate(run):
    assert "now at migration" in run("migrate").stderr
    assert "already at migration" in run("migrate").stderr


def test_the_demo_provider_says_when_its_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = program.run("demo-provider", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert refused.stderr.startswith("penstock: ")
    assert "Traceback" not in refused.stderr


def test_doctor(run, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "0")
    ill = run("doctor")
    assert ill.exit_code == 1
    (line,) = (line for line in ill.stdout.splitlines() if line.startswith("FAIL"))
    assert line.endswith("penstock migrate (penstock serve does it as well)")
    run("migrate")
    well = run("doctor")
    assert well.exit_code == 0
    assert {line[:4] for line in well.stdout.splitlines()} == {"ok  "}
    told = json.loads(run("doctor", "--json").stdout)
    assert told["well"] is True
    assert [check["check"] for check in told["checks"]][:2] == ["settings", "data"]


def test_doctor_on_wrong_settings(invoke, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PORT", "x")
    ill = invoke("doctor", "--json")
    assert ill.exit_code == 1
    told = json.loads(ill.stdout)
    assert (told["well"], told["checks"][0]["check"]) == (False, "settings")
    assert told["checks"][0]["remedy"]


def test_a_backup_is_restored_elsewhere(run, monkeypatch, tmp_path):
    run("key", "create", "me")
    file = tmp_path / "penstock.backup"
    made = run("backup", str(file), "--records")
    assert made.exit_code == 0
    assert re.search(r"^key +1$", made.stdout, re.MULTILINE)
    assert re.fullmatch(rf"{file} has \d+ rows and 0 files of records\n", made.stderr)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere' / 'penstock.db'}")
    restored = run("restore", str(file), "--json")
    assert restored.exit_code == 0
    assert json.loads(restored.stdout)["rows"]["key"] == 1
    assert f"made by Penstock {penstock.__version__} on " in restored.stderr
    assert json.loads(run("key", "list", "--json").stdout)[0]["name"] == "me"
    again = run("restore", str(file))
    assert (again.exit_code, again.stdout, again.stderr) == (1, "", "penstock: there is a database already; name an empty one\n")


def test_a_backup_that_cannot_be_made_or_restored(run, tmp_path):
    assert run("backup", str(tmp_path / "a")).stderr == "penstock: there is no database yet, so there is nothing to back up\n"
    (tmp_path / "a").write_text("hello")
    assert run("restore", str(tmp_path / "a")).stderr.startswith(f"penstock: {tmp_path / 'a'} is damaged, or not a backup: ")
    assert "No such file" in run("restore", str(tmp_path / "b")).stderr
    run("migrate")
    assert run("backup", str(tmp_path / "a")).stderr == f"penstock: {tmp_path / 'a'} exists already; name another file\n"
    assert run("backup", str(tmp_path / "no" / "a")).stderr == f"penstock: {tmp_path / 'no'} is not a folder\n"
