"""Asking for a replay. What becomes of one is in tests/walk/test_replays.py, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from penstock.records.api.replaying import ReplayGiven


@pytest.mark.parametrize("body", [
    {}, {"model": "a", "models": ["b"]}, {"models": []}, {"models": ["a"] * 5}, {"model": ""}, {"model": "a\n"}, {"models": "a"},
    {"model": "a", "channel": ""}, {"model": "a", "x": 1}, [],
])  # fmt: skip
async def test_what_cannot_be_asked(ada, body):
    record_id = await ada.record()
    assert (await ada.refused("POST", f"/{record_id}/replay", json=body))[0] == 400


def test_one_model_or_several():
    assert ReplayGiven(model="a").models is None and ReplayGiven(models=["a", "b"]).model is None


async def test_where_there_are_no_keys_nothing_can_be_sent(ada):
    record_id = await ada.record()
    assert (await ada.refused("POST", f"/{record_id}/replay", json={"model": "a"}))[:2] == (409, "conflict")


async def test_what_was_begun_has_ended_when_it_is_refused(ada):
    await ada.refused("POST", f"/{await ada.record()}/replay", json={"model": "a"})
    assert not [task for task in asyncio.all_tasks() if "replay" in task.get_name()]
