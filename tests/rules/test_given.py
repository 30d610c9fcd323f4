from __future__ import annotations

import math
from collections import UserDict

import pytest

from penstock.kit.errors import PenstockError
from penstock.rules.given import SIZE_LIMIT, check_json, is_number, only


def deep(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [None, True, 0, -(2**63), 2**63 - 1, 1.5, "", "é😀\u0000", [], {}, {"a": [1, {"b": None}]}, deep(40), (1, 2)]
)
def test_json_is_json(value):
    check_json(value)


@pytest.mark.parametrize(
    ("value", "place", "word"),
    [
        (math.nan, None, "finite"), (math.inf, None, "finite"), (2**63, None, "63 bits"), (-(2**63) - 1, None, "63 bits"),
        ({"a": [{"b": 10**4000}]}, "a.0.b", "63 bits"), ({"a": b"x"}, "a", "no JSON"), ({"a": {1: 2}}, "a", "text"),
        ("\ud800", None, "surrogate"), ({"\udc00": 1}, None, "surrogate"), (["x" * SIZE_LIMIT], None, str(SIZE_LIMIT)),
        (["é" * (SIZE_LIMIT // 2)], None, str(SIZE_LIMIT)), ([0] * SIZE_LIMIT, None, str(SIZE_LIMIT)),
    ],
)  # fmt: skip
def test_what_is_no_json_or_too_much_is_refused_with_its_place(value, place, word):
    with pytest.raises(PenstockError) as refused:
        check_json(value)
    assert refused.value.code == "invalid_request" and word in refused.value.message
    assert (refused.value.param or None) == place


def test_what_is_too_deep_is_refused():
    with pytest.raises(PenstockError, match="within each other"):
        check_json({"a": deep(20_000)})


@pytest.mark.parametrize("value", ["x" * 10_000_000, ["x" * 100] * 100_000, {str(number): 0 for number in range(500_000)}])
def test_ten_megabytes_are_refused(value):
    with pytest.raises(PenstockError):
        check_json([value])


def test_only_known_fields_are_taken():
    assert only({"a": 1}, ("a", "b"), "It", "") == {"a": 1}
    assert only(UserDict(a=1), ("a",), "It", "") == {"a": 1}
    with pytest.raises(PenstockError) as refused:
        only({"c": 1}, ("a", "b"), "It", "then.0")
    assert refused.value.param == "then.0.c" and "a, b" in refused.value.message
    with pytest.raises(PenstockError):
        only([1], ("a",), "It", "x")


def test_true_is_no_number():
    assert [is_number(value) for value in (1, 1.5, True, False, "1", None)] == [True, True, False, False, False, False]
