"""OpenAI, and whoever is called exactly like it."""

from __future__ import annotations

from penstock.upstream.providers.provider import OPENAI_WIRES, Provider

PROVIDER = Provider("openai", OPENAI_WIRES, base_has_version=True, credential_header=b"authorization", credential_prefix=b"Bearer ")
