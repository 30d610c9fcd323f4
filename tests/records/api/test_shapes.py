"""Shapes: what is shown fits what the document says."""

from __future__ import annotations

import msgspec

from made_records import CHAT, made, opened
from penstock.records.api.shapes import DiffShown, RecordShown, Written
from penstock.records.layers import layers
from penstock.records.shown import opened_shown

FULL = made(
    ruled_body=CHAT, sent_head=b"POST / HTTP/1.1\r\na: b\r\n\r\n", sent_body=CHAT, came_status=200, came_body=[b"{}"], phases_us=(1,) * 7,
    attempts=("a: 503",), rules=("rul_1",), shadow_rules=("rul_2",),
)  # fmt: skip


def test_a_record_is_all_that_the_document_says_and_no_more():
    for one in (opened(FULL), opened(made()), opened(made(), "gone"), opened(made(response_status=None))):
        shown = {**opened_shown(one), "key_name": None, "receipt": None}
        assert RecordShown.model_validate(shown).model_dump() == shown


def test_so_is_a_comparison():
    shown = {"data": msgspec.to_builtins(layers(FULL))}
    assert DiffShown.model_validate(shown).model_dump() == shown


def test_json_is_nothing_else():
    answer = Written(b"{}")
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
