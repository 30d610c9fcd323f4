from __future__ import annotations

import pytest

from penstock.kit.errors import PenstockError
from penstock.upstream.bridges import BRIDGES, SIDES
from penstock.upstream.bridges.bridge import Spot


def spot(path: str = "/v1/chat/completions") -> Spot:
    return Spot("served", "public", path, b"", b"application/json", "req_1", 1_700_000_000)


@pytest.mark.parametrize("pair", [(source, target) for source in SIDES for target in SIDES if source != target])
def test_there_is_a_bridge_between_any_two_sides(pair):
    bridge = BRIDGES[pair]
    assert (bridge.source, bridge.target) == pair


def test_no_bridge_leads_back_to_where_it_begins():
    assert all(source != target for source, target in BRIDGES)


@pytest.mark.parametrize("pair", [(source, target) for source in SIDES for target in SIDES if source != target])
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages":5,"input":5,"contents":5}'])
def test_what_cannot_be_read_is_refused_by_every_bridge(pair, body):
    with pytest.raises(PenstockError) as caught:
        BRIDGES[pair].cross(body, spot())
    assert caught.value.status == 400
