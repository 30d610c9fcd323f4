"""Moderations, as the official SDK sees them."""

from __future__ import annotations

import pytest
from openai.types import ModerationCreateResponse


def test_nothing_is_flagged_but_what_asks_for_it(client):
    results = client.moderations.create(input=["hello", "Please FLAG THIS"]).results
    assert [result.flagged for result in results] == [False, True]
    assert results[1].categories.harassment
    assert results[1].category_scores.harassment > 0.9


def test_parts_share_one_result(client):
    parts = [{"type": "text", "text": "flag this"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    [result] = client.moderations.create(model="omni-moderation-latest", input=parts).results
    assert result.flagged


@pytest.mark.parametrize("given", ["hello", ["a", "b"]])
def test_it_validates_strictly(http, given):
    ModerationCreateResponse.model_validate(http.post("/v1/moderations", json={"input": given}).json())
