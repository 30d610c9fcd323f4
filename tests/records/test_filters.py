"""Which entries are meant, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from made_records import entry, made
from penstock.kit.errors import PenstockError
from penstock.records.filters import TEXT_LIMIT, Filters

ENTRY = entry(
    made(
        id="req_1", created_at_ms=1000, key_id="key_1", original_model="gpt-4o", rewritten_model="gpt-4o-mini", wire="chat",
        channel="first", response_status=429, outcome="complete", cost_nano=10, rules=("rul_1", "rul_2"),
    )
)  # fmt: skip
NOTHING = entry(made(key_id=None, original_model=None, rewritten_model=None, response_status=None))


@pytest.mark.parametrize(
    ("name", "fit", "unfit"),
    [
        ("from_ms", [0, 1000], [1001]), ("until_ms", [1001], [1000, 0]), ("key_id", ["key_1"], ["key", "KEY_1", ""]),
        ("model", ["gpt-4o", "gpt-4o-mini", "gpt*", "*", "?pt-4o"], ["gpt", "GPT-4o", "gpt-4o?", ""]), ("wire", ["chat"], ["messages"]),
        ("status", [429, "4xx"], [200, "5xx", 4]), ("outcome", ["complete"], ["stopped"]), ("channel", ["first"], ["second", ""]),
        ("least_cost_nano", [0, 10], [11]), ("record_id", ["req_1"], ["req_2"]), ("rule_id", ["rul_1", "rul_2"], ["rul"]),
        ("text", ["whatever: bodies are looked at elsewhere"], []),
    ],
)  # fmt: skip
def test_each_question(name: str, fit: list[Any], unfit: list[Any]) -> None:
    assert [Filters(**{name: value}).fit(ENTRY) for value in fit] == [True] * len(fit)
    assert [Filters(**{name: value}).fit(ENTRY) for value in unfit] == [False] * len(unfit)


def test_all_questions_must_be_answered() -> None:
    assert Filters().fit(ENTRY)
    assert Filters(key_id="key_1", status=429).fit(ENTRY)
    assert not Filters(key_id="key_1", status=200).fit(ENTRY)


@pytest.mark.parametrize("asked", [{"key_id": "x"}, {"model": "*"}, {"status": 200}, {"status": "2xx"}])
def test_an_entry_without_an_answer(asked: dict[str, Any]) -> None:
    assert not Filters(**asked).fit(NOTHING)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"status": "6xx"}, "status"), ({"status": "xx"}, "status"), ({"status": "429"}, "status"), ({"text": ""}, "text"),
        ({"text": "x" * (TEXT_LIMIT + 1)}, "text"), ({"model": "x" * 1000}, "model"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(PenstockError) as refused:
        Filters(**asked)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


def test_only_a_time() -> None:
    assert Filters().only_time
    assert Filters(from_ms=1, until_ms=2).only_time
    assert not Filters(from_ms=1, text="x").only_time
