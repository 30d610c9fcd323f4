"""Memory: what the busiest second needed goes back to the system, where the C library is glibc."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable

from penstock.kit.pulse import Pulse

LOOK_EVERY_S = 1
TRIM_EVERY_S = 5
"""At most: what is given back and needed again costs the system some work."""
SPARE_BYTES = 16 * 1024 * 1024
"""So much more than before may be free and stay, for what comes next."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def return_large_buffers() -> None:
    """Have buffers of megabytes go back when they are freed, which glibc stops doing after the first, and keep two heaps at most."""
    with contextlib.suppress(AttributeError, OSError):  # another C library has another way
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2 * 1024 * 1024)
        mallopt(_M_TRIM_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


class Heap:
    """The heap of small pieces. What is freed between two that are in use stays with the process until it is trimmed.

    Thousands of streams that end leave tens of megabytes of such holes.
    """

    def __init__(self, pulse: Pulse, free_bytes: Callable[[], int], trim: Callable[[], None]) -> None:
        self._pulse = pulse
        self._free_bytes, self._trim = free_bytes, trim
        self._least_bytes = self._free_bytes()
        """The least that was free since it was trimmed. What is free beyond that has been in use, and is still held."""
        self._looked_tick = self._trimmed_tick = pulse.tick

    @classmethod
    def of_process(cls, pulse: Pulse) -> Heap:
        """The heap of this process; without glibc nothing in it is ever free."""
        try:
            library = ctypes.CDLL(None)
            mallinfo, trim = library.mallinfo2, library.malloc_trim
        except (AttributeError, OSError):
            return cls(pulse, lambda: 0, lambda: None)
        mallinfo.restype = _Mallinfo2
        trim.argtypes = (ctypes.c_size_t,)
        return cls(pulse, lambda: int(mallinfo().fordblks), lambda: trim(0))

    def sweep(self) -> None:
        """Trim it when much has been freed; called once per tick. It takes milliseconds for every ten megabytes that go back."""
        pulse = self._pulse
        if pulse.tick - self._looked_tick < pulse.ticks(LOOK_EVERY_S):
            return
        self._looked_tick = pulse.tick
        free_bytes = self._free_bytes()
        self._least_bytes = min(self._least_bytes, free_bytes)
        if free_bytes - self._least_bytes > SPARE_BYTES and pulse.tick - self._trimmed_tick >= pulse.ticks(TRIM_EVERY_S):
            self._trim()
            self._trimmed_tick, self._least_bytes = pulse.tick, free_bytes
