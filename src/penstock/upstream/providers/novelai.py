"""NovelAI's images, and whoever is called as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch

MODELS = {
    "nd-imagine-v3": "nai-diffusion-3",
    "nd-imagine-v3-furry": "nai-diffusion-furry-3",
    "nd-imagine-v4": "nai-diffusion-4-full",
    "nd-imagine-v4-curated": "nai-diffusion-4-curated-preview",
    "nd-imagine-v4-5": "nai-diffusion-4-5-full",
    "nd-imagine-v4-5-curated": "nai-diffusion-4-5-curated",
}
"""NovelAI's name of what is asked for by the platform's."""


class NovelAI(Provider):
    """Bearer tokens; pictures come as a zip."""

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The models that are known: it has no list of them."""
        return [
            Offer(name, ("novelai",), title=theirs, owner="novelai", inputs=("text",), outputs=("image",))
            for name, theirs in MODELS.items()
        ]


PROVIDER = NovelAI(
    "novelai",
    ("novelai",),
    base_has_version=False,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="NovelAI",
    base_url="https://image.novelai.net",
)
