from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.upstream.bridges.chat.names import call_id


def test_what_is_allowed_is_kept():
    assert call_id("toolu_01-x.y") == "toolu_01-x.y"
    assert call_id("abcDEF123", short=True) == "abcDEF123"


@given(st.text(), st.text())
def test_what_is_made_is_allowed_and_always_the_same(first, second):
    for make, allowed in (
        (call_id, r".{1,40}"),
        (lambda found: call_id(found, short=True), r"[A-Za-z0-9]{9}"),
    ):
        assert re.fullmatch(allowed, make(first), re.DOTALL) and make(first) == make(first)
        assert (make(first) == make(second)) == (first == second)
