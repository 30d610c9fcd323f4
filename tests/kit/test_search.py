"""The quick search finds what the plain one finds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.kit.search import find

few = st.binary(max_size=200) | st.text("ab-\0", max_size=200).map(str.encode)


@given(few, st.binary(min_size=1, max_size=4) | st.text("ab-\0", min_size=1, max_size=4).map(str.encode), st.integers(0, 250))
@example(b"", b"a", 0)
@example(b"ab", b"b", 2)
@example(b"a\0b", b"\0b", 0)
def test_it_finds_what_bytes_find_finds(data: bytes, needle: bytes, start: int) -> None:
    assert find(data, needle, start) == data.find(needle, start)


@pytest.mark.parametrize("place", [0, 1, 65_535, 999_997])
def test_in_long_data(place: int) -> None:
    data = bytearray(1_000_000)
    data[place : place + 3] = b"sk-"

    assert find(bytes(data), b"sk-") == place
    assert find(bytes(data), b"sk-", place + 1) == -1
