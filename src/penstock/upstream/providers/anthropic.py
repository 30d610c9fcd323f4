"""Anthropic. The version header is optional for our callers and filled in when absent."""

from __future__ import annotations

from penstock.upstream.providers.provider import ANTHROPIC_WIRES, Provider

PROVIDER = Provider(
    "anthropic",
    ANTHROPIC_WIRES,
    base_has_version=False,
    credential_header=b"x-api-key",
    extra_headers=((b"anthropic-version", b"2023-06-01"),),
)
