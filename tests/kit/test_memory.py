"""Memory: the heap is trimmed when much has been freed, and not more often than it pays."""

from __future__ import annotations

import pytest

from penstock.kit.memory import LOOK_EVERY_S, SPARE_BYTES, TRIM_EVERY_S, Heap, return_large_buffers
from penstock.kit.pulse import Pulse

MANY = SPARE_BYTES + 1


class Counted:
    """A heap whose free bytes are said, and that counts how often it is trimmed."""

    def __init__(self) -> None:
        self.pulse = Pulse()
        self.free, self.trims = 1000, 0
        self.heap = Heap(self.pulse, lambda: self.free, self.trim)
        self.advance(TRIM_EVERY_S)

    def trim(self) -> None:
        self.trims += 1
        self.free = 1000

    def advance(self, seconds: float) -> None:
        self.pulse.tick += self.pulse.ticks(seconds)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_what_was_freed_goes_back_once(counted):
    counted.heap.sweep()
    assert not counted.trims
    counted.free += MANY
    counted.advance(LOOK_EVERY_S)
    counted.heap.sweep()
    counted.advance(TRIM_EVERY_S)
    counted.heap.sweep()
    assert counted.trims == 1


def test_a_little_may_stay(counted):
    counted.free += SPARE_BYTES
    counted.advance(LOOK_EVERY_S)
    counted.heap.sweep()
    assert not counted.trims


def test_it_is_looked_at_now_and_then_and_trimmed_still_less_often(counted):
    counted.free += MANY
    counted.heap.sweep()
    for _ in range(20):
        counted.advance(LOOK_EVERY_S)
        counted.heap.sweep()
        counted.free = 1000 + MANY
    assert counted.trims <= 20 // TRIM_EVERY_S + 1


def test_this_process_has_a_heap():
    return_large_buffers()
    pulse = Pulse()
    heap = Heap.of_process(pulse)
    pulse.tick += pulse.ticks(LOOK_EVERY_S)
    heap.sweep()
