"""The commands for prices: what they set, say and print, and that a running server sees it."""

from __future__ import annotations

import json

import pytest

RATES = ("input=2.5", "output=10", "cache_read=1.25", "web_searches_kcount=10")


@pytest.fixture
def listed(run):
    """The prices that `price list` shows."""
    return lambda *options: json.loads(run("price", "list", "--json", *options).stdout)


def test_set_and_list(run, listed):
    done = run(
        "price", "set", "owl", *RATES, "batch.input=1", "--provider", "openai", "--output-cap", "9", "--from", "2099-01-01T00:00:00Z"
    )
    assert (done.exit_code, done.stdout) == (0, "")
    (found,) = listed()
    assert f"the price of openai/owl is set from 2099-01-01T00:00:00Z on ({found['id']})" in done.stderr
    assert {name: found[name] for name in ("provider", "model", "state", "free", "output_cap", "effective_at")} == {
        "provider": "openai", "model": "owl", "state": "future", "free": False, "output_cap": 9, "effective_at": "2099-01-01T00:00:00Z",
    }  # fmt: skip
    standard = {"input_mtok": "2.5", "output_mtok": "10", "cache_read_mtok": "1.25", "web_searches_kcount": "10"}
    assert found["rates"] == {"standard": standard, "batch": {"input_mtok": "1"}}


def test_list_is_a_table(run):
    run("price", "set", "owl", "input=1")
    run("price", "free", "gift*")
    head, gift, owl = (line.split(maxsplit=4) for line in run("price", "list").stdout.splitlines())
    assert [*head[:4], *head[4].split()] == ["ID", "PROVIDER", "MODEL", "STATE", "RATES", "EFFECTIVE"]
    assert (gift[1:4], gift[4].split()[0]) == (["*", "gift*", "in_force"], "free")
    assert (owl[1:4], owl[4].split()[0]) == (["*", "owl", "in_force"], "input_mtok=1")


def test_a_jump_waits_until_it_is_confirmed(run, listed):
    done = run("price", "set", "gpt-4o", "input=250", "--provider", "openai")
    assert done.exit_code == 1
    (found,) = listed()
    assert found["state"] == "waiting"
    assert f"`penstock price confirm {found['id']}`" in done.stderr
    assert run("price", "confirm", found["id"]).exit_code == 0
    assert listed()[0]["state"] == "in_force"
    assert run("price", "set", "o3", "input=250", "--confirm").exit_code == 0


def test_retire(run, listed):
    run("price", "free", "owl")
    price_id = listed()[0]["id"]
    assert run("price", "retire", price_id).exit_code == 0
    assert listed() == []
    assert listed("--retired")[0]["state"] == "retired"


def test_multipliers(run):
    assert run("price", "multiplier", "gpt-*", "1.25").stderr == "'gpt-*' is multiplied by 1.25\n"
    run("price", "multiplier", "owl", "0.000001")
    assert [line.split()[:2] for line in run("price", "multiplier").stdout.splitlines()] == [
        ["MODEL", "MULTIPLIER"], ["gpt-*", "1.25"], ["owl", "0.000001"],
    ]  # fmt: skip
    assert run("price", "multiplier", "owl", "--delete").exit_code == 0
    (found,) = json.loads(run("price", "multiplier", "--json").stdout)
    assert (found["model"], found["multiplier_micro"]) == ("gpt-*", 1_250_000)


def test_export_and_import(run, listed, tmp_path):
    run("price", "set", "owl", "input=1")
    run("price", "multiplier", "owl", "2")
    exported = run("price", "export").stdout
    file = tmp_path / "prices.json"
    file.write_text(exported)
    again = run("price", "import", str(file))
    assert (again.stdout, again.stderr) == ("", "0 prices and 0 multipliers set, 1 as they were\n")
    file.write_text(exported.replace('"1"', '"1.5"'))
    dry = run("price", "import", str(file), "--dry-run")
    assert (dry.stdout, dry.stderr) == ("*/owl\n", "1 prices and 0 multipliers would be set, 0 as they were\n")
    assert len(listed()) == 1
    assert run("price", "import", str(file)).exit_code == 0
    assert {one["rates"]["standard"]["input_mtok"]: one["state"] for one in listed()} == {"1": "replaced", "1.5": "in_force"}


def test_an_import_of_litellm_says_what_jumps_and_what_is_left_out(run, listed, tmp_path):
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps({
        "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 1e-3},
        "sora": {"litellm_provider": "openai", "output_cost_per_video_per_second": 0.1},
    }))  # fmt: skip
    dry = run("price", "import", str(file), "--dry-run")
    assert dry.stdout == "openai/gpt-4o: The price of openai/gpt-4o jumps: input_mtok (standard) from 2.5 to 1000 dollars\n"
    assert "skipped: sora: " in dry.stderr
    assert run("price", "import", str(file)).exit_code == 1
    assert listed() == []
    assert run("price", "import", str(file), "--confirm").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("set", "owl"), 2),
        (("set", "owl", "2.5"), 2),
        (("set", "owl", "=2.5"), 2),
        (("set", "owl", "input=cheap"), 1),
        (("set", "owl", "nonesuch=1"), 1),
        (("set", "owl", "batch.input=1"), 1),
        (("set", "owl", "input=1", "--provider", "nonesuch"), 1),
        (("set", "owl", "input=1", "--from", "yesterday"), 2),
        (("set", "owl", "input=1", "--output-cap", "0"), 1),
        (("confirm", "prc_nonesuch"), 1),
        (("retire", "prc_nonesuch"), 1),
        (("import", "/nonesuch.json"), 2),
        (("multiplier", "owl"), 2),
        (("multiplier", "owl", "-1"), 2),
        (("multiplier", "owl", "1.0000001"), 2),
        (("multiplier", "owl", "1001"), 1),
        (("multiplier", "owl", "2", "--delete"), 2),
        (("multiplier", "--delete"), 2),
        (("multiplier", "owl", "--delete"), 1),
    ],
)
@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
def test_what_is_wrong_is_said(run, listed, arguments, status):
    done = run("price", *arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr
    assert listed() == []
