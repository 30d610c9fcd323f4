from __future__ import annotations

from typing import Any

import pytest

from penstock.upstream.bridges.conversation import Asked
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages.families import family_of
from penstock.upstream.bridges.messages.thinking import write_thinking

SHOWN = {"type": "adaptive", "display": "summarized"}
OLD, BOTH, NEW = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5"


def written(
    model: str, messages: list[dict[str, Any]] | None = None, choice: str = "auto", **asked: Any
) -> tuple[dict[str, Any], list[str]]:
    sent: dict[str, Any] = {"messages": messages or [], "tool_choice": {"type": choice}}
    dropped = Dropped()
    write_thinking(Asked("m", [], **asked), family_of(model), sent, dropped)
    del sent["messages"], sent["tool_choice"]
    return sent, list(dropped.names)


def test_nothing_asked_nothing_sent():
    assert written(OLD) == ({"max_tokens": 8192}, [])
    assert written(NEW, output_cap=50) == ({"max_tokens": 50}, [])


@pytest.mark.parametrize(("effort", "budget"), [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384), ("max", 22528)])
def test_an_effort_as_a_budget(effort, budget):
    sent, names = written(OLD, effort=effort)
    assert sent == {"max_tokens": 8192 + budget, "thinking": {"type": "enabled", "budget_tokens": budget}}
    assert sent["max_tokens"] < 32000
    assert names == []


def test_a_budget_stays_below_the_clients_bound():
    assert written(OLD, effort="high", output_cap=4096)[0] == {"max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 3072}}
    assert written(OLD, thinking_tokens=10, output_cap=4096)[0]["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert written(OLD, effort="high", output_cap=2000) == ({"max_tokens": 2000}, ["reasoning_effort"])


@pytest.mark.parametrize(
    ("model", "asked", "effort"),
    [
        (NEW, {"effort": "minimal"}, "low"),
        (NEW, {"effort": "xhigh"}, "xhigh"),
        (BOTH, {"effort": "xhigh"}, "high"),
        (BOTH, {"effort": "max"}, "max"),
        (NEW, {"thinking_tokens": 1024}, "low"),
        (NEW, {"thinking_tokens": 31999}, "high"),
        (NEW, {"thinking_tokens": 100_000}, "max"),
    ],
)
def test_models_that_decide_by_themselves(model, asked, effort):
    sent, names = written(model, **asked)
    assert sent == {"max_tokens": 16384, "thinking": SHOWN, "output_config": {"effort": effort}}
    assert names == []


def test_adaptive_says_no_effort():
    assert written(NEW, adaptive=True)[0] == {"max_tokens": 16384, "thinking": SHOWN}
    assert written(OLD, adaptive=True)[0]["thinking"] == {"type": "enabled", "budget_tokens": 8192}


@pytest.mark.parametrize(
    ("model", "sent", "names"),
    [
        (OLD, {}, []),
        (BOTH, {}, []),
        (NEW, {"thinking": {"type": "disabled"}}, []),
        ("claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}, []),
        ("claude-fable-5", {"output_config": {"effort": "low"}}, ["reasoning_effort"]),
    ],
)
def test_not_thinking(model, sent, names):
    for asked in ({"effort": "none"}, {"thinking_tokens": 0}):
        assert written(model, output_cap=9, **asked) == ({"max_tokens": 9} | sent, names)


def test_a_model_that_cannot_think():
    assert written("claude-3-5-haiku-latest", effort="low") == ({"max_tokens": 8192}, ["reasoning_effort"])


def test_showing_thoughts():
    assert written(NEW, adaptive=True, shows_thoughts=True)[0]["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert written(NEW, adaptive=True, shows_thoughts=False)[0]["thinking"] == {"type": "adaptive", "display": "omitted"}
    assert "display" not in written(OLD, effort="low", shows_thoughts=True)[0]["thinking"]
    assert "thinking" not in written(NEW, shows_thoughts=True)[0]


def test_with_a_budget_no_tool_is_forced():
    assert written(OLD, choice="any", effort="low") == ({"max_tokens": 8192 + 2048}, ["reasoning_effort"])
    assert "thinking" in written(NEW, choice="any", effort="low")[0]


def test_with_a_budget_a_turn_that_goes_on_must_have_begun_with_a_thought():
    result = {"role": "user", "content": [{"type": "tool_result"}]}
    bare = [{"role": "assistant", "content": [{"type": "tool_use"}]}, result]
    thought = [{"role": "assistant", "content": [{"type": "thinking"}, {"type": "tool_use"}]}, result]
    assert written(OLD, bare, effort="low")[1] == ["reasoning_effort"]
    assert "thinking" in written(OLD, thought, effort="low")[0]
    assert "thinking" in written(NEW, bare, effort="low")[0]


@pytest.mark.parametrize(
    ("model", "asked", "sent", "names"),
    [
        (OLD, {"temperature": 0.3, "top_k": 5}, {"temperature": 0.3, "top_k": 5}, []),
        (OLD, {"temperature": 1.7}, {"temperature": 1.0}, ["temperature"]),
        (OLD, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3}, ["top_p"]),
        (OLD, {"top_p": 0.9}, {"top_p": 0.9}, []),
        ("claude-3-haiku-20240307", {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3, "top_p": 0.9}, []),
        (NEW, {"temperature": 0.3, "top_p": 0.9, "top_k": 3}, {}, ["temperature", "top_p", "top_k"]),
        (NEW, {"temperature": 1, "top_p": 1}, {}, []),
        (OLD, {"temperature": 0.3, "effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}, ["temperature"]),
    ],
)
def test_sampling(model, asked, sent, names):
    found, noted = written(model, output_cap=9000, **asked)
    assert found == {"max_tokens": 9000} | sent
    assert noted == names
