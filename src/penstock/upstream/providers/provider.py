"""What a provider is: a vendor, the wires it speaks, and how it wants to be addressed and paid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch
    from penstock.upstream.offers import Offer

_CREDENTIAL = re.compile(r"[!-~]+")

OPENAI_WIRES = (
    "chat", "responses", "completions", "embeddings", "images", "speech", "transcriptions", "moderations", "realtime", "passthrough",
)  # fmt: skip
ALIKE_WIRES = ("chat", "completions", "embeddings", "images", "speech", "transcriptions", "moderations", "passthrough")
"""What those who copy OpenAI mostly speak."""
ANTHROPIC_WIRES = ("messages", "count_tokens", "complete", "passthrough")


@dataclass(frozen=True)
class Provider:
    """A vendor. `base_has_version`: its base URL ends in `/v1`, as `OPENAI_BASE_URL` does and `ANTHROPIC_BASE_URL` does not."""

    name: str
    wires: tuple[str, ...]
    """What it speaks; of two that a client can be bridged to, the first is taken."""
    base_has_version: bool
    credential_header: bytes
    credential_prefix: bytes = b""
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    """Sent unless the client sends them itself."""
    title: str = ""
    """Its name as people know it."""
    base_url: str = ""
    """Where it is unless a channel says otherwise; empty: a channel must say."""
    priced_as: str = ""
    """Its name in the official prices, where that is another one."""
    needs_secret: bool = True
    local: bool = False
    """It usually runs on one's own machine or network."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the `options` of its channels may have: names and what they mean."""
    places: bool = False
    """The path depends on the model or on options: `place` says where."""

    @property
    def price_name(self) -> str:
        """The name that its prices are looked up by."""
        return self.priced_as or self.name

    def credential(self, secret: str) -> bytes:
        """The header line that authenticates, line end included; blanks around the secret are not part of it. Raises ValueError."""
        secret = secret.strip()
        if not _CREDENTIAL.fullmatch(secret):
            raise ValueError(f"the credential of {self.name} has blanks or characters that a header cannot carry, or is empty")
        return b"%b: %b%b\r\n" % (self.credential_header, self.credential_prefix, secret.encode("ascii"))

    def target(self, base_path: str, path: str) -> str:
        """The path to call for a normalised path such as `/v1/chat/completions`, under a base URL's path."""
        base = base_path.rstrip("/")
        if not self.base_has_version:
            return base + path
        if path == "/v1" or path.startswith("/v1/"):
            return base + path[3:] or "/"
        return base.removesuffix("/v1") + path

    def place(self, base_path: str, path: str, query: bytes, model: str | None, options: Mapping[str, Any]) -> tuple[str, bytes]:
        """Path and query to call, where these depend on the model or on a channel's options. Called for each request if `places`."""
        return self.target(base_path, path), query

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The models that this credential can use; None: the provider has no list. Raises UpstreamError or ValueError."""
        return None
