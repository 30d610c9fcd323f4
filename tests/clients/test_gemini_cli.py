"""Gemini CLI itself, without an account, on a model that only speaks chat completions."""

from __future__ import annotations

import json

from coder import CONTENT, DONE_WORDS

SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
}
"""Nothing is asked of anybody but the gateway."""


def test_a_file_is_written_over_a_bridge(run, gateway, coder, tmp_path):
    """The whole loop: the tools are told, one is called, its result goes back, the answer ends it."""
    home = tmp_path / "home" / ".gemini"
    home.mkdir()
    (home / "settings.json").write_text(json.dumps(SETTINGS))
    known = {"GEMINI_API_KEY": gateway.key, "GOOGLE_GEMINI_BASE_URL": gateway.url, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    arguments = ("-p", "Write the file", "-m", "gemini-2.5-pro", "--approval-mode", "yolo", "--output-format", "json")
    done = run("gemini", *arguments, **known)
    assert done.code == 0, done.out + done.err
    assert json.loads(done.out)["response"] == DONE_WORDS
    assert coder.path.read_text() == CONTENT
    assert coder.called == ["write_file"]
    assert len(coder.results) == 1
    assert [(row["wire"], row["channel"], row["outcome"]) for row in gateway.charges()] == [("gemini", "coder", "complete")] * 2
