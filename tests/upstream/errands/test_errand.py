"""What an errand is told and gives: plain facts, with defaults for what is rare."""

from __future__ import annotations

from penstock.upstream.errands import ERRANDS
from penstock.upstream.errands.errand import Fetched, Result
from penstock.upstream.providers import PROVIDERS
from penstock.upstream.usage import Usage
from penstock.upstream.wires import WIRES


def test_rare_things_need_not_be_said():
    assert Fetched(200, "text/plain", b"x").headers == []
    assert Result(200, b"text/plain", b"x", Usage()).dropped == b""


def test_every_errand_is_between_a_wire_of_clients_and_something_that_a_provider_speaks():
    spoken = {wire for provider in PROVIDERS.values() for wire in provider.wires}
    for (source, target), errand in ERRANDS.items():
        assert (errand.source, errand.target) == (source, target)
        assert source in WIRES and target in spoken
