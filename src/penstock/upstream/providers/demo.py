"""The demo provider inside this program: speaks every wire, takes any credential."""

from __future__ import annotations

from penstock.upstream.providers.provider import ANTHROPIC_WIRES, OPENAI_WIRES, Provider

PROVIDER = Provider(
    "demo", OPENAI_WIRES | ANTHROPIC_WIRES, base_has_version=True, credential_header=b"authorization", credential_prefix=b"Bearer "
)
