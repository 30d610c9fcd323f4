"""Figures: usage as Anthropic writes it."""

from __future__ import annotations

from typing import Any

from penstock.upstream.usage import Usage

_TIERS = ("priority", "batch")


def counts(usage: Usage) -> dict[str, Any]:
    """The counts, which the last events of a stream give as well. `input_tokens` are those that no cache had to do with."""
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    said: dict[str, Any] = {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens + usage.input_image_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read_tokens + usage.cache_audio_read_tokens,
        "output_tokens": usage.output_tokens + usage.output_audio_tokens + usage.output_image_tokens,
    }
    if usage.cache_write_1h_tokens:
        said["cache_creation"] = _by_time(usage)
    if usage.reasoning_tokens:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        said["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return said


def whole(usage: Usage) -> dict[str, Any]:
    """The `usage` of a message."""
    tier = usage.service_tier if usage.service_tier in _TIERS else "standard"
    return {**counts(usage), "cache_creation": _by_time(usage), "service_tier": tier}


def _by_time(usage: Usage) -> dict[str, int]:
    return {"ephemeral_5m_input_tokens": usage.cache_write_5m_tokens, "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens}
