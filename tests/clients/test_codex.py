"""Codex itself, without an account: on OpenAI's own protocol, and on a model that only speaks chat completions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from coder import CONTENT, DONE_WORDS

CONFIG = """
model_provider = "penstock"
check_for_update_on_startup = false

[model_providers.penstock]
name = "Penstock"
base_url = "{url}/v1"
env_key = "PENSTOCK_KEY"
wire_api = "responses"
supports_websockets = {websockets}

[analytics]
enabled = false
"""


@pytest.fixture
def codex(run, gateway, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Runs one prompt; the events it prints."""

    def ask(model: str, *arguments: str, websockets: bool = False, prompt: str = "Say hello") -> list[dict[str, Any]]:
        home = tmp_path / "home" / ".codex"
        home.mkdir()
        (home / "config.toml").write_text(CONFIG.format(url=gateway.url, websockets=str(websockets).lower()))
        shape = ("exec", "--json", "--skip-git-repo-check", "--model", model)
        done = run("codex", *shape, *arguments, prompt, CODEX_HOME=str(home), PENSTOCK_KEY=gateway.key)
        assert done.code == 0, done.out + done.err
        assert "missing field `models`" not in done.err
        return [json.loads(line) for line in done.out.splitlines()]

    return ask


def items(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["item"] for event in events if event["type"] == "item.completed" and event["item"]["type"] == kind]


def served(gateway: Any) -> set[tuple[str, str, str]]:
    """What the gateway has charged: wire, model and outcome."""
    return {(row["wire"], row["model"], row["outcome"]) for row in gateway.charges()}


@pytest.mark.parametrize("websockets", [False, True])
def test_it_speaks_its_own_protocol(codex, gateway, websockets):
    """Where it tries a WebSocket first, it falls back at once."""
    events = codex("demo", websockets=websockets)
    assert events[-1]["type"] == "turn.completed" and events[-1]["usage"]["output_tokens"] > 0
    assert "Say hello" in items(events, "agent_message")[0]["text"]
    assert served(gateway) == {("responses", "demo", "complete")}
    assert gateway.plane.metrics._counts.refused["upgrade_required"] == int(websockets)


def test_the_provider_that_it_brings_with_it(run, gateway, tmp_path):
    """`openai_base_url` and an API key; it tries a WebSocket first."""
    home = tmp_path / "home" / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(f'openai_base_url = "{gateway.url}/v1"\ncheck_for_update_on_startup = false\n')
    (home / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": gateway.key}))
    done = run("codex", "exec", "--json", "--skip-git-repo-check", "--model", "demo", "Say hello", CODEX_HOME=str(home))
    assert done.code == 0, done.out + done.err
    assert "Say hello" in done.out
    assert gateway.plane.metrics._counts.refused["upgrade_required"] == 1
    assert served(gateway) == {("responses", "demo", "complete")}


# What it takes a model for decides which tools it offers: only functions, the patch tool, or one that runs JavaScript.
WAYS = {"coder": "exec_command", "gpt-5.5": "apply_patch", "gpt-6.1-sol": "functions__exec"}


@pytest.mark.parametrize("model", WAYS)
def test_a_file_is_written_over_a_bridge(codex, gateway, coder, model):
    """The whole loop: the tools are told, one is called in pieces, its result goes back, the answer ends it."""
    events = codex(model, "--dangerously-bypass-approvals-and-sandbox", prompt="Write the file")
    assert coder.path.read_text() == CONTENT
    assert coder.called == [WAYS[model]]
    assert len(coder.results) == 1
    assert [item["text"] for item in items(events, "agent_message")] == [DONE_WORDS]
    assert events[-1]["type"] == "turn.completed" and events[-1]["usage"]["input_tokens"] == 38
    assert served(gateway) == {("responses", model, "complete")}


@pytest.mark.parametrize("wire", ["responses", "chat", "messages"])
def test_a_tool_is_called_on_every_protocol(codex, gateway, wire):
    """The demo provider calls the first tool that it is given with examples of arguments: a command `demo`, which there is not."""
    events = codex(f"claude-by-{wire}", "--dangerously-bypass-approvals-and-sandbox")
    assert [item["command"].split()[-1].strip("'") for item in items(events, "command_execution")] == ["demo"]
    assert events[-1]["type"] == "turn.completed"
    assert items(events, "agent_message")[-1]["text"].startswith("Hello!")
    assert [(row["channel"], row["outcome"]) for row in gateway.charges()] == [(wire, "complete")] * 2


def test_a_refusal_is_shown_in_its_own_words(run, gateway, tmp_path):
    home = tmp_path / "home" / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(CONFIG.format(url=gateway.url, websockets="false"))
    arguments = ("exec", "--json", "--skip-git-repo-check", "--model", "demo-nonsense", "hi")
    done = run("codex", *arguments, CODEX_HOME=str(home), PENSTOCK_KEY=gateway.key)
    assert done.code != 0
    assert "demo-nonsense" in done.out
