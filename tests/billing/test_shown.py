"""How a charge is shown: the platform's columns, and those we add."""

from __future__ import annotations

import json

import pytest

from made_charges import NOON_MS, charge_at
from penstock.billing.shown import COLUMNS, extra_usage, shown, usage_of
from penstock.relay.facts import extra_usage as written
from penstock.upstream.usage import Usage


def test_all_columns_in_their_order():
    assert tuple(shown(charge_at(NOON_MS), "me")) == COLUMNS


def test_the_platform_s_columns():
    facts = shown(charge_at(NOON_MS, upload_ms=7, duration_ms=1234, free_nano=1), "me")
    assert {name: facts[name] for name in ("prompt_tokens", "completion_tokens", "rurt_ms", "tps_s", "free", "key_name")} == {
        "prompt_tokens": 12 + 3 + 2 + 1, "completion_tokens": 5, "rurt_ms": 7, "tps_s": 1.234, "free": True, "key_name": "me",
    }  # fmt: skip
    assert (facts["came_at"], facts["created_at"]) == ("2025-10-09T12:00:00Z", "2025-10-09T12:00:00Z")


def test_rare_usage_counts_as_prompt_and_completion():
    extra = {"input_audio_tokens": 100, "output_audio_tokens": 10, "output_image_tokens": 1, "images": 3, "service_tier": "flex"}
    facts = shown(charge_at(NOON_MS, extra_usage=json.dumps(extra)), None)
    assert (facts["prompt_tokens"], facts["completion_tokens"], facts["extra_usage"]) == (118, 16, extra)


def test_that_it_was_no_call_is_not_shown():
    assert shown(charge_at(NOON_MS, extra_usage='{"calls": 0}'), None)["extra_usage"] is None


def test_a_charge_of_nobody_is_the_operator_s():
    facts = shown(charge_at(NOON_MS, account_id=None, key_id=None), None)
    assert (facts["account_id"], facts["key_id"], facts["key_name"]) == ("acc_operator", None, None)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(1, 2, 3, 4, 5, 6),
        Usage(characters=12),
        Usage(calls=0),
        Usage(images=2, calls=0),
        Usage(audio_seconds=3, service_tier="priority"),
        Usage(
            input_audio_tokens=1, cache_audio_read_tokens=2, output_audio_tokens=3, input_image_tokens=4, output_image_tokens=5, images=6
        ),
    ],
)
def test_usage_is_what_was_written_down(usage):
    tokens = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
    charge = charge_at(NOON_MS, extra_usage=written(usage), **{name: getattr(usage, name) for name in tokens})
    assert usage_of(charge) == usage


@pytest.mark.parametrize("stored", ["", "{", "[1]", "7", '{"output_tokens": 7, "nonsense": 1}', '"text"'])
def test_what_is_stored_and_no_usage_is_left_out(stored):
    assert extra_usage(charge_at(NOON_MS, extra_usage=stored)) == {}
