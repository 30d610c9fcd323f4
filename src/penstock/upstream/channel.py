"""A channel: a provider with a credential, a base URL and models, ready to be written to."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from penstock.kit.globs import matches
from penstock.upstream.client.pool import Origin, Pool
from penstock.upstream.providers import Provider

PATHS_KEPT = 1024
_PATH = re.compile(r"[!-~]*")


class Channel:
    """One way to reach a provider. Everything that is the same for each request is prepared here as bytes.

    `secret` None means that the client's own credential is forwarded. `models` are globs of the public names it serves.
    `on_disconnect` says what becomes of an answer whose client leaves: hang up at once, or read it to its end for the real figures.
    Raises ValueError for a base URL or a secret that cannot be written into a request.
    """

    __slots__ = ("_base_path", "_extra", "_lines", "_paths", "models", "name", "on_disconnect", "pool", "provider", "transparent")

    def __init__(
        self,
        name: str,
        provider: Provider,
        base_url: str,
        pool: Pool,
        *,
        secret: str | None = None,
        models: tuple[str, ...] = ("*",),
    ) -> None:
        self.name = name
        self.provider = provider
        self.pool = pool
        self.models = models
        self.transparent = secret is None
        self.on_disconnect: Literal["cancel", "drain"] = "cancel"
        self._base_path = urlsplit(base_url).path
        if not _PATH.fullmatch(self._base_path):
            raise ValueError(f"the path of a base URL has characters that must be percent-encoded: {base_url!r}")
        credential = b"" if secret is None else provider.credential(secret)
        self._lines = b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n%b" % (pool.origin.authority, credential)
        self._extra = [(b"\n%b: " % name, b"%b: %b\r\n" % (name, value)) for name, value in provider.extra_headers]
        self._paths: dict[str, bytes] = {}

    @staticmethod
    def origin(base_url: str) -> Origin:
        """Where a base URL's connections go."""
        return Origin.of(base_url)

    def serves(self, wire: str, model: str | None) -> bool:
        """The provider speaks the wire and the model is one of the channel's."""
        if wire not in self.provider.wires:
            return False
        return self.models == ("*",) or (model is not None and matches(self.models, model))

    def request(self, method: bytes, path: str, query: bytes, headers: bytes) -> bytes:
        """The beginning of a request: request line, host, credential, then `headers` (whole lines)."""
        where = self._paths.get(path)
        if where is None:
            where = self.provider.target(self._base_path, path).encode("ascii")
            if len(self._paths) >= PATHS_KEPT:
                self._paths.clear()
            self._paths[path] = where
        if query:
            where = where + b"?" + query
        head = b"%b %b%b%b" % (method, where, self._lines, headers)
        for begin, line in self._extra:
            if begin not in head:
                head += line
        return head
