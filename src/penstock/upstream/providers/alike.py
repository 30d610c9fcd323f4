"""Those who copy OpenAI: one row each. What they speak besides chat is as their own documentation has it."""

from __future__ import annotations

from penstock.upstream.providers.listing import Listing
from penstock.upstream.providers.provider import ALIKE_WIRES, Provider


def _row(
    name: str, title: str, base_url: str, *wires: str, priced_as: str = "", needs_secret: bool = True, local: bool = False
) -> Provider:
    return Listing(
        name,
        ("chat", *wires, "passthrough"),
        base_has_version=True,
        credential_header=b"authorization",
        credential_prefix=b"Bearer ",
        title=title,
        base_url=base_url,
        priced_as=priced_as,
        needs_secret=needs_secret,
        local=local,
    )


def _open(name: str, title: str, base_url: str, *wires: str, local: bool) -> Provider:
    """One that may be called without a credential."""
    return _row(name, title, base_url, *wires, needs_secret=False, local=local)


PROVIDERS = (
    _row("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "messages", "responses", "completions", "embeddings"),
    _row("deepseek", "DeepSeek", "https://api.deepseek.com/v1"),
    _row("mistral", "Mistral", "https://api.mistral.ai/v1", "embeddings", "transcriptions", "moderations"),
    _row("groq", "Groq", "https://api.groq.com/openai/v1", "responses", "speech", "transcriptions"),
    _row("xai", "xAI", "https://api.x.ai/v1", "responses", "images", priced_as="x-ai"),
    _row("together", "Together", "https://api.together.xyz/v1", "completions", "embeddings", "images", "speech", "transcriptions"),
    _row("fireworks", "Fireworks", "https://api.fireworks.ai/inference/v1", "responses", "completions", "embeddings"),
    _row(
        "gemini-openai",
        "Google Gemini (OpenAI's protocol)",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "embeddings",
        "images",
        priced_as="google",
    ),
    _open("ollama", "Ollama", "http://127.0.0.1:11434/v1", "messages", "responses", "completions", "embeddings", local=True),
    _open(
        "vllm",
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "messages",
        "responses",
        "count_tokens",
        "completions",
        "embeddings",
        "transcriptions",
        local=True,
    ),
    _open("openai-compatible", "Any OpenAI-compatible", "", *ALIKE_WIRES[1:-1], local=False),
)
