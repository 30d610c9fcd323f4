"""Replicate: images of the Flux models, made as predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.upstream.complaints import refusal
from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch

MODELS = {
    "flux-schnell": "black-forest-labs/flux-schnell",
    "flux-dev": "black-forest-labs/flux-dev",
    "flux-pro": "black-forest-labs/flux-pro",
    "flux-11-pro": "black-forest-labs/flux-1.1-pro",
    "flux-11-pro-ultra": "black-forest-labs/flux-1.1-pro-ultra",
}
"""Replicate's name of what is asked for by a short one."""


class Replicate(Provider):
    """Bearer tokens, predictions under /v1."""

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """The Flux models, once Replicate has accepted the token. Its own list has tens of thousands, of all kinds."""
        answer = await fetch("GET", "/v1/account")
        if answer.status >= 300:
            raise ValueError(refusal(answer.status, answer.body).message)
        return [
            Offer(name, ("replicate",), title=theirs, owner="black-forest-labs", inputs=("text",), outputs=("image",))
            for name, theirs in MODELS.items()
        ]


PROVIDER = Replicate(
    "replicate",
    ("replicate",),
    base_has_version=False,
    credential_header=b"authorization",
    credential_prefix=b"Bearer ",
    title="Replicate",
    base_url="https://api.replicate.com",
    options={"wait_s": "How long a picture is waited for, in seconds: 300 unless said otherwise."},
)
