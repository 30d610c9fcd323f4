"""A tape has the beginning of what passed, and says whether there was more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.relay.tape import Tape


@given(pieces=st.lists(st.binary(max_size=20), max_size=10), limit=st.integers(1, 60))
def test_it_has_the_beginning(pieces, limit):
    tape, whole = Tape(limit), b"".join(pieces)
    for piece in pieces:
        tape.add(piece)
    assert b"".join(tape.pieces) == whole[:limit]
    assert tape.cut is (len(whole) > limit)
    assert b"" not in tape.pieces


@pytest.mark.parametrize("size", [10, 11])
def test_a_piece_that_fits_is_kept_and_not_copied(size):
    tape, piece = Tape(10), b"x" * size
    tape.add(piece)
    assert (tape.pieces[0] is piece) is (size == 10)
