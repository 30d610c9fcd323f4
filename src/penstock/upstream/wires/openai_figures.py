"""The shapes that usage comes in from OpenAI and its many imitators: what we read of an answer, and of its `usage`."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.upstream.wires.answers import Count


class CachedDetails(msgspec.Struct, gc=False):
    """What kinds of tokens were read from the cache (realtime)."""

    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class WriteDetails(msgspec.Struct, gc=False):
    """How long written tokens stay in the cache."""

    ttl_12h_tokens: Count | None = None


class InputDetails(msgspec.Struct, gc=False):
    """What the input consists of."""

    cached_tokens: Count | None = None
    cached_tokens_details: CachedDetails | None = None
    cache_write_tokens: Count | None = None
    cache_write_tokens_details: WriteDetails | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class OutputDetails(msgspec.Struct, gc=False):
    """What the output consists of."""

    reasoning_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class Figures(msgspec.Struct, gc=False):
    """A `usage` object. The same thing has several names, by endpoint."""

    prompt_tokens: Count | None = None
    input_tokens: Count | None = None
    completion_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    input_tokens_details: InputDetails | None = None
    input_token_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    output_token_details: OutputDetails | None = None
    seconds: float | None = None
    prompt_cache_hit_tokens: Count | None = None
    """DeepSeek's name for cached tokens."""
    cached_tokens: Count | None = None
    """Moonshot's name for them."""

    @property
    def stated(self) -> bool:
        """Whether it says anything."""
        return (
            self.prompt_tokens is not None
            or self.input_tokens is not None
            or self.completion_tokens is not None
            or self.output_tokens is not None
            or self.seconds is not None
        )


class Answer(msgspec.Struct, gc=False):
    """The fields of an answer that we read."""

    usage: Figures | None = None
    service_tier: Any = None
    error: Any = None

    @property
    def figures(self) -> Figures | None:
        """The usage, if it says anything."""
        return self.usage if self.usage is not None and self.usage.stated else None

    @property
    def failed(self) -> bool:
        """It is an error, and nothing was consumed that the provider would name."""
        return bool(self.error) and self.figures is None
