"""Those who copy Anthropic: one row each."""

from __future__ import annotations

from penstock.upstream.providers.anthropic import VERSION
from penstock.upstream.providers.listing import Listing
from penstock.upstream.providers.provider import Provider

_WIRES = ("messages", "count_tokens", "passthrough")


def _row(
    name: str, title: str, base_url: str = "", *, wires: tuple[str, ...] = _WIRES, priced_as: str = "", lists: bool = True
) -> Provider:
    kind = Listing if lists else Provider
    return kind(
        name,
        wires,
        base_has_version=False,
        credential_header=b"x-api-key",
        extra_headers=VERSION,
        title=title,
        base_url=base_url,
        priced_as=priced_as,
    )


PROVIDERS = (
    _row("anthropic-compatible", "Any Anthropic-compatible"),
    # Its list of models is at its OpenAI door alone: https://api-docs.deepseek.com/guides/anthropic_api
    _row(
        "deepseek-anthropic",
        "DeepSeek (Anthropic's protocol)",
        "https://api.deepseek.com/anthropic",
        wires=("messages", "passthrough"),
        priced_as="deepseek",
        lists=False,
    ),
)
