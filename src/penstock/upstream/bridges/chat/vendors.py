"""Vendors: in what the many that copy OpenAI's chat differ, told by the name of the model, for that is all that a request shows.

Sources: OpenAI's reference of `reasoning_effort` and `max_completion_tokens`; DeepSeek's guide of its thinking mode (an assistant message
with tool calls needs its `reasoning_content`, be it empty); Mistral's rule for ids of tool calls (nine letters or digits); OpenRouter's
`cache_control` for Anthropic's models; Google's `extra_content` for thought signatures.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_OPENAI = re.compile(r"(?:ft:)?(?:o[134](?:$|[-:@])|gpt-[3-9]|chatgpt-|codex-)")
_NEWER = re.compile(r"(?:ft:)?(?:o[134](?:$|[-:@])|gpt-[5-9]|codex-)")
_VERSION = re.compile(r"(?:ft:)?gpt-(\d+)(?:\.(\d+))?")
_MISTRAL = re.compile(r"mistral|mixtral|codestral|devstral|magistral|ministral|pixtral|voxtral")
_ALOUD = re.compile(r"deepseek|kimi")
_THOUGHTLESS = re.compile(
    r"llama(?!.*nemotron)|mixtral|codestral|devstral|pixtral|ministral|voxtral|gemma|command-|-instruct(?:$|-)|-chat(?:$|-)"
)
_SEARCHES = re.compile(r"-search(?:-|$)")

_LOW_TO_HIGH = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
_GPT_5 = {"none": "minimal", "xhigh": "high", "max": "high"}
_GPT_51 = {"minimal": "low", "xhigh": "high", "max": "high"}
_LATER = {"minimal": "low", "max": "xhigh"}
_DEEPSEEK = {"minimal": "low", "xhigh": "max"}
_OTHERS = {"minimal": "low", "xhigh": "high", "max": "high"}


class Habits(msgspec.Struct, frozen=True):
    """What a model's vendor takes."""

    openai: bool
    """OpenAI's own model: it knows every field, and refuses some that belong to other models."""
    reasons: bool
    """Takes `reasoning_effort`: all but those that are known not to think, for their vendors refuse it."""
    cap: str
    """The name of the bound on output tokens."""
    efforts: dict[str, str]
    """What is put for those efforts that it does not know."""
    aloud: bool
    """Wants the reasoning of earlier turns back, as text."""
    switched: bool
    """Thinking is turned off by a field of its own, `thinking`: DeepSeek knows no effort "none"."""
    marks: bool
    """Takes `cache_control`."""
    google: bool
    """Wants thought signatures back with the tool calls."""
    short_ids: bool
    """Ids of tool calls are nine letters or digits."""
    customs: bool
    """Knows custom tools."""
    searches: bool
    """Searches the web: takes `web_search_options`."""


@lru_cache(1024)
def habits(model: str) -> Habits:
    """What the vendor of `model`, by the provider's name of it, takes. A name that says nothing counts as any copy of OpenAI's."""
    name = model.lower().rsplit("/", 1)[-1]
    openai, newer = _OPENAI.match(name) is not None, _NEWER.match(name) is not None
    return Habits(
        openai=openai,
        reasons=(newer or not openai) and _THOUGHTLESS.search(name) is None,
        cap="max_completion_tokens" if newer else "max_tokens",
        efforts=_efforts(name, openai=openai),
        aloud=_ALOUD.search(name) is not None,
        switched=model.lower().startswith("deepseek-"),
        marks="claude" in name,
        google="gemini" in name,
        short_ids=_MISTRAL.search(name) is not None,
        customs=newer and name.removeprefix("ft:").startswith("gpt-"),
        searches=openai and _SEARCHES.search(name) is not None,
    )


def _efforts(name: str, *, openai: bool) -> dict[str, str]:
    version = _VERSION.match(name)
    if version is not None:
        of = (int(version[1]), int(version[2] or 0))
        if of >= (5, 2) or "codex-max" in name:
            return _LATER
        return _GPT_51 if of == (5, 1) else _GPT_5
    if openai:
        return _LOW_TO_HIGH
    return _DEEPSEEK if "deepseek" in name else _OTHERS
