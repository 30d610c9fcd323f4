"""Usage as OpenAI and its many imitators write it, and how it becomes ours.

`prompt_tokens` (chat, completions, embeddings) and `input_tokens` (everything newer) contain what was read from and
written to the cache, audio and images; `completion_tokens` and `output_tokens` contain reasoning and audio. The details
say how much. Source: the published types of the official SDK; names other vendors use are marked.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import tier
from penstock.upstream.wires.openai_figures import Figures, InputDetails, OutputDetails

_COUNTS = tuple(name for name in Usage.__struct_fields__ if name not in ("calls", "service_tier"))

Kind = Literal["text", "audio", "image"]


_NO_INPUT = InputDetails()
_NO_OUTPUT = OutputDetails()


def normalised(figures: Figures, service_tier: Any = None, *, reads: Kind = "text", writes: Kind = "text") -> Usage:
    """`figures` as `Usage`. `reads` and `writes` are the kinds of token that are meant where no details are given."""
    if reads == writes == "text" and (quick := _text_only(figures, service_tier)) is not None:
        return quick
    usage = Usage(service_tier=tier(service_tier))
    _take_input(usage, figures, reads)
    _take_output(usage, figures, writes)
    if figures.seconds is not None and 0 < figures.seconds < math.inf:
        usage.audio_seconds = math.ceil(figures.seconds)
    return usage


def _text_only(figures: Figures, service_tier: Any) -> Usage | None:
    """The usage of a chat about text, which is most of what there is; None if it is not of that kind."""
    total, output = figures.prompt_tokens, figures.completion_tokens
    read, wrote = figures.prompt_tokens_details, figures.completion_tokens_details
    if total is None or output is None or read is None or wrote is None or figures.seconds is not None:
        return None
    if read.audio_tokens or read.image_tokens or read.cache_write_tokens or read.cached_tokens_details is not None:
        return None
    if wrote.audio_tokens or wrote.image_tokens or wrote.reasoning_tokens:
        return None
    cached = read.cached_tokens or figures.prompt_cache_hit_tokens or figures.cached_tokens or 0
    cached = min(total, cached)
    return Usage(total - cached, cached, 0, 0, output, service_tier=tier(service_tier))


def _take_input(usage: Usage, figures: Figures, reads: Kind) -> None:
    total = (figures.input_tokens if figures.prompt_tokens is None else figures.prompt_tokens) or 0
    details = figures.prompt_tokens_details or figures.input_tokens_details or figures.input_token_details
    if details is None and reads == "audio":
        usage.input_audio_tokens = total
        return
    cached = (details is not None and details.cached_tokens) or figures.prompt_cache_hit_tokens or figures.cached_tokens or 0
    cached = min(cached, total)
    usage.cache_read_tokens = cached
    usage.input_tokens = total - cached
    if details is not None and (details.audio_tokens or details.image_tokens or details.cache_write_tokens):
        _take_kinds(usage, details)


def _take_kinds(usage: Usage, details: InputDetails) -> None:
    """Take audio, images and cache writes out of the input, of which `usage` has only what was read from the cache."""
    cached, total = usage.cache_read_tokens, usage.input_tokens + usage.cache_read_tokens
    audio, image = min(total, details.audio_tokens or 0), min(total, details.image_tokens or 0)
    if details.cached_tokens_details is not None:
        cached_audio = min(cached, audio, details.cached_tokens_details.audio_tokens or 0)
        cached_image = min(cached - cached_audio, image, details.cached_tokens_details.image_tokens or 0)
        usage.cache_audio_read_tokens = cached_audio
        usage.cache_read_tokens -= cached_audio
        audio -= cached_audio
        image -= cached_image
    written = min(total, details.cache_write_tokens or 0)
    if details.cache_write_tokens_details is not None:
        usage.cache_write_1h_tokens = min(written, details.cache_write_tokens_details.ttl_12h_tokens or 0)
    usage.cache_write_5m_tokens = written - usage.cache_write_1h_tokens
    usage.input_audio_tokens = audio
    usage.input_image_tokens = image
    usage.input_tokens = max(0, usage.input_tokens - written - audio - image)


def _take_output(usage: Usage, figures: Figures, writes: Kind) -> None:
    total = (figures.output_tokens if figures.completion_tokens is None else figures.completion_tokens) or 0
    details = figures.completion_tokens_details or figures.output_tokens_details or figures.output_token_details
    audio = total if writes == "audio" else 0
    image = total if writes == "image" else 0
    if details is not None:
        reasoning = details.reasoning_tokens or 0
        if reasoning and figures.prompt_tokens is not None and figures.total_tokens == figures.prompt_tokens + total + reasoning:
            total += reasoning  # xAI counts it outside `completion_tokens`
        audio, image = details.audio_tokens or 0, details.image_tokens or 0
        usage.reasoning_tokens = reasoning
    if audio or image:
        usage.output_audio_tokens = min(total, audio)
        usage.output_image_tokens = min(total - usage.output_audio_tokens, image)
    usage.output_tokens = total - usage.output_audio_tokens - usage.output_image_tokens
    usage.reasoning_tokens = min(usage.reasoning_tokens, usage.output_tokens)


def added(total: Usage | None, more: Usage) -> Usage:
    """Both together, as one: for wires whose figures are each for a part of the answer."""
    if total is None:
        return more
    for name in _COUNTS:
        setattr(more, name, getattr(more, name) + getattr(total, name))
    more.calls += total.calls
    return more
