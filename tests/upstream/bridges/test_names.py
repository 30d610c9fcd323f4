from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.names import digest, fitted


def test_what_is_allowed_is_kept():
    assert fitted("get_weather-2") == "get_weather-2"
    assert fitted("n" * 64) == "n" * 64 != fitted("n" * 65)
    assert fitted("n" * 128, 128) == "n" * 128


@pytest.mark.parametrize("limit", [64, 128])
@given(st.text(st.characters(), max_size=200), st.text(st.characters(), max_size=200))
def test_what_is_made_is_allowed_and_always_the_same(limit, first, second):
    made = fitted(first, limit)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made) and len(made) <= limit
    assert made == fitted(first, limit) == fitted(made, limit)
    assert (made == fitted(second, limit)) == (first == second) or made in (first, second)


def test_names_that_differ_stay_apart():
    assert len({fitted(name) for name in ("a.b", "a/b", "a b", "a_b", "n" * 65, "n" * 66, "\ud800", "\ud801", "?", "")}) == 10


def test_a_digest_is_one_word():
    assert re.fullmatch(r"[a-z2-7]{52}", digest("a.b"))
