"""A channel: a provider with a credential, a base URL and models, ready to be written to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from penstock.kit.money import PER_MILLION
from penstock.upstream.breaker import Breakers
from penstock.upstream.client.pool import Origin, Pool
from penstock.upstream.names import EVERY, Names
from penstock.upstream.offers import Offer
from penstock.upstream.providers import Provider

PATHS_KEPT = 1024
HIDDEN = b"[redacted]"
"""What is written down in place of a secret, as in records."""
SECRET_BYTES = 8
"""Shorter credentials may be words that answers are full of."""
_PATH = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class Terms:
    """How a channel is used, besides where it is."""

    id: str = ""
    """Of its row; empty for one that comes from settings."""
    credential_id: str = ""
    hint: str = ""
    """The end of its credential, to tell it from the channel's others."""
    priority: int = 0
    """Those with a higher one are tried first."""
    weight: int = 1
    """Its share among those of the same priority. 0: only when no other is left."""
    wires: tuple[str, ...] | None = None
    """What it speaks, where that is not what its provider speaks; the first is preferred."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Sent with each request, instead of the client's of the same name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    cost_micro: int = PER_MILLION
    """What the provider charges the operator, as a share of its official price."""
    tags: tuple[str, ...] = ()
    listed: bool = True
    """Its models are shown in lists."""
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    """What becomes of an answer whose client leaves: hang up at once, or read it to its end for the real figures."""


PLAIN = Terms()


class Channel:
    """One way to reach a provider, with one credential. Everything that is the same for each request is prepared here as bytes.

    `secret` None means that the client's own credential is forwarded. `offers` are the models that the provider says it has, by
    its own names; None while it has not said. Raises ValueError for a base URL, a header or a secret that cannot be written into a request.
    """

    __slots__ = (
        "_base_path", "_extra", "_hidden", "_lines", "_own", "_paths", "_secret", "base_url", "breakers", "name", "names", "offers", "pool",
        "provider", "terms", "transparent", "wires",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  what a channel is
        self, name: str, provider: Provider, base_url: str, pool: Pool, *,
        secret: str | None = None, names: Names = EVERY, terms: Terms = PLAIN,
    ) -> None:  # fmt: skip
        self.name = name
        self.provider = provider
        self.base_url = base_url
        self.pool = pool
        self.names = names
        self.terms = terms
        self.wires = provider.wires if terms.wires is None else terms.wires
        self.offers: Mapping[str, Offer] | None = None
        self.breakers = Breakers()
        self.transparent = secret is None and provider.needs_secret
        self._base_path = urlsplit(base_url).path
        if not _PATH.fullmatch(self._base_path):
            raise ValueError(f"the path of a base URL has characters that must be percent-encoded: {base_url!r}")
        credential = provider.credential(secret) if secret is not None else b""
        self._secret = secret.encode() if secret is not None and len(secret) >= SECRET_BYTES else b""
        own = b"".join(b"%b: %b\r\n" % pair for pair in terms.headers)
        self._own = tuple(b"\n%b: " % key for key, _ in terms.headers)
        self._lines = b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n%b%b" % (pool.origin.authority, credential, own)
        hidden = [*([provider.credential_header] if credential else []), *(key for key, _ in terms.headers)]
        self._hidden = self._lines[: len(self._lines) - len(credential) - len(own)] + b"".join(
            b"%b: %b\r\n" % (key, HIDDEN) for key in hidden
        )
        self._extra = [(b"\n%b: " % name, b"%b: %b\r\n" % (name, value)) for name, value in provider.extra_headers]
        self._paths: dict[str, bytes] = {}

    @staticmethod
    def origin(base_url: str) -> Origin:
        """Where a base URL's connections go."""
        return Origin.of(base_url)

    def speaks(self, wire: str, served: str | None) -> bool:
        """The wire is one of the channel's, and the model (if it is said which) is served over it."""
        if wire not in self.wires:
            return False
        offer = self.offers.get(served) if self.offers is not None and served is not None else None
        return offer is None or offer.wires is None or wire in offer.wires

    def without_secret(self, body: bytes) -> bytes:
        """What a provider has answered without the credential, which some repeat when they refuse it; of the same length."""
        secret = self._secret
        return body.replace(secret, b"*" * len(secret)) if secret and secret in body else body

    def as_shown(self, head: bytes) -> bytes:
        """The head of a request to this channel as it may be written down: without its credential and the values of its own headers."""
        return head.replace(self._lines, self._hidden, 1)

    def request(self, method: bytes, path: str, query: bytes, headers: bytes, model: str | None = None) -> bytes:
        """The beginning of a request: request line, host, credential, then `headers` (whole lines)."""
        if self.provider.places:
            placed, query = self.provider.place(self._base_path, path, query, model, self.terms.options)
            where = placed.encode("ascii")
        else:
            found = self._paths.get(path)
            if found is None:
                found = self.provider.target(self._base_path, path).encode("ascii")
                if len(self._paths) >= PATHS_KEPT:
                    self._paths.clear()
                self._paths[path] = found
            where = found
        if query:
            where = where + b"?" + query
        if self._own:
            headers = self._without_own(headers)
        head = b"%b %b%b%b" % (method, where, self._lines, headers)
        for begin, line in self._extra:
            if begin not in head:
                head += line
        return head

    def _without_own(self, headers: bytes) -> bytes:
        """The client's lines without those that the channel has instead."""
        kept = [line for line in headers.split(b"\r\n") if line and not (b"\n" + line.lower()).startswith(self._own)]
        return b"".join(line + b"\r\n" for line in kept)
