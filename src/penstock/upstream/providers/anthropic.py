"""Anthropic. The version header is optional for our callers and filled in when absent."""

from __future__ import annotations

from penstock.upstream.providers.listing import Listing
from penstock.upstream.providers.provider import ANTHROPIC_WIRES

VERSION = ((b"anthropic-version", b"2023-06-01"),)

PROVIDER = Listing(
    "anthropic",
    ANTHROPIC_WIRES,
    base_has_version=False,
    credential_header=b"x-api-key",
    extra_headers=VERSION,
    title="Anthropic",
    base_url="https://api.anthropic.com",
)
