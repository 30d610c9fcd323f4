"""What a provider is: a vendor, the wires it speaks, and how it wants to be addressed and paid."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CREDENTIAL = re.compile(r"[!-~]+")

OPENAI_WIRES = frozenset(
    ("chat", "completions", "responses", "embeddings", "images", "speech", "transcriptions", "moderations", "realtime", "passthrough")
)
ANTHROPIC_WIRES = frozenset(("messages", "count_tokens", "complete", "passthrough"))


@dataclass(frozen=True)
class Provider:
    """A vendor. `base_has_version`: its base URL ends in `/v1`, as `OPENAI_BASE_URL` does and `ANTHROPIC_BASE_URL` does not."""

    name: str
    wires: frozenset[str]
    base_has_version: bool
    credential_header: bytes
    credential_prefix: bytes = b""
    extra_headers: tuple[tuple[bytes, bytes], ...] = ()
    """Sent unless the client sends them itself."""

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
