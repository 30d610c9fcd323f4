"""The commands for rules: brought in, listed, switched, tried, written out."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from penstock.cli import cli

CALM = {"name": "calm down", "when": {"on": "model", "value": "gpt-*"}, "then": [{"do": "set", "path": "temperature", "value": 1}]}


@pytest.fixture
def feed(run):
    """Runs a command with something on its stdin."""
    return lambda text, *arguments: CliRunner().invoke(cli, arguments, input=text)


@pytest.fixture
def calm(feed):
    """A rule that was brought in."""
    done = feed(json.dumps([CALM]), "rule", "import", "-")
    assert (done.exit_code, done.stdout) == (0, "made: calm down\n"), done.output


def test_list_and_show(run, calm):
    head, row = run("rule", "list").stdout.splitlines()
    assert head.split() == ["NAME", "ID", "PRIORITY", "ENABLED", "SHADOW", "DOES", "HITS", "ERRORS", "LAST"]
    assert row.startswith("calm down") and " set " in row
    (listed,) = json.loads(run("rule", "list", "--json").stdout)
    shown = json.loads(run("rule", "show", "calm down").stdout)
    assert shown == listed and (shown["when"]["value"], shown["account_id"]) == ("gpt-*", "acc_operator")
    assert json.loads(run("rule", "show", shown["id"]).stdout) == shown
    missing = run("rule", "show", "nothing")
    assert (missing.exit_code, missing.stderr) == (1, "penstock: There is no rule 'nothing'.\n")


def test_switch_and_delete(run, calm):
    assert run("rule", "disable", "calm down").stderr.startswith("disabled 'calm down' (rul_")
    assert json.loads(run("rule", "show", "calm down").stdout)["enabled"] is False
    assert run("rule", "enable", "calm down").stderr.startswith("enabled 'calm down' (rul_")
    assert run("rule", "delete", "calm down").stderr == "deleted 'calm down'\n"
    assert run("rule", "delete", "calm down").exit_code == 1
    assert json.loads(run("rule", "list", "--json").stdout) == []


def test_import_and_export(run, feed, calm, tmp_path):
    exported = run("rule", "export").stdout
    file = tmp_path / "rules.json"
    file.write_text(exported)
    assert run("rule", "import", str(file)).stdout == "as it was: calm down\n"
    dry = feed("a=>b,b=>a", "rule", "import", "-", "--all", "--dry-run")
    assert dry.stdout == "would be made: a => b\nwould be made: b => a\n"
    assert json.loads(run("rule", "list", "--all", "--json").stdout) == []
    feed("a=>b", "rule", "import", "-", "--all", "--priority", "7")
    (rule,) = json.loads(run("rule", "list", "--all", "--json").stdout)
    assert (rule["name"], rule["scope"], rule["priority"]) == ("a => b", "all", 7)
    assert json.loads(run("rule", "export", "--all").stdout)["rules"][0]["name"] == "a => b"
    fields = feed('{"temperature": 0}', "rule", "import", "-", "--format", "new-api", "--name", "map")
    assert fields.stdout == "made: map 1\n"


def test_what_cannot_be_brought_in(run, feed, tmp_path):
    assert "No such file" in run("rule", "import", str(tmp_path / "nothing")).stderr
    half = feed(json.dumps([CALM, {"name": "b", "then": []}]), "rule", "import", "-")
    assert (half.exit_code, half.stdout) == (1, "") and half.stderr.startswith("penstock: rules.1: ")
    assert json.loads(run("rule", "list", "--json").stdout) == []
    assert feed("x", "rule", "import", "-", "--format", "toml").exit_code == 2


def test_a_trial(run, feed, calm):
    body = '{"model": "gpt-4o", "temperature": 2}'
    done = feed(body, "rule", "test", "-")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].split() == ["calm", "down", "own", "yes", "yes", "-"]
    assert done.stdout.splitlines()[2] == "changed temperature: 2 -> 1"
    found = json.loads(feed(body, "rule", "test", "-", "--json", "--wire", "messages").stdout)
    assert found["after"]["temperature"] == 1
    other = feed('{"model": "claude"}', "rule", "test", "-")
    assert other.stdout.splitlines()[1].endswith("when is not met")
    feed(json.dumps([{**CALM, "name": "no", "then": [{"do": "refuse", "message": "Not here."}]}]), "rule", "import", "-", "--all")
    assert feed(body, "rule", "test", "-").stdout.endswith("refused with 403: Not here.\n")
    for wrong in ("[]", "{", ""):
        assert feed(wrong, "rule", "test", "-").stderr == "penstock: the body is no JSON object\n"


def test_another_accounts_rules(run, feed, calm):
    account = run("account", "create", "someone").stdout.strip()
    assert feed("a=>b", "rule", "import", "-", "--account", account).exit_code == 0
    assert run("rule", "show", "calm down", "--account", account).exit_code == 1
    (rule,) = json.loads(run("rule", "list", "--json", "--account", account).stdout)
    assert rule["account_id"] == account
    assert run("rule", "disable", "a => b", "--account", account).exit_code == 0
    assert run("rule", "delete", rule["id"]).exit_code == 0
    assert run("rule", "list", "--account", "nobody").exit_code == 1
