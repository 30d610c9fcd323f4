"""Usage as Anthropic writes it, and how it becomes ours.

`input_tokens` contains neither what was read from the cache nor what was written to it. In a stream `message_start` states
the input, and `message_delta` repeats all figures, cumulated. Source: the published types of the official SDK.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Count, tier

_OUTSIDE = ("compaction", "advisor_message")
"""Iterations whose tokens the totals leave out. An advisor's are of another model; they are charged as this one's."""


class CacheCreation(msgspec.Struct, gc=False):
    """What was written to the cache, by how long it stays."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class ServerTools(msgspec.Struct, gc=False):
    """Tools that ran at the provider."""

    web_search_requests: Count | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """What the output consists of."""

    thinking_tokens: Count | None = None


class Iteration(msgspec.Struct, gc=False):
    """One of several samplings that made the answer."""

    type: str = ""
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None


class Figures(msgspec.Struct, gc=False):
    """A `usage` object."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerTools | None = None
    output_tokens_details: OutputDetails | None = None
    iterations: list[Iteration] | None = None
    service_tier: Any = None
    speed: Any = None

    @property
    def stated(self) -> bool:
        """Whether it says anything."""
        return self.input_tokens is not None or self.output_tokens is not None


def merged(first: Figures | None, later: Figures) -> Figures:
    """Two statements about one answer: the larger count of each, the later of what is not a count."""
    if first is None:
        return later
    for name in ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        setattr(later, name, max(getattr(first, name) or 0, getattr(later, name) or 0))
    for name in ("cache_creation", "server_tool_use", "output_tokens_details", "iterations", "service_tier", "speed"):
        if getattr(later, name) is None:
            setattr(later, name, getattr(first, name))
    return later


def normalised(figures: Figures) -> Usage:
    """`figures` as `Usage`. The fast mode, which has prices of its own, is shown as the service tier "fast"."""
    usage = Usage(service_tier="fast" if figures.speed == "fast" else tier(figures.service_tier))
    _take(usage, figures)
    if figures.iterations is not None:
        for iteration in figures.iterations:
            if iteration.type in _OUTSIDE:
                _take(usage, iteration)
    if figures.output_tokens_details is not None:
        usage.reasoning_tokens = min(usage.output_tokens, figures.output_tokens_details.thinking_tokens or 0)
    if figures.server_tool_use is not None:
        usage.web_searches = figures.server_tool_use.web_search_requests or 0
    return usage


def _take(usage: Usage, figures: Figures | Iteration) -> None:
    usage.input_tokens += figures.input_tokens or 0
    usage.output_tokens += figures.output_tokens or 0
    usage.cache_read_tokens += figures.cache_read_input_tokens or 0
    written = figures.cache_creation_input_tokens or 0
    brief = lasting = 0
    if figures.cache_creation is not None:
        brief = figures.cache_creation.ephemeral_5m_input_tokens or 0
        lasting = figures.cache_creation.ephemeral_1h_input_tokens or 0
    # The breakdown is given once, the total may grow after it: the rest is of the kind that there was.
    rest = max(0, written - brief - lasting)
    if lasting and not brief:
        lasting += rest
    else:
        brief += rest
    usage.cache_write_5m_tokens += brief
    usage.cache_write_1h_tokens += lasting
