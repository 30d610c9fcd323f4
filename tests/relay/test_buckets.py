"""Buckets: whatever is counted is counted once, where it belongs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.relay.buckets import count_between, count_in

ENDS = (1, 10, 1000, 10**6)
INSIDE = ((-1, 1), (1, 10), (10, 1000), (1000, 10**6), (10**6, 10**30))


def spread_of(values):
    return [sum(after < value <= end for value in values) for after, end in INSIDE]


@given(st.lists(st.integers(0, 10**7)))
def test_a_bucket_ends_with_its_end(values):
    counts = [0] * 5
    assert count_in(counts, ENDS, values) == sum(values)
    assert counts == spread_of(values)


def test_what_was_counted_before_stays():
    counts = [1, 2, 3, 4, 5]
    assert count_in(counts, ENDS, [10, 11]) == 21
    assert counts == [1, 3, 4, 4, 5]


marks = st.lists(st.integers(0, 10**6), min_size=4, max_size=4).map(lambda steps: tuple(sum(steps[: n + 1]) for n in range(4)))


@given(st.lists(marks | st.just(())))
def test_what_lies_between_marks(every):
    counts = [[0] * 5 for _ in range(3)]
    found = count_between(counts, ENDS, every)
    for place in range(3):
        lengths = [list(pairwise(each))[place] for each in every if each]
        assert counts[place] == spread_of([after - before for before, after in lengths])
        assert found[place] == sum(after - before for before, after in lengths)
