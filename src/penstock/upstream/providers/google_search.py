"""Google's Custom Search JSON API. There is nothing to ask it that would not cost a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from penstock.upstream.providers.provider import Provider


class GoogleSearch(Provider):
    """The key goes into a header, as Google allows for all its interfaces: in the query it would be in logs along the way."""

    def place(self, base_path: str, path: str, query: bytes, model: str | None, options: Mapping[str, Any]) -> tuple[str, bytes]:
        """The query with the channel's search engine in it, unless it names one."""
        engine = str(options.get("cx") or "")
        if engine and not any(pair.startswith(b"cx=") for pair in query.split(b"&")):
            query = b"%bcx=%b" % (query + b"&" if query else b"", quote(engine, safe=":").encode("ascii"))
        return self.target(base_path, path), query


PROVIDER = GoogleSearch(
    "google-search",
    ("custom_search",),
    base_has_version=False,
    credential_header=b"x-goog-api-key",
    title="Google Custom Search",
    base_url="https://www.googleapis.com",
    options={"cx": "The id of the Programmable Search Engine that is asked unless a request names another."},
    places=True,
)
