"""Offers: what is not said is told from what is, and they travel as JSON."""

from __future__ import annotations

import msgspec

from penstock.upstream.offers import Offer


def test_nothing_is_said_but_the_name():
    offer = Offer("m")
    assert (offer.wires, offer.context_tokens, offer.inputs, offer.title) == (None, None, (), "")


def test_they_come_back_as_they_were():
    offers = [Offer("m"), Offer("n", wires=(), inputs=("text",), options={"image": "json"}, created=5)]
    assert msgspec.json.decode(msgspec.json.encode(offers), type=list[Offer]) == offers
