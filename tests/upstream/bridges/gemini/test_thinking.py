from __future__ import annotations

import pytest
from google.genai import types

from penstock.upstream.bridges.conversation import Asked
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini.thinking import thinking_config


@pytest.mark.parametrize(
    ("model", "asked", "config"),
    [
        ("gemini-2.5-flash", {"effort": "low"}, {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", {"effort": "max"}, {"thinkingBudget": 24576}),
        ("gemini-2.5-flash", {"effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"adaptive": True, "shows_thoughts": True}, {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-flash-lite", {"thinking_tokens": 100}, {"thinkingBudget": 512}),
        ("gemini-2.5-pro", {"effort": "none"}, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", {"thinking_tokens": 90_000}, {"thinkingBudget": 32768}),
        ("gemini-2.5-pro", {}, None),
        ("gemini-3-pro-preview", {"effort": "minimal"}, {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", {"effort": "medium"}, {"thinkingLevel": "HIGH"}),
        ("gemini-3.1-pro-preview", {"effort": "medium"}, {"thinkingLevel": "MEDIUM"}),
        ("gemini-3-flash", {"effort": "none"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash", {"thinking_tokens": 2000}, {"thinkingLevel": "LOW"}),
        ("gemini-3-flash", {"thinking_tokens": 10_000}, {"thinkingLevel": "MEDIUM"}),
        ("gemini-3-flash", {"thinking_tokens": 30_000, "shows_thoughts": False}, {"thinkingLevel": "HIGH", "includeThoughts": False}),
        ("gemini-3-flash", {"adaptive": True}, None),
        ("gemini-flash-latest", {"effort": "xhigh"}, {"thinkingLevel": "HIGH"}),
        ("gemini-2.0-flash", {"effort": "none", "shows_thoughts": False}, None),
    ],
)
def test_each_generation_is_told_in_its_own_way(model, asked, config):
    dropped = Dropped()
    assert thinking_config(Asked(model, [], **asked), model, dropped) == config
    assert not dropped.names
    if config:
        types.ThinkingConfig.model_validate(config)


@pytest.mark.parametrize(("asked", "name"), [({"effort": "high"}, "reasoning_effort"), ({"thinking_tokens": 5}, "thinking")])
def test_models_that_cannot_think(asked, name):
    dropped = Dropped()
    assert thinking_config(Asked("gemma-3", [], **asked), "gemma-3", dropped) is None
    assert list(dropped.names) == [name]
