"""Libraries that chat programs are built on: OpenAI's for LobeChat, Vercel's for Chatbox and Cherry Studio, LangChain's for LibreChat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ENGINES = {
    "openai": "chat",
    "openai-without-version": "chat",
    "ai-sdk-compatible": "chat",
    "ai-sdk-responses": "responses",
    "ai-sdk-anthropic": "messages",
    "ai-sdk-google": "gemini",
    "langchain": "chat",
    "langchain-responses": "responses",
}
"""What each of them speaks."""


@pytest.fixture(scope="module")
def script(installed) -> Path:
    """Beside the libraries, where it finds them."""
    return shutil.copy(Path(__file__).with_name("engines.mjs"), installed.parents[1] / "engines.mjs")


@pytest.mark.parametrize("wire", ["chat", "messages", "responses"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_conversation_with_a_tool(script, gateway, engine, wire):
    """Streamed: a tool is called, its result goes back, the answer ends it, and the figures arrive."""
    asked = ["node", str(script), engine, gateway.url, gateway.key, f"claude-by-{wire}"]
    done = subprocess.run(asked, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["called"] == [{"city": "demo"}]
    assert told["text"].startswith("Hello!") and "Oslo" in told["text"]
    assert [(row["wire"], row["channel"], row["outcome"]) for row in gateway.charges()] == [(ENGINES[engine], wire, "complete")] * 2
