"""Holds: money set aside before the provider is called, and resolved exactly once by whatever door the block is left."""

from __future__ import annotations

from typing import Self

from penstock.billing.funds import Funds, Share

_OPEN = 1
_RESOLVED = 2
_NONE: list[Share] = []
Draws = tuple[tuple[str, int], ...]
"""What was spent of which lease."""


class Holds:
    """How many holds this process has taken and resolved."""

    __slots__ = ("held_nano", "released", "settled", "spent_nano", "taken")

    def __init__(self) -> None:
        self.held_nano = 0
        self.spent_nano = 0
        self.taken = 0
        self.settled = 0
        self.released = 0

    @property
    def open(self) -> int:
        """Holds that were taken and are neither settled nor released."""
        return self.taken - self.settled - self.released


class Hold:
    """`with holding(holds, funds, amount_nano, tokens) as hold:` takes the hold; `hold.settle(cost_nano, tokens)` replaces it by the cost.

    Leaving the block without having settled releases it; a request still counts against the limit of requests. Where less
    than the amount is left, all that is left is held, so `amount_nano` may then be less than was asked for. Taking or resolving
    it twice raises RuntimeError.
    """

    __slots__ = (
        "_caps", "_free", "_funds", "_holds", "_of_caps", "_of_tpm", "_paid", "_slots", "_state", "_tokens", "_tpm", "amount_nano",
        "free_nano",
    )  # fmt: skip

    def __init__(self, holds: Holds, funds: Funds, amount_nano: int, tokens: int = 0) -> None:
        self._holds = holds
        self._funds = funds
        self._state = 0
        self._tokens = tokens
        self._free = self._paid = 0
        self._caps: list[Share] = _NONE
        self._tpm: list[Share] = _NONE
        self._slots: list[Share] = _NONE
        self._of_caps: list[int] = []
        self._of_tpm: list[int] = []
        """What is held of each of the caps, and of the limits of tokens. The shares are those of now: funds may change to others."""
        self.amount_nano = amount_nano
        self.free_nano = 0
        """After settling: how much of the cost was free money."""

    def __enter__(self) -> Self:
        if self._state:
            raise RuntimeError("a hold is taken once")
        self._state = _OPEN
        funds = self._funds
        if funds.counted:
            funds.open += 1
            if funds.paid is not None:
                self._hold_money(funds, self.amount_nano)
            if funds.limited:
                self._hold_limits(funds)
        holds = self._holds
        holds.taken += 1
        holds.held_nano += self.amount_nano
        return self

    @property
    def covered_nano(self) -> int:
        """What this hold can pay for: the money, and no more than is held of each cap."""
        return min(self.amount_nano, *self._of_caps) if self._of_caps else self.amount_nano

    def extend(self, nano: int) -> bool:
        """Hold so much more, or as much as there is; False when there is nothing. Always True without a balance or cap to keep."""
        funds = self._funds
        if self._state != _OPEN:
            return False
        if not funds.counted or (funds.paid is None and not funds.caps):
            return True
        room = min((share.room for share in funds.caps), default=nano)
        if funds.paid is not None:
            free = max(funds.free.room, 0) if funds.free is not None else 0
            room = min(room, free + max(funds.paid.room, 0))
        nano = min(nano, room)
        if nano <= 0:
            return False
        before = self.amount_nano
        if funds.paid is not None:
            self._hold_money(funds, nano)
            self.amount_nano = before + nano
        else:
            self.amount_nano += nano
        for place, share in enumerate(self._caps):
            share.held += nano
            self._of_caps[place] += nano
        self._holds.held_nano += nano
        funds.treasury.spent_of(funds)
        return True

    def settle(self, cost_nano: int, tokens: int = 0) -> Draws:
        """Replace the hold by what the request cost, which may be more than was held; what was drawn of which lease."""
        if self._state != _OPEN:
            raise RuntimeError("a hold is settled once, inside its block")
        self._state = _RESOLVED
        holds = self._holds
        holds.settled += 1
        holds.held_nano -= self.amount_nano
        holds.spent_nano += cost_nano
        funds = self._funds
        if not funds.counted:
            return ()
        funds.open -= 1
        draws: list[tuple[str, int]] = []
        if funds.paid is not None:
            self._draw_money(cost_nano, draws)
        if funds.limited:
            for share, part in zip(self._caps, self._of_caps, strict=True):
                share.held -= part
                if cost_nano:
                    share.spent += cost_nano
                    draws.append((share.lease_id or "", cost_nano))
            for share, part in zip(self._tpm, self._of_tpm, strict=True):
                share.held -= part
                share.spent += tokens
            for share in self._slots:
                share.held -= 1
        treasury = funds.treasury
        if treasury.sleepers:
            treasury.wake()
        treasury.spent_of(funds)
        return tuple(draws)

    def would_draw(self, cost_nano: int) -> tuple[Draws, int]:
        """What `settle` would draw now, and how much of it is free money; nothing is changed."""
        funds = self._funds
        if not funds.counted or not cost_nano:
            return (), 0
        draws: list[tuple[str, int]] = []
        from_free = 0
        if funds.paid is not None:
            from_free = min(cost_nano, self._free)
            if funds.free is not None and from_free:
                draws.append((funds.free.lease_id or "", from_free))
            if cost_nano > from_free:
                draws.append((funds.paid.lease_id or "", cost_nano - from_free))
        draws += [(share.lease_id or "", cost_nano) for share in funds.caps]
        return tuple(draws), from_free

    def __exit__(self, *_: object) -> None:
        if self._state != _OPEN:
            return
        self._state = _RESOLVED
        holds, funds = self._holds, self._funds
        holds.released += 1
        holds.held_nano -= self.amount_nano
        if not funds.counted:
            return
        funds.open -= 1
        if self._paid and funds.paid is not None:
            funds.paid.held -= self._paid
        if self._free and funds.free is not None:
            funds.free.held -= self._free
        for share, part in zip(self._caps, self._of_caps, strict=True):
            share.held -= part
        for share, part in zip(self._tpm, self._of_tpm, strict=True):
            share.held -= part
        for share in self._slots:
            share.held -= 1
        funds.treasury.wake()

    def _hold_money(self, funds: Funds, nano: int) -> None:
        """Free money first, then what was paid; both belong to the account, so the shares outlive any change of the key."""
        free, paid = funds.free, funds.paid
        assert paid is not None  # noqa: S101  asked by the caller
        need = nano
        if free is not None and need:
            part = free.amount - free.spent - free.held
            if part > 0:
                part = min(part, need)
                free.held += part
                self._free += part
                need -= part
        if need:
            part = paid.amount - paid.spent - paid.held
            part = min(max(part, 0), need)
            paid.held += part
            self._paid += part
        self.amount_nano = self._free + self._paid

    def _hold_limits(self, funds: Funds) -> None:
        nano, tokens = self.amount_nano, self._tokens
        self._caps, self._tpm, self._slots = funds.caps, funds.tpm, funds.slots
        for share in funds.caps:
            part = share.amount - share.spent - share.held
            part = nano if part >= nano else max(part, 0)
            share.held += part
            self._of_caps.append(part)
        for share in funds.tpm:
            part = share.amount - share.spent - share.held
            part = tokens if part >= tokens else max(part, 0)
            share.held += part
            self._of_tpm.append(part)
        for share in funds.rpm:
            share.spent += 1
        for share in funds.slots:
            share.held += 1
        if funds.paid is None:
            self.amount_nano = min(self._of_caps, default=nano)

    def _draw_money(self, cost_nano: int, draws: list[tuple[str, int]]) -> None:
        free, paid = self._funds.free, self._funds.paid
        assert paid is not None  # noqa: S101  asked by the caller
        rest = cost_nano
        if free is not None and (self._free or rest > self._paid):
            free.held -= self._free
            part = min(rest, max(free.amount - free.spent - free.held, 0)) if rest > self._free + self._paid else min(rest, self._free)
            if part:
                free.spent += part
                rest -= part
                self.free_nano = part
                draws.append((free.lease_id or "", part))
        paid.held -= self._paid
        if rest:
            paid.spent += rest
            draws.append((paid.lease_id or "", rest))


holding = Hold
"""How the walk reads: `with holding(holds, funds, amount_nano, tokens) as hold:`."""
