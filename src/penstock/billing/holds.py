"""Holds: money set aside before the provider is called, and resolved exactly once by whatever door the block is left."""

from __future__ import annotations

from typing import Self

_OPEN = 1
_RESOLVED = 2


class Purse:
    """What holds are taken from. It has no floor: it only counts."""

    __slots__ = ("held_nano", "released", "settled", "spent_nano", "taken")

    def __init__(self) -> None:
        self.held_nano = 0
        self.spent_nano = 0
        self.taken = 0
        self.settled = 0
        self.released = 0

    @property
    def open_holds(self) -> int:
        """Holds that were taken and are neither settled nor released."""
        return self.taken - self.settled - self.released


class Hold:
    """`with holding(purse, amount_nano) as hold:` takes the hold; `hold.settle(cost_nano)` replaces it by the cost.

    Leaving the block without having settled releases it. Taking or resolving it twice raises RuntimeError.
    """

    __slots__ = ("_purse", "_state", "amount_nano")

    def __init__(self, purse: Purse, amount_nano: int) -> None:
        self._purse = purse
        self._state = 0
        self.amount_nano = amount_nano

    def __enter__(self) -> Self:
        if self._state:
            raise RuntimeError("a hold is taken once")
        self._state = _OPEN
        purse = self._purse
        purse.taken += 1
        purse.held_nano += self.amount_nano
        return self

    def settle(self, cost_nano: int) -> None:
        """Replace the hold by what the request cost, which may be more than was held."""
        if self._state != _OPEN:
            raise RuntimeError("a hold is settled once, inside its block")
        self._state = _RESOLVED
        purse = self._purse
        purse.settled += 1
        purse.held_nano -= self.amount_nano
        purse.spent_nano += cost_nano

    def __exit__(self, *_: object) -> None:
        if self._state == _OPEN:
            self._state = _RESOLVED
            purse = self._purse
            purse.released += 1
            purse.held_nano -= self.amount_nano


holding = Hold
"""How the walk reads: `with holding(purse, amount_nano) as hold:`."""
