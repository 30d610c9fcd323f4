"""The commands for channels: made from stdin, tried for real, brought in and written out, and no secret is ever printed."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fake_answers import answer, chat_answer
from fake_provider import FakeProvider
from loop_thread import LoopThread
from penstock.channels.models import BreakerRow
from penstock.cli import cli
from penstock.infra.database import Database

SECRET = "sk-placeholder-0123456789-wxyz"


@pytest.fixture
def feed(run):
    """Runs a command with something on its stdin."""
    return lambda text, *arguments: CliRunner().invoke(cli, arguments, input=text)


@pytest.fixture
def provider():
    with LoopThread() as loop:
        made = loop.run(FakeProvider().__aenter__())
        yield made
        loop.run(made.__aexit__(None, None, None))


@pytest.fixture
def main(feed, provider) -> str:
    done = feed(
        f"{SECRET}\n", "channel", "add", "main", "--provider", "openai-compatible", "--base-url", f"{provider.url}/v1", "--allow-private",
        "--model", "one", "--model", "fast=vendor-fast", "--label", "first",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("chn_") and "penstock channel test main" in done.stderr
    return done.stdout.strip()


def test_add_list_show(run, main):
    shown = json.loads(run("channel", "show", "main").stdout)
    assert (shown["id"], shown["models"], shown["allow_private"]) == (main, ["one", "fast=vendor-fast"], True)
    assert [(each["label"], each["hint"]) for each in shown["credentials"]] == [("first", "wxyz")]
    assert json.loads(run("channel", "list", "--json").stdout) == [shown]
    head, row = run("channel", "list").stdout.splitlines()
    assert head.split()[:3] == ["NAME", "PROVIDER", "PRIORITY"] and row.split()[:2] == ["main", "openai-compatible"]
    assert SECRET not in run("channel", "list", "--json").output


def test_a_credential_is_asked_for_where_it_is_needed(feed):
    done = feed("", "channel", "add", "main", "--provider", "openai")
    assert done.exit_code == 1 and "stdin" in done.stderr
    assert feed("", "channel", "add", "main", "--provider", "openai", "--no-secret").exit_code == 0
    assert feed("", "channel", "add", "local", "--provider", "ollama").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--provider", "nobody"), "There is no provider"),
        (("--provider", "openai", "--base-url", "http://10.0.0.1/v1"), "allow_private"),
        (("--provider", "openai", "--weight", "5000"), "weight"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(feed, arguments, said):
    done = feed("sk-x", "channel", "add", "main", *arguments)
    assert done.exit_code == 1 and said in done.stderr and done.stderr.startswith("penstock: ")


def test_a_model_that_is_half_given(feed):
    assert feed("sk-x", "channel", "add", "main", "--provider", "openai", "--model", "a=").exit_code == 2


def test_it_is_tried(run, provider, main):
    provider.script(answer(chat_answer()))
    done = run("channel", "test", "main", "--model", "fast")
    assert done.exit_code == 0 and "It works." in done.stdout and "vendor-fast" in done.stdout
    provider.script(answer({"error": {"message": "no"}}, 401))
    done = run("channel", "test", "main", "--json")
    assert done.exit_code == 1
    (trial,) = json.loads(done.stdout)
    assert (trial["code"], trial["status"], trial["credential"]) == ("wrong_key", 401, "first")


def test_its_models_are_asked_for(run, provider, main):
    provider.script(answer({"data": [{"id": "a"}, {"id": "b"}]}))
    assert run("channel", "discover", "main").stdout == "2 models\n"
    provider.script(answer({}, 500))
    done = run("channel", "discover", "main")
    assert done.exit_code == 1 and "2 models are known from before" in done.stderr


def test_enable_disable_delete(run, main):
    assert run("channel", "disable", "main").exit_code == 0
    assert json.loads(run("channel", "show", main).stdout)["enabled"] is False
    assert run("channel", "enable", "main").exit_code == 0
    assert run("channel", "delete", "main").exit_code == 0
    done = run("channel", "show", "main")
    assert done.exit_code == 1 and "There is no channel 'main'" in done.stderr


def test_out_and_in_again(run, feed, main, tmp_path: Path):
    text = run("channel", "export").stdout
    assert SECRET not in text
    assert json.loads(run("channel", "export", "--json").stdout)["channels"][0]["name"] == "main"
    file = tmp_path / "channels.toml"
    file.write_text(text)
    assert run("channel", "import", str(file), "--dry-run").stdout == "would be changed: main\n"
    run("channel", "delete", "main")
    assert feed(text, "channel", "import", "-").stdout == "made: main\nneeds its secret: main: first\n"
    assert run("channel", "import", str(tmp_path / "none")).exit_code == 1


def test_a_secret_key_that_others_may_read(run, main, tmp_path: Path):
    (tmp_path / "data" / "secret.key").chmod(0o644)
    done = run("channel", "list")
    assert done.exit_code == 1 and "chmod 600" in done.stderr


def test_a_credential_is_given_later_and_replaced(run, feed):
    done = feed("", "channel", "add", "later", "--provider", "openai", "--no-secret")
    assert "penstock channel secret later" in done.stderr
    assert run("channel", "list").stdout.splitlines()[1].endswith("no credential")
    first = feed("sk-one\n", "channel", "secret", "later", "--label", "a").stdout
    assert feed(f"{SECRET}\n", "channel", "secret", "later", "--label", "a").stdout == first
    assert feed("sk-two\n", "channel", "secret", "later").stdout != first
    shown = json.loads(run("channel", "show", "later").stdout)["credentials"]
    assert [(each["label"], each["hint"]) for each in shown] == [("a", "wxyz"), ("", "")]
    assert feed("", "channel", "secret", "later").exit_code == 1
    assert feed("sk-x", "channel", "secret", "nobody").exit_code == 1


def test_what_has_failed_is_shown_and_reset(run, main, empty_database_url):
    async def open_breaker() -> None:
        database = Database(empty_database_url)
        at_ms = time.time_ns() // 1_000_000
        async with database.session() as session:
            names = ("channel_id", "credential_id", "model", "state", "until_ms", "failures", "reason", "at_ms")
            values = (main, "crd_x", "vendor-fast", "open", at_ms + 60_000, 1, "404 Not Found", at_ms)
            session.add(BreakerRow(**dict(zip(names, values, strict=True))))
        await database.close()

    asyncio.run(open_breaker())
    assert run("channel", "list").stdout.splitlines()[1].endswith("vendor-fast: 404 Not Found")
    (breaker,) = json.loads(run("channel", "show", "main").stdout)["breakers"]
    assert (breaker["model"], breaker["reason"]) == ("vendor-fast", "404 Not Found")
    assert run("channel", "reset", "main").exit_code == 0
    assert json.loads(run("channel", "show", "main").stdout)["breakers"] == []
    assert run("channel", "reset", "nobody").exit_code == 1
