"""The demo provider inside this program: speaks every wire, takes any credential."""

from __future__ import annotations

from penstock.upstream.providers.listing import Listing
from penstock.upstream.providers.provider import ANTHROPIC_WIRES, OPENAI_WIRES

PROVIDER = Listing(
    "demo",
    (*OPENAI_WIRES[:-1], *ANTHROPIC_WIRES),
    base_has_version=True,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="Demo",
)
