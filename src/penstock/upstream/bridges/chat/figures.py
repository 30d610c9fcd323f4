"""Figures: the usage of an answer as chats state it. Source: the published types of OpenAI's SDK."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Reader
from penstock.upstream.wires.openai_figures import Figures
from penstock.upstream.wires.openai_usage import normalised

_FIGURES = Reader(Figures)


def read(usage: bytes, service_tier: Any) -> Usage | None:
    """The usage in a `usage` object; None if it says nothing."""
    figures = _FIGURES.read(usage)
    return normalised(figures, service_tier) if figures is not None and figures.stated else None


def written(usage: Usage) -> dict[str, Any]:
    """A `usage` object: what was cached, heard, seen and thought is in the totals."""
    prompt = usage.context_tokens()
    completion = usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens
    before = {
        "cached_tokens": usage.cache_read_tokens + usage.cache_audio_read_tokens,
        "audio_tokens": usage.input_audio_tokens + usage.cache_audio_read_tokens,
    }
    details: dict[str, Any] = before
    if writes := usage.cache_write_5m_tokens + usage.cache_write_1h_tokens:
        details["cache_write_tokens"] = writes
    if usage.cache_write_1h_tokens:
        details["cache_write_tokens_details"] = {"ttl_12h_tokens": usage.cache_write_1h_tokens}
    if usage.cache_audio_read_tokens:
        details["cached_tokens_details"] = {"audio_tokens": usage.cache_audio_read_tokens}
    if usage.input_image_tokens:
        details["image_tokens"] = usage.input_image_tokens
    after = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.output_audio_tokens,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    if usage.output_image_tokens:
        after["image_tokens"] = usage.output_image_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": after,
    }


def encoded(usage: Any) -> bytes:
    """A decoded `usage` object as JSON again."""
    try:
        return msgspec.json.encode(usage)
    except (OverflowError, RecursionError):
        return b""
