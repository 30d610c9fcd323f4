from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.responses.names import LIMIT, fitted_id, fitted_word


def test_what_fits_stays():
    assert fitted_id("toolu_1") == "toolu_1" and fitted_word("u") == "u"


@given(st.text(max_size=100))
def test_what_does_not_fit_is_made_to_always_in_the_same_way(text):
    for made in (fitted_id(text), fitted_word(text)):
        assert len(made) <= LIMIT
    assert fitted_id(text) == fitted_id(text)
