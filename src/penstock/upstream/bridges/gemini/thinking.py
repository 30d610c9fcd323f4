"""Thinking: how hard a Gemini is to think, which each generation is told in its own way."""

from __future__ import annotations

from typing import Any

from penstock.upstream.bridges.conversation import Asked
from penstock.upstream.bridges.dropped import Dropped
from penstock.upstream.bridges.gemini.signatures import generation

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""As Google's own OpenAI door has them."""
_MOST = 24576
_MOST_PRO = 32768
_LEAST_PRO = 128
_LEAST_LITE = 512
_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_LOW_UP_TO, _MEDIUM_UP_TO = 2048, 12288


def thinking_config(asked: Asked, model: str, dropped: Dropped) -> dict[str, Any] | None:
    """The `thinkingConfig` for a model; None where there is nothing to be said."""
    wanted = asked.effort is not None or asked.thinking_tokens is not None or asked.adaptive
    config: dict[str, Any] = {}
    since = generation(model)
    if since >= 3:
        level = _level(asked, model)
        if level:
            config["thinkingLevel"] = level
    elif "gemini-2.5" in model:
        budget = _budget(asked, model)
        if budget is not None:
            config["thinkingBudget"] = budget
    elif wanted and asked.effort != "none":
        dropped.note("reasoning_effort" if asked.effort is not None else "thinking")
        return None
    else:
        return None
    if asked.shows_thoughts is not None:
        config["includeThoughts"] = asked.shows_thoughts
    return config or None


def _level(asked: Asked, model: str) -> str:
    effort = asked.effort
    if effort is None:
        tokens = asked.thinking_tokens
        if tokens is None:
            return ""
        effort = "minimal" if tokens <= 0 else "low" if tokens <= _LOW_UP_TO else "medium" if tokens <= _MEDIUM_UP_TO else "high"
    level = _LEVELS.get(effort, "HIGH")
    if "pro" in model and level == "MINIMAL":
        return "LOW"  # no Pro can do without
    return "HIGH" if "gemini-3-pro" in model and level == "MEDIUM" else level


def _budget(asked: Asked, model: str) -> int | None:
    pro, lite = "pro" in model, "lite" in model
    most = _MOST_PRO if pro else _MOST
    if asked.thinking_tokens is not None:
        budget = asked.thinking_tokens
    elif asked.effort is not None:
        budget = _BUDGETS.get(asked.effort, most)
    else:
        return -1 if asked.adaptive else None
    if budget <= 0:
        return _LEAST_PRO if pro else 0
    return min(most, max(budget, _LEAST_PRO if pro else _LEAST_LITE if lite else 1))
