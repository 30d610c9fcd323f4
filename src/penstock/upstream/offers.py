"""Offers: the models that a provider says it has, as far as it says what they are."""

from __future__ import annotations

import msgspec


class Offer(msgspec.Struct, frozen=True):
    """A model of a provider's. Zero, empty and None mean that the provider does not say."""

    name: str
    wires: tuple[str, ...] | None = None
    """Which of the provider's wires serve it; None: any."""
    title: str = ""
    owner: str = ""
    created: int = 0
    """In seconds since 1970."""
    context_tokens: int | None = None
    output_tokens: int | None = None
    inputs: tuple[str, ...] = ()
    """Modalities: text, image, audio, video, file."""
    outputs: tuple[str, ...] = ()
    options: dict[str, str] = {}
    """What the provider's own code needs to know of it again."""
