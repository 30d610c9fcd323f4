"""OpenTelemetry's words for ours: operations, providers, and what an answer's beginning and end say, as the GenAI conventions have them.

https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import re

from penstock.records.door import without_keys

NAME_LIMIT = 256
OPERATIONS = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "complete": "text_completion",
    "completions": "text_completion",
    "gemini": "generate_content",
    "embeddings": "embeddings",
    "gemini_embed": "embeddings",
    "workers_chat": "chat",
    "workers_embeddings": "embeddings",
}
"""By wire. What the conventions have no word for is called after its wire."""
PROVIDERS = {
    "azure-openai": "azure.ai.openai",
    "azure-speech": "azure.ai.speech",
    "deepseek-anthropic": "deepseek",
    "gemini": "gcp.gemini",
    "gemini-openai": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""By the provider's name here, where it is another."""
_FINISHES = frozenset(
    (
        "stop", "length", "tool_calls", "content_filter", "function_call", "end_turn", "max_tokens", "stop_sequence", "tool_use",
        "pause_turn", "refusal", "completed", "incomplete", "failed", "cancelled", "model_context_window_exceeded", "STOP", "MAX_TOKENS",
        "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY",
    )
)  # fmt: skip
"""Words that are no content, whatever stands before them."""
_CONTENT = re.compile(rb'"(?:choices|content|output|candidates|delta|instructions|data|metadata|tools)"[ \t\r\n]*:(?![ \t\r\n]*null)')
"""What stands behind is the model's or the client's."""
_ID = re.compile(rb'"(?:id|responseId)"[ \t\r\n]*:[ \t\r\n]*"([\w.:-]{1,128})"')
_MODEL = re.compile(rb'"(?:model|modelVersion)"[ \t\r\n]*:[ \t\r\n]*"([\w.:/@ -]{1,128})"')
_FINISH = re.compile(rb'"(?:finish_reason|stop_reason|finishReason|status)"[ \t\r\n]*:[ \t\r\n]*"(\w{1,40})"')
_AFTER = re.compile(rb'"(?:responseId|modelVersion)"[ \t\r\n]*:[ \t\r\n]*"([\w.:/@-]{1,128})"')
_LINE = re.compile(rb"(?:^|\n)(traceparent|tracestate): ([^\r\n]*)")


def shown(name: str) -> str:
    """A name that a client or a provider has chosen, of a length to be shown, and without what looks like a key."""
    return without_keys(name[:NAME_LIMIT].encode("utf-8", "replace")).decode("utf-8", "replace")


def operation(wire: str) -> str:
    """`gen_ai.operation.name` of a wire."""
    return OPERATIONS.get(wire, wire)


def provider(name: str) -> str:
    """`gen_ai.provider.name` of a provider."""
    return PROVIDERS.get(name, name)


def answered(opening: bytes, closing: bytes) -> dict[str, str | list[str]]:
    """The attributes that an answer's beginning and end give away: its id, its model, and why it ended; nothing that may be content."""
    found: dict[str, str | list[str]] = {}
    content = _CONTENT.search(opening)
    facts = opening[: content.start()] if content is not None else opening
    for name, pattern in (("gen_ai.response.id", _ID), ("gen_ai.response.model", _MODEL)):
        if (match := pattern.search(facts)) is not None:
            found[name] = match[1].decode("ascii", "replace")
    if not found:  # Gemini says it at the end
        for name, mark in (("gen_ai.response.id", b'"responseId"'), ("gen_ai.response.model", b'"modelVersion"')):
            at = closing.rfind(mark)
            if at >= 0 and (match := _AFTER.match(closing, at)) is not None:
                found[name] = match[1].decode("ascii", "replace")
    reasons = [word for word in (match.decode("ascii", "replace") for match in _FINISH.findall(closing)) if word in _FINISHES]
    if reasons:
        found["gen_ai.response.finish_reasons"] = reasons[-1:]
    return found


def carried(forward: bytes) -> dict[str, str]:
    """`traceparent` and `tracestate` of a request's header lines."""
    return {name.decode(): value.decode("latin-1").strip() for name, value in _LINE.findall(forward)}
