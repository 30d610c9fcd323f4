"""Google is called as its SDK calls it."""

from __future__ import annotations

import json

import pytest

from penstock.upstream.client.connection import UpstreamError
from penstock.upstream.errands.errand import Fetched
from penstock.upstream.offers import Offer
from penstock.upstream.providers.gemini import PAGES, PROVIDER


def test_where_and_how():
    assert PROVIDER.base_url == "https://generativelanguage.googleapis.com"
    assert PROVIDER.target("", "/v1beta/models/m:generateContent") == "/v1beta/models/m:generateContent"
    assert PROVIDER.target("/proxy/v1beta/", "/v1beta/models") == "/proxy/v1beta/models"
    assert PROVIDER.credential("sk-test") == b"x-goog-api-key: sk-test\r\n"
    assert PROVIDER.price_name == "google"
    assert PROVIDER.wires == ("gemini", "gemini_count", "gemini_embed", "passthrough")


class Pages:
    """A fetch that gives one page after the other."""

    def __init__(self, *pages: dict, status: int = 200) -> None:
        self.pages, self.status, self.asked = list(pages), status, []

    async def __call__(self, method: str, path: str, *, query: bytes = b"", headers: bytes = b"", body: bytes = b"") -> Fetched:
        self.asked.append((method, path, query))
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        return Fetched(self.status, "application/json", json.dumps(page).encode())


async def test_its_models():
    fetch = Pages(
        {
            "models": [
                {
                    "name": "models/gemini-2.5-flash",
                    "displayName": "Gemini 2.5 Flash",
                    "inputTokenLimit": 1048576,
                    "outputTokenLimit": 65536,
                    "supportedGenerationMethods": ["generateContent", "countTokens", "createCachedContent"],
                    "thinking": True,
                },
                {"name": "models/imagen-4", "supportedGenerationMethods": ["predict"]},
            ],
            "nextPageToken": "a/b=",
        },
        {"models": [{"name": "models/gemini-embedding-001", "supportedGenerationMethods": ["embedContent", "batchEmbedContents"]}]},
    )
    assert await PROVIDER.discover(fetch, {}) == [
        Offer("gemini-2.5-flash", ("gemini", "gemini_count", "passthrough"), "Gemini 2.5 Flash", "google", 0, 1048576, 65536),
        Offer("gemini-embedding-001", ("gemini_embed", "passthrough"), owner="google"),
    ]
    assert fetch.asked == [("GET", "/v1beta/models", b"pageSize=1000"), ("GET", "/v1beta/models", b"pageSize=1000&pageToken=a%2Fb%3D")]


async def test_a_list_without_end_is_not_read_to_its_end():
    fetch = Pages({"models": [], "nextPageToken": "again"})
    assert await PROVIDER.discover(fetch, {}) == []
    assert len(fetch.asked) == PAGES


async def test_a_list_that_cannot_be_had():
    with pytest.raises(UpstreamError, match="status 403"):
        await PROVIDER.discover(Pages({}, status=403), {})
    with pytest.raises(ValueError, match="Expected"):
        await PROVIDER.discover(Pages({"models": 1}), {})
