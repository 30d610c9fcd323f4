"""OpenAI, and whoever is called exactly like it."""

from __future__ import annotations

from penstock.upstream.providers.listing import Listing
from penstock.upstream.providers.provider import OPENAI_WIRES

PROVIDER = Listing(
    "openai",
    OPENAI_WIRES,
    base_has_version=True,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
)
