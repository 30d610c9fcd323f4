"""Usage as Gemini writes it, and how it becomes ours.

`promptTokenCount` contains what was read from the cache, sound and pictures; what tools of Google's have put in, such as pages
found, is beside it in `toolUsePromptTokenCount`. `candidatesTokenCount` leaves the thoughts out. The figures of a stream's chunks
are each of the whole answer so far. Source: the types of the official SDK, and the reference of `UsageMetadata`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.upstream.usage import Usage
from penstock.upstream.wires.answers import Count, Reader, tier

_KEY = re.compile(rb'"usageMetadata"[ \t\r\n]*+:')


class Kind(msgspec.Struct, gc=False, rename="camel"):
    """How many tokens are of one modality: TEXT, IMAGE, VIDEO, AUDIO or DOCUMENT."""

    modality: str = ""
    token_count: Count | None = None


class Figures(msgspec.Struct, gc=False, rename="camel"):
    """A `usageMetadata` object."""

    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: list[Kind] | None = None
    cache_tokens_details: list[Kind] | None = None
    candidates_tokens_details: list[Kind] | None = None
    tool_use_prompt_tokens_details: list[Kind] | None = None
    service_tier: Any = None

    @property
    def stated(self) -> bool:
        """Whether it says anything."""
        return self.prompt_token_count is not None or self.candidates_token_count is not None or self.total_token_count is not None


class Grounding(msgspec.Struct, gc=False, rename="camel"):
    """What an answer rests on besides the model."""

    web_search_queries: list[Any] | None = None


class Grounded(msgspec.Struct, gc=False, rename="camel"):
    """What we read of a candidate for its usage."""

    grounding_metadata: Grounding | None = None


class Answer(msgspec.Struct, gc=False, rename="camel"):
    """What we read of an answer."""

    usage_metadata: Figures | None = None
    candidates: list[Grounded] | None = None
    error: Any = None


_ANSWER = Reader(Answer, key=_KEY)
_CHUNKS: Reader[list[Answer]] = Reader(list[Answer], b"[{", key=_KEY)


def read(body: bytes) -> Answer | None:
    """What an answer says of its usage: one object, or the list of chunks that a stream without SSE is, or the end of either."""
    found = _ANSWER.read(body)
    if found is not None:
        return found
    chunks = _CHUNKS.read(body)
    if not chunks:
        return None
    said = [chunk for chunk in chunks if chunk.usage_metadata is not None or chunk.error]
    return said[-1] if said else chunks[-1]


def searches(candidates: list[Any] | None, model: str | None) -> int:
    """How many searches are charged: of a Gemini 2 one for the answer that rests on any, since then each."""
    queries = 0
    for candidate in candidates or ():
        grounding = candidate.grounding_metadata
        if grounding is not None and grounding.web_search_queries:
            queries += len(grounding.web_search_queries)
    return min(queries, 1) if model is not None and model.startswith(("gemini-1", "gemini-2")) else queries


def normalised(figures: Figures) -> Usage:
    """`figures` as `Usage`."""
    usage = Usage(service_tier=tier(figures.service_tier.lower()) if isinstance(figures.service_tier, str) else None)
    _take_input(usage, figures)
    thoughts = figures.thoughts_token_count or 0
    written = figures.candidates_token_count or 0
    if figures.candidates_tokens_details:
        usage.output_audio_tokens = min(written, _of(figures.candidates_tokens_details, "AUDIO"))
        usage.output_image_tokens = min(written - usage.output_audio_tokens, _of(figures.candidates_tokens_details, "IMAGE"))
    usage.output_tokens = written - usage.output_audio_tokens - usage.output_image_tokens + thoughts
    usage.reasoning_tokens = thoughts
    return usage


def _take_input(usage: Usage, figures: Figures) -> None:
    prompt = figures.prompt_token_count or 0
    cached = min(prompt, figures.cached_content_token_count or 0)
    audio = image = cached_audio = cached_image = 0
    if figures.prompt_tokens_details:
        audio = min(prompt, _of(figures.prompt_tokens_details, "AUDIO"))
        image = min(prompt - audio, _of(figures.prompt_tokens_details, "IMAGE"))
    if cached and figures.cache_tokens_details:
        cached_audio = min(cached, audio, _of(figures.cache_tokens_details, "AUDIO"))
        cached_image = min(cached - cached_audio, image, _of(figures.cache_tokens_details, "IMAGE"))
    fresh = prompt - cached
    usage.cache_audio_read_tokens = cached_audio
    usage.cache_read_tokens = cached - cached_audio
    usage.input_audio_tokens = min(fresh, audio - cached_audio)
    usage.input_image_tokens = min(fresh - usage.input_audio_tokens, image - cached_image)
    tools = figures.tool_use_prompt_token_count or 0
    usage.input_tokens = fresh - usage.input_audio_tokens - usage.input_image_tokens + tools


def _of(kinds: list[Kind], modality: str) -> int:
    return sum(kind.token_count or 0 for kind in kinds if kind.modality == modality)


def written(usage: Usage) -> dict[str, Any]:
    """`usage` as Gemini would state it."""
    audio, image = usage.input_audio_tokens + usage.cache_audio_read_tokens, usage.input_image_tokens
    prompt = usage.context_tokens()
    cached = usage.cache_read_tokens + usage.cache_audio_read_tokens
    thoughts = usage.reasoning_tokens
    said = usage.output_tokens - thoughts + usage.output_audio_tokens + usage.output_image_tokens
    shown: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": said, "totalTokenCount": prompt + said + thoughts}
    if cached:
        shown["cachedContentTokenCount"] = cached
    if thoughts:
        shown["thoughtsTokenCount"] = thoughts
    shown["promptTokensDetails"] = _kinds(prompt - audio - image, audio, image)
    if usage.cache_audio_read_tokens:
        shown["cacheTokensDetails"] = _kinds(usage.cache_read_tokens, usage.cache_audio_read_tokens, 0)
    if usage.output_audio_tokens or usage.output_image_tokens:
        shown["candidatesTokensDetails"] = _kinds(usage.output_tokens - thoughts, usage.output_audio_tokens, usage.output_image_tokens)
    return shown


def _kinds(text: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = (("TEXT", text), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count > 0]
