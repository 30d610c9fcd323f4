"""Pages: cursors lead back to where they come from, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kit.errors import PenstockError
from penstock.kit.pages import CURSOR_LIMIT, cut, decode, encode

positions = st.text(min_size=1, max_size=100).filter(str.isprintable)


@given(positions)
def test_a_cursor_leads_back(position: str) -> None:
    cursor = encode(position)
    assert decode(cursor) == position
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=40))
def test_what_is_read_is_what_we_make(cursor: str) -> None:
    try:
        position = decode(cursor)
    except PenstockError:
        return
    assert encode(position) == cursor


@pytest.mark.parametrize(
    "cursor", ["", "=", "YQ==", "YR", "Y", "a b", "ü", "_____", encode("a\x00b"), encode("a\nb"), "A" * (CURSOR_LIMIT + 4)]
)
def test_cursors_that_are_none(cursor: str) -> None:
    with pytest.raises(PenstockError, match="Begin again") as refused:
        decode(cursor)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "cursor")


def test_cut() -> None:
    page = cut(["a", "b", "c"], 2, str)
    assert (page.data, page.next) == (["a", "b"], encode("b"))
    assert cut(["a", "b"], 2, str).next is None
    assert cut([], 2, str).data == []
