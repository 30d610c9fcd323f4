"""Serper: Google's results as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch


class Serper(Provider):
    """Its key goes into a header of its own."""

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The one thing that it does: there is nothing to ask that would not cost a search."""
        return [Offer("serper", ("serper_search",), title="Serper search", owner="serper")]


PROVIDER = Serper(
    "serper",
    ("serper_search",),
    base_has_version=False,
    credential_header=b"x-api-key",
    title="Serper",
    base_url="https://google.serper.dev",
)
