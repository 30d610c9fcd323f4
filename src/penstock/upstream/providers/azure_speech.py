"""Azure's Speech service: text to speech, and the list of its voices. A channel says where: each region has a host of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.upstream.complaints import refusal
from penstock.upstream.offers import Offer
from penstock.upstream.providers.provider import Provider

if TYPE_CHECKING:
    from penstock.upstream.errands.errand import Fetch


class AzureSpeech(Provider):
    """Its key goes into a header of its own."""

    async def discover(self, fetch: Fetch, options: Mapping[str, Any]) -> list[Offer] | None:
        """What it does, once it has accepted the key by telling its voices."""
        answer = await fetch("GET", "/cognitiveservices/voices/list")
        if answer.status >= 300:
            raise ValueError(refusal(answer.status, answer.body).message)
        return [
            Offer("azure-tts", ("ssml",), title="Azure text to speech", owner="azure", inputs=("text",), outputs=("audio",)),
            Offer("azure-voices", ("voice_list",), title="Azure voices", owner="azure"),
        ]


PROVIDER = AzureSpeech(
    "azure-speech",
    ("ssml", "voice_list"),
    base_has_version=False,
    credential_header=b"ocp-apim-subscription-key",
    extra_headers=((b"user-agent", b"penstock"),),
    title="Azure Speech",
)
