"""Google's Custom Search JSON API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch


class GoogleSearch(Provider):
    """The key goes into a header, as Google allows for all its interfaces: in the query it would be in logs along the way."""

    def place(self, base_path: str, path: str, query: bytes, model: str | None, options: Mapping[str, Any]) -> tuple[str, bytes]:
        """The query with the channel's search engine in it, unless it names one."""
        engine = str(options.get("cx") or "")
        if engine and not any(pair.startswith(b"cx=") for pair in query.split(b"&")):
            query = b"%bcx=%b" % (query + b"&" if query else b"", quote(engine, safe=":").encode("ascii"))
        return self.target(base_path, path), query

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The one thing that it does: there is nothing to ask that would not cost a search."""
        return [Offer("google-search", ("custom_search",), title="Google Custom Search", owner="google")]


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
