"""Claude Code itself, without an account: on Anthropic's own protocol, and on a model that only speaks chat completions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from coder import CONTENT, DONE_WORDS

QUIET = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "CLAUDE_CONFIG_DIR": ""}
"""Nothing is asked of anybody but the gateway."""


@pytest.fixture
def claude(run, gateway, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Runs one prompt; the messages it prints."""

    def ask(model: str, *arguments: str, prompt: str = "Say hello", **environment: str) -> list[dict[str, Any]]:
        settings = QUIET | {"CLAUDE_CONFIG_DIR": str(tmp_path / "home" / ".claude"), "ANTHROPIC_BASE_URL": gateway.url}
        credential = {} if "ANTHROPIC_API_KEY" in environment else {"ANTHROPIC_AUTH_TOKEN": gateway.key}
        shape = ("--output-format", "stream-json", "--verbose")
        done = run("claude", "-p", prompt, "--model", model, *shape, *arguments, **(settings | credential | environment))
        assert done.code == 0, done.out + done.err
        return [json.loads(line) for line in done.out.splitlines()]

    return ask


def served(gateway: Any) -> set[tuple[str, str, str]]:
    """What the gateway has charged: wire, channel and outcome."""
    return {(row["wire"], row["channel"], row["outcome"]) for row in gateway.charges() if row["wire"] != "count_tokens"}


@pytest.mark.parametrize("credential", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
def test_it_speaks_its_own_protocol(claude, gateway, credential):
    *_, result = claude("claude-demo", **{credential: gateway.key})
    assert (result["subtype"], result["is_error"], result["num_turns"]) == ("success", False, 1)
    assert "Say hello" in result["result"]
    assert {(wire, outcome) for wire, _, outcome in served(gateway)} == {("messages", "complete")}


def test_it_finds_the_models_of_the_gateway(claude, tmp_path):
    """Those that have claude in their name; it keeps them for /model."""
    claude("claude-demo", CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="")
    kept = (tmp_path / "home" / ".claude" / "cache" / "gateway-models.json").read_text()
    assert {"claude-demo", "claude-coder", "claude-by-chat"} <= {model["id"] for model in json.loads(kept)["models"]}


def test_it_speaks_to_a_model_of_another_protocol(claude, gateway, coder):
    *_, result = claude("claude-coder", "--tools", "")
    assert (result["subtype"], result["result"], result["usage"]["input_tokens"]) == ("success", DONE_WORDS, 19)
    assert served(gateway) == {("messages", "coder", "complete")}
    assert coder.called == []


def test_a_file_is_written_over_a_bridge(claude, gateway, coder):
    """The whole loop: the tools are told, one is called in pieces, its result goes back, the answer ends it."""
    *said, result = claude("claude-coder", "--permission-mode", "acceptEdits", prompt="Write the file")
    assert coder.path.read_text() == CONTENT
    assert (result["subtype"], result["is_error"], result["num_turns"], result["result"]) == ("success", False, 2, DONE_WORDS)
    blocks = [block for one in said if one["type"] == "assistant" for block in one["message"]["content"]]
    assert [block["name"] for block in blocks if block["type"] == "tool_use"] == ["Write"] == coder.called
    assert any("made.txt" in result for result in coder.results)
    assert served(gateway) == {("messages", "coder", "complete")}


@pytest.mark.parametrize("wire", ["messages", "chat", "responses"])
def test_a_tool_is_called_on_every_protocol(claude, gateway, tmp_path, wire):
    """The demo provider calls the first tool that it is given with examples of arguments: a file `demo` that says `demo`."""
    *said, result = claude(f"claude-by-{wire}", "--tools", "Write", "--permission-mode", "acceptEdits")
    assert (result["subtype"], result["is_error"], result["num_turns"]) == ("success", False, 2)
    results = [block for one in said if one["type"] == "user" for block in one["message"]["content"] if block["type"] == "tool_result"]
    assert len(results) == 1
    assert (tmp_path / "work" / "demo").read_text() == "demo"
    assert served(gateway) == {("messages", wire, "complete")}


def test_a_model_that_there_is_not_is_told_in_words(run, gateway, tmp_path):
    settings = QUIET | {"CLAUDE_CONFIG_DIR": str(tmp_path / "home" / ".claude"), "ANTHROPIC_BASE_URL": gateway.url}
    done = run(
        "claude", "-p", "hi", "--model", "claude-demo-nonsense", "--output-format", "json", **settings, ANTHROPIC_AUTH_TOKEN=gateway.key
    )
    assert done.code != 0
    assert "claude-demo-nonsense" in json.loads(done.out)["result"]
