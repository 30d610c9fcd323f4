"""Terms: what they may be, and how they are kept."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.keys.terms import MODELS_LIMIT, NETWORKS_LIMIT, checked
from penstock.kit.errors import PenstockError
from penstock.kit.limits import GREATEST

NOW_MS = 1_700_000_000_000


def test_what_is_left_out_is_left_out() -> None:
    assert checked({}, None, NOW_MS) == {}


def test_none_takes_a_restriction_away() -> None:
    none = dict.fromkeys(("models", "wires", "networks", "limits", "expires_at_ms"))
    assert checked(none, {"rpm": 1}, NOW_MS) == none


def test_the_form_in_which_they_are_kept() -> None:
    given = {
        "models": ("gpt-4o*", "o1", "gpt-4o*"),
        "wires": ("chat", "responses", "chat"),
        "networks": ["10.9.8.7/8", "10.0.0.0/8", "2001:DB8::/32", "192.0.2.1", "::ffff:192.0.2.1"],
        "fallbacks": {"gpt-*": ("claude-a", "claude-b", "claude-a")},
        "limits": {"rpm": 2, "day_nano": None},
        "record": True,
        "expires_at_ms": NOW_MS + 1,
    }
    assert checked(given, {"rpm": 1, "tpm": 3}, NOW_MS) == {
        "models": ["gpt-4o*", "o1"],
        "wires": ["chat", "responses"],
        "networks": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"],
        "fallbacks": {"gpt-*": ["claude-a", "claude-b"]},
        "limits": {"rpm": 2, "tpm": 3},
        "record": True,
        "expires_at_ms": NOW_MS + 1,
    }


def test_as_many_as_there_may_be() -> None:
    networks = [f"10.0.0.{number}" for number in range(NETWORKS_LIMIT)]
    assert len(checked({"networks": networks}, None, NOW_MS)["networks"]) == NETWORKS_LIMIT
    assert len(checked({"models": [str(number) for number in range(MODELS_LIMIT)]}, None, NOW_MS)["models"]) == MODELS_LIMIT


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"models": []}, "models"),
    ({"models": ["a", " "]}, "models"),
    ({"models": ["a\0"]}, "models"),
    ({"models": ["\ud800"]}, "models"),
    ({"models": ["x" * 513]}, "models"),
    ({"models": [str(number) for number in range(MODELS_LIMIT + 1)]}, "models"),
    ({"wires": []}, "wires"),
    ({"wires": ["chat", "telepathy"]}, "wires"),
    ({"wires": ["workers_chat"]}, "wires"),
    ({"fallbacks": {}}, "fallbacks"),
    ({"fallbacks": {"a": []}}, "fallbacks"),
    ({"fallbacks": {"a": [str(number) for number in range(6)]}}, "fallbacks"),
    ({"fallbacks": {" ": ["a"]}}, "fallbacks"),
    ({"fallbacks": {"a": ["b\n"]}}, "fallbacks"),
    ({"networks": []}, "networks"),
    ({"networks": ["10.0.0.0/33"]}, "networks"),
    ({"networks": ["example.com"]}, "networks"),
    ({"networks": ["\ud800"]}, "networks"),
    ({"networks": ["10.0.0.1"] * (NETWORKS_LIMIT + 1)}, "networks"),
    ({"expires_at_ms": NOW_MS}, "expires_at"),
    ({"expires_at_ms": 2**63}, "expires_at"),
    *(({"limits": {"day_nano": value}}, "limits.day_nano") for value in (-1, GREATEST + 1, 1.5, "1", True)),
    ({"limits": {"dya_nano": 1}}, "limits.dya_nano"),
    ({"name": ""}, "name"),
    ({"name": "key_1"}, "name"),
]


@pytest.mark.parametrize(("given", "param"), WRONG)
def test_what_is_refused(given: dict[str, Any], param: str) -> None:
    with pytest.raises(PenstockError) as refused:
        checked(given, None, NOW_MS)
    assert (refused.value.code, refused.value.param) == ("invalid_request", param)
    assert refused.value.message.isascii()
