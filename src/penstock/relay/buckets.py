"""Buckets: many values counted into histograms at once, out of the way of the requests that they come from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def count_in(counts: list[int], ends: tuple[int, ...], values: list[int]) -> int:
    """Count values in the buckets of the first end that each does not pass, or in the last, which has none; their sum."""
    total = 0
    for value in values:
        counts[bisect_left(ends, value)] += 1
        total += value
    return total


def count_between(counts: Sequence[list[int]], ends: tuple[int, ...], marks: Sequence[tuple[int, ...]]) -> list[int]:
    """Count what lies between two marks that follow each other, of many: each such place has counts of its own; the sum of each.

    Marks are as many as there are places and one more, or none at all.
    """
    totals = [0] * len(counts)
    for each in marks:
        if each:
            before = each[0]
            for place in range(len(totals)):
                after = each[place + 1]
                counts[place][bisect_left(ends, after - before)] += 1
                totals[place] += after - before
                before = after
    return totals
