"""Thinking: how hard, in the words that a model of Anthropic's takes, and what goes with it.

| asked | models that decide by themselves (4.6 and later) | models with a budget |
| --- | --- | --- |
| an effort | `adaptive` with that `effort`, or the next one below | a budget of `BUDGETS` |
| a budget | `adaptive` with the effort of `EFFORTS` | that budget, at least 1024 |
| adaptive | `adaptive` | the budget of "medium" |
| none | `disabled`, or the lowest effort where thinking cannot be turned off | nothing |

Thinking counts against `max_tokens`: a budget is cut to three quarters of the client's bound, and left out below 2048. While a
model thinks its temperature is its own, and with a budget no tool can be forced: then it does not think.
"""

from __future__ import annotations

from typing import Any

from penstock.upstream.bridges.conversation import Asked
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.messages.families import Family

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 22528, "max": 22528}
"""Tokens to think with, by effort. The largest leaves room below the smallest `max_tokens` of a model that thinks, 32,000."""
EFFORTS = ((4096, "low"), (12288, "medium"), (32768, "high"), (65536, "xhigh"))
"""An effort, by the budget that it stands for: for less than that many tokens. Above: max."""

_LOWER = {"max": "xhigh", "xhigh": "high", "high": "medium", "medium": "low", "minimal": "low"}
_LEAST_BUDGET = 1024
_LEAST_CAP = 2048


def wants_thought(asked: Asked) -> bool:
    """The client has asked for thinking."""
    return asked.adaptive or asked.thinking_tokens is not None or asked.effort not in (None, "none")


def write_thinking(asked: Asked, family: Family, sent: dict[str, Any], dropped: Dropped) -> None:
    """Put `thinking`, the effort, `max_tokens` and the sampling into `sent`, where `tool_choice` and `messages` are already."""
    cap = asked.output_cap or family.output_cap
    sent["max_tokens"] = cap
    if asked.effort == "none" or asked.thinking_tokens == 0:
        _turn_off(family, sent, dropped)
    elif wants_thought(asked):
        if family.adaptive:
            _adapt(asked, family, sent)
        elif family.budget:
            _spend(asked, sent, dropped)
        else:
            dropped.note("reasoning_effort")
    thinks = sent.get("thinking", {}).get("type") in ("enabled", "adaptive")
    if thinks and family.adaptive:
        # Newer models show nothing unless they are asked to, older ones always do.
        sent["thinking"]["display"] = "omitted" if asked.shows_thoughts is False else "summarized"
    _write_sampling(asked, family, sent, dropped, thinks=thinks)


def _turn_off(family: Family, sent: dict[str, Any], dropped: Dropped) -> None:
    if family.off == "never":
        # No model that cannot stop thinking lacks the lowest effort.
        sent.setdefault("output_config", {})["effort"] = "low"
        dropped.note("reasoning_effort")
    elif family.off != "omitted":
        sent["thinking"] = {"type": family.off}


def _adapt(asked: Asked, family: Family, sent: dict[str, Any]) -> None:
    sent["thinking"] = {"type": "adaptive"}
    effort = asked.effort
    if effort is None and asked.thinking_tokens is not None:
        effort = next((name for bound, name in EFFORTS if asked.thinking_tokens < bound), "max")
    while effort is not None and effort not in family.efforts:
        effort = _LOWER.get(effort)
    if effort is not None:
        sent.setdefault("output_config", {})["effort"] = effort


def _spend(asked: Asked, sent: dict[str, Any], dropped: Dropped) -> None:
    budget = asked.thinking_tokens
    if budget is None:
        budget = BUDGETS.get(asked.effort or "medium", BUDGETS["medium"])
    budget = max(budget, _LEAST_BUDGET)
    if asked.output_cap is None:
        sent["max_tokens"] += budget
    elif asked.output_cap < _LEAST_CAP:
        dropped.note("reasoning_effort")
        return
    else:
        budget = min(budget, asked.output_cap * 3 // 4)
    forced = sent.get("tool_choice", {}).get("type") in ("any", "tool")
    if forced or _goes_on_without_thought(sent["messages"]):
        dropped.note("reasoning_effort")
        return
    sent["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _goes_on_without_thought(messages: list[dict[str, Any]]) -> bool:
    """The turn to be taken up calls tools and does not begin with a thought: with a budget that is refused."""
    if len(messages) < 2 or messages[-1]["content"][0]["type"] != "tool_result":
        return False
    first: str = messages[-2]["content"][0]["type"]
    return first not in ("thinking", "redacted_thinking")


def _write_sampling(asked: Asked, family: Family, sent: dict[str, Any], dropped: Dropped, *, thinks: bool) -> None:
    temperature, top_p, top_k = asked.temperature, asked.top_p, asked.top_k
    free = family.samples and not thinks
    if temperature is not None:
        if not free:
            if temperature != 1:
                dropped.note("temperature")
        else:
            if temperature > 1:
                dropped.note("temperature")
            sent["temperature"] = min(max(temperature, 0.0), 1.0)
    if top_p is not None and top_p != 1:
        if free and (family.samples_both or "temperature" not in sent):
            sent["top_p"] = top_p
        else:
            dropped.note("top_p")
    if top_k is not None and top_k > 0:
        if free:
            sent["top_k"] = top_k
        else:
            dropped.note("top_k")
