"""A pattern is found where `re` finds it, in text and in anything else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.kit.search import Pattern

TEXT = "ab-[a-c]{2,}|x +y"
MARKS = (b"ab-", b"x ")
pattern = Pattern(TEXT, MARKS)
few = st.binary(max_size=60) | st.text("ab-cxy é\0\n", max_size=60).map(str.encode) | st.text(max_size=60).map(str.encode)


@given(few)
@example(b"")
@example(b"ab-ca")
@example(b"\xffab-ca")
@example(b"\xff x   y")
@example("é ab-ca".encode())
@example("é ab-ca".encode()[1:])
@example(b"ab-\0aa x\ny")
def test_it_finds_what_re_finds(data: bytes) -> None:
    assert pattern.within(data) is (re.search(TEXT.encode(), data) is not None)


@pytest.mark.parametrize("filler", [b"\0", b"a", b"\xff", "é".encode()])
@pytest.mark.parametrize("place", [0, 2, 65_536, 999_990])
def test_in_long_data(filler: bytes, place: int) -> None:
    data = filler * (1_000_000 // len(filler))

    assert not pattern.within(data)
    assert pattern.within(data[:place] + b"ab-cc" + data[place:])
