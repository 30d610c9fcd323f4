"""Origins: where connections go."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit


class Origin(NamedTuple):
    """Where connections go: scheme, host and port."""

    secure: bool
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a base URL. Raises ValueError for one that is not http(s) with a host, or is more than a base."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"a base URL has no user, query or fragment: {parts.scheme}://{parts.hostname}")
        parts.hostname.encode("idna")
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, parts.port or (443 if secure else 80))

    @property
    def authority(self) -> bytes:
        """The `host` header's value."""
        usual = 443 if self.secure else 80
        whole = self.whole_authority
        return whole.removesuffix(b":%d" % usual) if self.port == usual else whole

    @property
    def whole_authority(self) -> bytes:
        """Host and port, even if it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.encode("idna" if not host.isascii() else "ascii") + b":%d" % self.port
