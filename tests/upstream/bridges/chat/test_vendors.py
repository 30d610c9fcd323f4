from __future__ import annotations

import pytest

from penstock.upstream.bridges.chat.vendors import habits


@pytest.mark.parametrize(
    ("model", "openai", "reasons", "customs"),
    [
        ("gpt-5.2", True, True, True),
        ("ft:gpt-4.1:acme", True, False, False),
        ("gpt-4o-mini", True, False, False),
        ("gpt-5-chat-latest", True, False, True),
        ("openai/o4-mini", True, True, False),
        ("o3", True, True, False),
        ("chatgpt-4o-latest", True, False, False),
        ("gpt-oss-120b", False, True, False),
        ("o1-like-model", True, True, False),
        ("olmo-3", False, True, False),
        ("llama-3.3-70b-versatile", False, False, False),
        ("nvidia/llama-3.3-nemotron-super-49b", False, True, False),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", False, False, False),
        ("qwen3-32b", False, True, False),
        ("claude-sonnet-5", False, True, False),
    ],
)
def test_whose_a_model_is(model, openai, reasons, customs):
    takes = habits(model)
    assert (takes.openai, takes.reasons, takes.customs) == (openai, reasons, customs)


def test_habits_of_others():
    assert habits("anthropic/claude-x").marks and not habits("gpt-5").marks
    assert habits("google/gemini-3-pro").google
    assert habits("codestral-latest").short_ids and habits("mistralai/Mixtral-8x7B").short_ids
    assert habits("deepseek-chat").aloud and habits("moonshotai/Kimi-K2-Thinking").aloud
    assert habits("gpt-4o-search-preview").searches and not habits("llama-search-1").searches


@pytest.mark.parametrize(
    ("model", "asked", "put"),
    [
        ("o3", "max", "high"),
        ("gpt-5", "none", "minimal"),
        ("gpt-5.1", "none", "none"),
        ("gpt-5.1-codex-max", "xhigh", "xhigh"),
        ("gpt-5.4", "max", "xhigh"),
        ("gpt-6", "xhigh", "xhigh"),
        ("deepseek-v4", "xhigh", "max"),
        ("llama", "minimal", "low"),
    ],
)
def test_efforts(model, asked, put):
    assert habits(model).efforts.get(asked, asked) == put
