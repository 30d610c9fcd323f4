from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.responses.names import LIMIT, fitted, fitted_id, fitted_word


def test_what_fits_stays():
    assert fitted("mcp__a-b_1") == "mcp__a-b_1" and fitted_id("toolu_1") == "toolu_1" and fitted_word("u") == "u"


@given(st.text(max_size=100))
def test_what_does_not_fit_is_made_to_always_in_the_same_way(text):
    for made in (fitted(text), fitted_id(text), fitted_word(text)):
        assert len(made) <= LIMIT
    assert fitted(text).replace("-", "_").replace("_", "a").isalnum() and fitted(text).isascii()
    assert fitted(fitted(text)) == fitted(text) and fitted_id(text) == fitted_id(text)


def test_names_that_differ_stay_apart():
    assert fitted("a.b") != fitted("a_b") != fitted("a b")
