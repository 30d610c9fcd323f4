"""Google's Gemini API, in its own protocol. Its OpenAI-like door is another provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Fetch
from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

PAGES = 10
"""No more pages of its list of models are read."""
_WIRES = {
    "generateContent": ("gemini",),
    "countTokens": ("gemini_count",),
    "embedContent": ("gemini_embed",),
    "batchEmbedContents": ("gemini_embed",),
}


class Entry(msgspec.Struct, rename="camel"):
    """A model in the list."""

    name: str
    display_name: str = ""
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: list[str] = []


class Page(msgspec.Struct, rename="camel"):
    """A page of the list."""

    models: list[Entry] = []
    next_page_token: str = ""


class GeminiProvider(Provider):
    """Google's Gemini API."""

    def target(self, base_path: str, path: str) -> str:
        """The path to call; a version at the end of the base URL is not doubled."""
        base = base_path.rstrip("/")
        if path.startswith("/v1"):
            base = base.removesuffix("/v1beta")
        return base + path

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The models that generate, count or embed. Raises UpstreamError or ValueError."""
        offers: list[Offer] = []
        token = ""
        for _ in range(PAGES):
            query = "pageSize=1000" + (f"&pageToken={quote(token, safe='')}" if token else "")
            fetched = await fetch("GET", "/v1beta/models", query=query.encode("ascii"))
            if fetched.status != 200:
                raise UpstreamError("invalid", f"its list of models came with status {fetched.status}")
            page = msgspec.json.decode(fetched.body, type=Page)
            offers += [offer for entry in page.models if (offer := _offer(entry)) is not None]
            token = page.next_page_token
            if not token:
                break
        return offers


def _offer(entry: Entry) -> Offer | None:
    wires = {wire: None for method in entry.supported_generation_methods for wire in _WIRES.get(method, ())}
    if not wires:
        return None
    return Offer(
        name=entry.name.removeprefix("models/"),
        wires=(*wires, "passthrough"),
        title=entry.display_name,
        owner="google",
        context_tokens=entry.input_token_limit,
        output_tokens=entry.output_token_limit,
    )


PROVIDER = GeminiProvider(
    "gemini",
    ("gemini", "gemini_count", "gemini_embed", "passthrough"),
    base_has_version=False,
    credential_header=b"x-goog-api-key",
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com",
    priced_as="google",
)
