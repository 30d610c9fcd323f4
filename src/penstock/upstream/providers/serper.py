"""Serper: Google's results as JSON. There is nothing to ask it that would not cost a search."""

from __future__ import annotations

from penstock.upstream.providers.provider import Provider

PROVIDER = Provider(
    "serper",
    ("serper_search",),
    base_has_version=False,
    credential_header=b"x-api-key",
    title="Serper",
    base_url="https://google.serper.dev",
)
