"""Usage: what a request consumed, normalised so that no component contains another."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, gc=False):
    """Quantities of one answered request. All are counts; components never overlap except where said.

    `input_tokens` are the uncached text input tokens: cache reads and writes and audio are *not* in it,
    whatever the provider's own convention (OpenAI counts cached tokens inside `prompt_tokens`, Anthropic outside
    `input_tokens`). `output_tokens` includes `reasoning_tokens` and excludes `output_audio_tokens`.
    `service_tier` is the tier the provider says it served ("flex", "priority", "batch" ...), else None.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cache_audio_read_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    images: int = 0
    characters: int = 0
    audio_seconds: int = 0
    web_searches: int = 0
    calls: int = 1
    service_tier: str | None = None

    def context_tokens(self) -> int:
        """All tokens that were read: what context-length price tiers are measured by."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.input_audio_tokens
            + self.cache_audio_read_tokens
            + self.input_image_tokens
        )
