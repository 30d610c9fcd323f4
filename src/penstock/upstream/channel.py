"""A channel: a provider with a credential, a base URL and models, ready to be written to."""

from __future__ import annotations

from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from penstock.upstream.client.pool import Origin, Pool
from penstock.upstream.providers import Provider


class Channel:
    """One way to reach a provider. Everything that is the same for each request is prepared here as bytes.

    `secret` None means that the client's own credential is forwarded. `models` are globs of the public names it serves;
    `rewrites` are public names that are sent under another.
    """

    __slots__ = ("_base_path", "_lines", "_paths", "models", "name", "pool", "provider", "rewrites", "transparent")

    def __init__(
        self,
        name: str,
        provider: Provider,
        base_url: str,
        pool: Pool,
        *,
        secret: str | None = None,
        models: tuple[str, ...] = ("*",),
        rewrites: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.provider = provider
        self.pool = pool
        self.models = models
        self.rewrites = rewrites or {}
        self.transparent = secret is None
        self._base_path = urlsplit(base_url).path
        self._lines = b" HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity\r\n%b" % (pool.origin.authority, provider.credential(secret) if secret else b"")
        self._paths: dict[str, bytes] = {}

    @staticmethod
    def origin(base_url: str) -> Origin:
        """Where a base URL's connections go."""
        return Origin.of(base_url)

    def serves(self, wire: str, model: str | None) -> bool:
        """The provider speaks the wire and the model is one of the channel's."""
        if wire not in self.provider.wires:
            return False
        return self.models == ("*",) or (model is not None and any(fnmatchcase(model, glob) for glob in self.models))

    def request(self, method: bytes, path: str, query: bytes, headers: bytes) -> bytes:
        """The beginning of a request: request line, host, credential, then `headers` (whole lines)."""
        where = self._paths.get(path)
        if where is None:
            where = self.provider.target(self._base_path, path).encode("ascii")
            if len(self._paths) < 1024:
                self._paths[path] = where
        for name, value in self.provider.extra_headers:
            if name + b": " not in headers:
                headers += b"%b: %b\r\n" % (name, value)
        if query:
            where = where + b"?" + query
        return b"%b %b%b%b" % (method, where, self._lines, headers)
